import assert from "node:assert/strict";

const ROOT = new URL("../", import.meta.url).pathname;
/** Members of the workspace that the SDK needs; each is a package of its own. */
const PACKAGES = ["grpc", "core", "proto", "sdk"] as const;

async function deno(args: readonly string[], cwd: string): Promise<{ code: number; text: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
}

for (const name of PACKAGES) {
  Deno.test(`@agent-assembly/${name} can be published: explicit types, and no test in it`, async () => {
    const { code, text } = await deno(["publish", "--dry-run", "--allow-dirty"], `${ROOT}${name}`);
    assert.equal(code, 0, text);
    const files = [...text.matchAll(/\/(\S+) \([\d.]+[KM]?B\)/g)].map((match) => match[1] ?? "");
    assert.ok(files.some((file) => file.endsWith(`${name}/deno.json`)), text);
    const unwanted = files.filter((file) =>
      /_test\.ts$|_fixture\.ts$|\/(?:testing|testdata|frameworks)\//.test(file)
    );
    assert.deepEqual(unwanted, []);
  });
}

/** Types of the other packages and of protobuf-es that the SDK's own are made of. */
const FOREIGN: ReadonlySet<string> = new Set([
  "AuditEvent",
  "CheckActionRequest",
  "CheckActionResponse",
  "DescMessage",
  "DescMethodUnary",
  "HandshakeKey",
  "MessageInitShape",
  "MessageShape",
  "Scanner",
]);

Deno.test("every export of the SDK is checked, and says what it is", async () => {
  const manifest = JSON.parse(await Deno.readTextFile(`${ROOT}sdk/deno.json`));
  const files: string[] = Object.values(manifest.exports);
  assert.ok(files.includes("./mod.ts") && files.includes("./browser.ts"));
  const checked = await deno(["check", ...files], `${ROOT}sdk`);
  assert.equal(checked.code, 0, checked.text);
  const { text } = await deno(["doc", "--lint", ...files], `${ROOT}sdk`);
  const lines = text.split("\n");
  const problems = lines.filter((line, index) => {
    if (!line.startsWith("error[")) return false;
    const [, type] = /references private type '([^']+)'/.exec(line) ?? [];
    const ours = /\/sdk\//.test(lines[index + 1] ?? "");
    return ours && !(type !== undefined && FOREIGN.has(type));
  });
  assert.deepEqual(problems, [], text);
});

Deno.test("the examples of the README and of the entry points run", async () => {
  const files = ["sdk/README.md", "sdk/browser.ts"];
  const { code, text } = await deno(["test", "--doc", "--no-prompt", ...files], ROOT);
  assert.equal(code, 0, text);
  assert.match(text, /2 passed/);
});
