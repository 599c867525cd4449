import assert from "node:assert/strict";

/** An import or re-export, whose specifier ends its statement; or a dynamic import. */
const STATEMENT =
  /^(?:import (?:.* from )?|export .* from |\} from )"([^"\n]+)";$|\bimport\("([^"]+)"\)/gm;

/** What is not published: tests, their peers, and programs that show the module in use. */
const UNPUBLISHED = new Set(["testing", "conformance", "examples"]);

/** Every import of the shipped files below a folder. */
function* importsBelow(folder: URL): Generator<[file: string, specifier: string]> {
  for (const entry of Deno.readDirSync(folder)) {
    if (entry.isDirectory && !UNPUBLISHED.has(entry.name)) {
      yield* importsBelow(new URL(`${entry.name}/`, folder));
    }
    if (!entry.name.endsWith(".ts") || entry.name.endsWith("_test.ts")) continue;
    const text = Deno.readTextFileSync(new URL(entry.name, folder));
    for (const match of text.matchAll(STATEMENT)) {
      yield [new URL(entry.name, folder).pathname, match[1] ?? match[2] ?? ""];
    }
  }
}

Deno.test("the module stands alone: itself, protobuf-es, node:net, node:tls and node:zlib", () => {
  const room = new URL("./", import.meta.url);
  const allowed = new Set([
    "@bufbuild/protobuf",
    "@bufbuild/protobuf/codegenv2",
    "@bufbuild/protobuf/wkt",
    "node:net",
    "node:tls",
    "node:zlib",
  ]);
  let seen = 0;
  for (const [file, specifier] of importsBelow(room)) {
    seen++;
    if (specifier.startsWith(".")) {
      const target = new URL(specifier, `file://${file}`).href;
      assert.ok(target.startsWith(room.href), `${file} imports ${specifier}`);
    } else {
      assert.ok(allowed.has(specifier), `${file} imports ${specifier}`);
    }
  }
  assert.ok(seen > 100, `${seen} imports`);
});
