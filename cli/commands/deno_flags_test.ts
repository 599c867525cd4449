import assert from "node:assert/strict";
import { runCli } from "../testing/run_cli.ts";

const POLICY = `
network: {allowlist: ["*.b.example"]}
filesystem: {read: {allow: [/c]}, write: {allow: ["/c,d"]}}
tools: {deno.env: {allow: false}}
`;

async function withPolicy(
  text: string,
  run: (file: string) => Promise<void>,
): Promise<void> {
  const file = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(file, text);
    await run(file);
  } finally {
    await Deno.remove(file);
  }
}

Deno.test("deno-flags: one flag a line for a shell, what they leave out on standard error", async () => {
  await withPolicy(POLICY, async (file) => {
    const { code, out, err } = await runCli(["deno-flags", "--policy", file]);
    assert.equal(code, 0);
    assert.deepEqual(out.trimEnd().split("\n"), [
      "--no-prompt",
      "--allow-read=/c",
      "--allow-net=*.b.example",
      "--deny-net=b.example",
      "--allow-import=*.b.example",
      "--deny-import=b.example",
      "--allow-run",
      "--deny-env",
      "--allow-sys",
      "--allow-ffi=/c",
    ]);
    assert.match(err, /^note: write: `\/c,d` is left out: a flag cannot hold a comma$/m);
    assert.match(err, /^note: env: policy does not permit the tool `deno\.env`$/m);
    assert.match(err, /^note: run: a program the agent starts is bound by none of these flags$/m);
  });
});

Deno.test("deno-flags --output json is a deno.json for deno run -P", async () => {
  await withPolicy(POLICY, async (file) => {
    const { code, out } = await runCli(["deno-flags", "--policy", file, "--output", "json"]);
    assert.equal(code, 0);
    const { permissions } = JSON.parse(out);
    assert.deepEqual(permissions.default.read, { allow: ["/c"] });
    assert.deepEqual(permissions.default.env, { deny: true });
  });
});

Deno.test("deno-flags: opening hours close what they govern, unless they are taken for met by name", async () => {
  const hours = "schedule: {active_hours: {start: '09:00', end: '17:00', timezone: UTC}}";
  await withPolicy(hours, async (file) => {
    const strict = await runCli(["deno-flags", "--policy", file]);
    assert.equal(strict.out, "--no-prompt\n--allow-import=none.invalid\n");
    assert.match(strict.err, /left out: flags cannot say opening hours/);
    const met = await runCli(["deno-flags", "--policy", file, "--assume-met"]);
    assert.match(met.out, /^--allow-read$/m);
    assert.match(met.err, /taken for met, and not in the flags: opening hours/);
  });
});

Deno.test("deno-flags: an agent that no policy governs gets nothing", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/t.yaml`, "scope: team:t1");
    const theirs = await runCli(["deno-flags", "--policy", directory, "--team", "t1"]);
    assert.match(theirs.out, /^--allow-read$/m);
    const other = await runCli(["deno-flags", "--policy", directory, "--team", "t2"]);
    assert.match(other.out, /^--deny-read$/m);
    assert.match(other.err, /no policy applies to the agent/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
