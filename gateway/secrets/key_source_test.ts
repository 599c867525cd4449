import assert from "node:assert/strict";

const KEY = "d3".repeat(32);
const MODULE = new URL("./key_source.ts", import.meta.url).href;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

/** Reads a key source in a process of its own, then tries to do it again. */
async function inProcess(
  source: Record<string, string>,
  permissions: readonly string[],
  env: Record<string, string> = {},
): Promise<string[]> {
  const program = `
    import { openKeySource } from ${JSON.stringify(MODULE)};
    const source = ${JSON.stringify(source)};
    for (let n = 0; n < 2; n++) {
      try {
        const opened = await openKeySource(source);
        console.log("key " + opened.ring.active.id);
      } catch (error) {
        console.log("refused " + error.name + ": " + error.message);
      }
    }`;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--quiet", `--config=${CONFIG}`, ...permissions],
      `data:application/typescript,${encodeURIComponent(program)}`,
    ],
    env,
    stdout: "piped",
    stderr: "piped",
  }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assert.equal(lines.length, 2, new TextDecoder().decode(stderr));
  assert.ok(!lines.join("\n").includes(KEY));
  return lines;
}

async function withProgram(body: string, use: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile({ prefix: "key-program-" });
  try {
    await Deno.writeTextFile(path, `#!/bin/sh\n${body}\n`);
    await Deno.chmod(path, 0o700);
    await use(path);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("a key from the environment is read once, under the right to that one variable, which is then given up", async () => {
  const source = { kind: "env", name: "THE_KEY" };
  const [first, second] = await inProcess(source, ["--allow-env=THE_KEY"], { THE_KEY: KEY });
  assert.match(first ?? "", /^key [0-9a-f]{16}$/);
  assert.match(second ?? "", /^refused NotCapable/);
  const [missing] = await inProcess(source, ["--allow-env=THE_KEY"]);
  assert.match(missing ?? "", /variable `THE_KEY`: it is not set/);
});

Deno.test("a key from a program is read once, under the right to run that one, which is then given up", async () => {
  await withProgram(`echo ${KEY}`, async (program) => {
    const source = { kind: "command", program };
    const [first, second] = await inProcess(source, [`--allow-run=${program}`]);
    assert.match(first ?? "", /^key [0-9a-f]{16}$/);
    assert.match(second ?? "", /^refused KeySourceError: .*Requires run access/);
  });
});

Deno.test("a program that fails, prints nothing or prints too much gives no key, and its output is not repeated", async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    [`echo ${KEY}; exit 3`, /failed with exit code 3/],
    ["true", /holds no key/],
    ["echo not-a-key-at-all", /line 1 is no key/],
    ["yes x", /printed more than/],
  ];
  for (const [body, expected] of cases) {
    await withProgram(body, async (program) => {
      const [first] = await inProcess({ kind: "command", program }, [`--allow-run=${program}`]);
      assert.match(first ?? "", expected);
      assert.ok(!first?.includes("not-a-key-at-all"));
    });
  }
});

Deno.test("a program gets nothing of the environment", async () => {
  await withProgram('test -z "$LEAK" && echo ' + KEY, async (program) => {
    const [first] = await inProcess(
      { kind: "command", program },
      [`--allow-run=${program}`],
      { LEAK: "x" },
    );
    assert.match(first ?? "", /^key /);
  });
});
