/**
 * Regenerates `proto/gen/` from `proto/assembly/`, or with `--check` fails when the two differ.
 *
 * Needs `protoc` 3.21 or later on the path. Permissions: run of `protoc`; read of `proto/`; read and
 * write of `proto/gen/` and the temporary directory.
 *
 * @module
 */
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** The code generator, pinned like every dependency; `generate.lock` holds its integrity hashes. */
const PLUGIN = "npm:@bufbuild/protoc-gen-es@2.17.0";
const OPTIONS = "target=ts,import_extension=ts";

const PROTO_DIRECTORY = dirname(fileURLToPath(import.meta.url));
const GENERATED_DIRECTORY = join(PROTO_DIRECTORY, "gen");

/** Every file under `directory` with the given ending, relative to `base`, sorted. */
async function listFiles(directory: string, ending: string, base = directory): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(directory)) {
    const path = join(directory, entry.name);
    if (entry.isDirectory) found.push(...await listFiles(path, ending, base));
    else if (entry.name.endsWith(ending)) found.push(relative(base, path));
  }
  return found.sort();
}

/** Runs protoc over every source file; the generated files land in `target`. */
async function generate(target: string, scratch: string): Promise<void> {
  const plugin = join(scratch, "protoc-gen-es");
  const lock = join(PROTO_DIRECTORY, "generate.lock");
  await Deno.writeTextFile(
    plugin,
    `#!/bin/sh\nexec '${Deno.execPath()}' run --quiet --no-prompt --no-config --frozen ` +
      `--lock='${lock}' --allow-read --allow-env ${PLUGIN}\n`,
    { mode: 0o700 },
  );
  const sources = await listFiles(join(PROTO_DIRECTORY, "assembly"), ".proto", PROTO_DIRECTORY);
  const result = await new Deno.Command("protoc", {
    args: [
      `-I${PROTO_DIRECTORY}`,
      `--plugin=protoc-gen-es=${plugin}`,
      `--es_out=${target}`,
      `--es_opt=${OPTIONS}`,
      ...sources,
    ],
    stderr: "piped",
  }).output();
  if (!result.success) {
    throw new Error(`protoc failed: ${new TextDecoder().decode(result.stderr).trim()}`);
  }
}

/** Paths that exist on one side only or differ in content. */
async function differences(expected: string, actual: string): Promise<string[]> {
  const paths = new Set([
    ...await listFiles(expected, ".ts"),
    ...await listFiles(actual, ".ts"),
  ]);
  const differing: string[] = [];
  for (const path of paths) {
    const [left, right] = await Promise.all(
      [expected, actual].map((side) => Deno.readTextFile(join(side, path)).catch(() => undefined)),
    );
    if (left !== right) differing.push(path);
  }
  return differing.sort();
}

async function main(check: boolean): Promise<number> {
  const scratch = await Deno.makeTempDir({ prefix: "proto-generate-" });
  try {
    const target = join(scratch, "gen");
    await Deno.mkdir(target);
    await generate(target, scratch);
    await Deno.mkdir(GENERATED_DIRECTORY, { recursive: true });
    const differing = await differences(target, GENERATED_DIRECTORY);
    if (check) {
      for (const path of differing) say(`proto/gen/${path} differs from its source`);
      if (differing.length > 0) say("run proto/generate.ts and commit what it writes");
      return differing.length === 0 ? 0 : 1;
    }
    for (const path of differing) {
      const destination = join(GENERATED_DIRECTORY, path);
      const fresh = await Deno.readTextFile(join(target, path)).catch(() => undefined);
      if (fresh === undefined) {
        await Deno.remove(destination);
      } else {
        await Deno.mkdir(dirname(destination), { recursive: true });
        await Deno.writeTextFile(destination, fresh);
      }
      say(`proto/gen/${path} ${fresh === undefined ? "removed" : "written"}`);
    }
    return 0;
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}

function say(line: string): void {
  // deno-lint-ignore no-console
  console.error(line);
}

if (import.meta.main) Deno.exit(await main(Deno.args.includes("--check")));
