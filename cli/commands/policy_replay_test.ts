/**
 * `aasm policy replay | simulate | learn | analyze` against a whole gateway and against a copy of
 * its facts.
 */
import assert from "node:assert/strict";
import { runCli } from "../testing/run_cli.ts";
import { type EmbeddedGateway, embeddedGateway } from "../../tests/harness/embedded_gateway.ts";
import { ExitCode } from "../exit_code.ts";

const POLICY = "tools:\n  bash: { allow: false }\n  search: { allow: true }\n";
const STRICT = "tools:\n  '*': { allow: false }\n  search: { allow: true }\n";
const WINDOW = ["--since", "2020-01-01", "--until", "2999-01-01"];

async function withFacts(use: (on: EmbeddedGateway, strict: string) => Promise<void>) {
  await using on = await embeddedGateway([], POLICY);
  const strict = `${on.directory}/strict.yaml`;
  await Deno.writeTextFile(strict, STRICT);
  for (const tool of ["search", "fetch", "fetch", "bash"]) {
    await runCli(["check", ...on.cli_flags, "tool", tool, "--args", '{"note":"hello"}']);
  }
  await use(on, strict);
}

Deno.test("policy replay prints only what differs, with both rules, and the same digest twice", async () => {
  await withFacts(async (on, strict) => {
    const argv = ["policy", "replay", ...on.cli_flags, "--proposed", strict, ...WINDOW];
    const first = await runCli(argv);
    assert.equal(first.code, ExitCode.OK, first.err);
    assert.match(first.out, /2 × allow → deny {2}1 agent/);
    assert.match(
      first.out,
      /after +deny: tool denied by policy {2}tools\.\*\.allow at .*strict\.yaml:2/,
    );
    assert.match(first.out, /example +\{.*"tool":\{"name":"fetch","args":\{"note":"hello"\}\}/);
    const digest = /digest +([0-9a-f]{64})/.exec(first.out)?.[1];
    assert.ok(digest !== undefined);
    assert.match((await runCli(argv)).out, new RegExp(digest));
    const failing = await runCli([...argv, "--fail-on-flip", "--output", "json"]);
    assert.equal(failing.code, ExitCode.FOUND);
    const told = JSON.parse(failing.out);
    assert.deepEqual([told.facts, told.flipped, told.same, told.digest], [4, 2, 2, digest]);
    assert.equal(told.flips[0].example.action.tool.name, "fetch");
  });
});

Deno.test("policy replay reads a copy of the facts without a gateway, and says the same", async () => {
  await withFacts(async (on, strict) => {
    const asked = ["--proposed", strict, ...WINDOW, "--output", "json"];
    const remote = JSON.parse((await runCli(["policy", "replay", ...on.cli_flags, ...asked])).out);
    const copy = `${on.directory}/copy`;
    await Deno.mkdir(copy);
    for await (const { name } of Deno.readDir(`${on.directory}/state/facts`)) {
      await Deno.copyFile(`${on.directory}/state/facts/${name}`, `${copy}/${name}`);
    }
    const files = ["--facts", copy, "--facts-key", `${on.directory}/state/facts.key`];
    const base = ["--base", `${on.directory}/policy.yaml`];
    const finished = await runCli(["policy", "replay", ...files, ...base, ...asked]);
    assert.equal(finished.code, ExitCode.OK, finished.err);
    const local = JSON.parse(finished.out);
    assert.equal(local.digest, remote.digest);
    assert.deepEqual(local.flipped, remote.flipped);
    const half = await runCli(["policy", "replay", "--facts", copy, ...base, ...asked]);
    assert.equal(half.code, ExitCode.USAGE);
    const nobase = await runCli(["policy", "replay", ...files, ...asked]);
    assert.match(nobase.err, /--base is missing/);
  });
});

Deno.test("policy learn prints a policy that loads, and what it leaves out beside it", async () => {
  await withFacts(async (on) => {
    const learned = await runCli(["policy", "learn", ...on.cli_flags, ...WINDOW]);
    assert.equal(learned.code, ExitCode.OK, learned.err);
    assert.match(learned.out, /"fetch": # 2×/);
    assert.match(learned.err, /3 of 4 recorded actions are allowed by it/);
    assert.match(learned.err, /left out: 1 × tool bash: it was denied/);
    const path = `${on.directory}/learned.yaml`;
    const out = ["policy", "learn", ...on.cli_flags, ...WINDOW, "--out", path];
    assert.equal((await runCli(out)).code, ExitCode.OK);
    assert.equal((await runCli(["policy", "validate", path])).code, ExitCode.OK);
    assert.match((await runCli(out)).err, /it exists already/);
  });
});

Deno.test("policy simulate explains one action under a proposed policy", async () => {
  await withFacts(async (on, strict) => {
    const words = ["tool", "fetch"];
    const now = await runCli(["policy", "simulate", ...on.cli_flags, ...words]);
    assert.equal(now.code, ExitCode.OK, now.err);
    const then = await runCli([
      "policy",
      "simulate",
      ...on.cli_flags,
      "--proposed",
      strict,
      ...words,
    ]);
    assert.equal(then.code, ExitCode.DENIED);
    assert.match(then.out, /tools\.\*\.allow/);
    assert.match(then.out, /as a first call/);
  });
});

Deno.test("policy analyze names each finding with its place and a request that shows it", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/p.yaml`;
    await Deno.writeTextFile(
      path,
      "capabilities: { deny: ['mcp_tool:a'] }\ntools:\n  a: { allow: true }\n",
    );
    const plain = await runCli(["policy", "analyze", path]);
    assert.equal(plain.code, ExitCode.OK, plain.err);
    assert.match(plain.out, /p\.yaml:3:3: contradictory: /);
    assert.match(plain.out, /try +\{"agent":.*"tool":\{"name":"a"/);
    assert.match(plain.out, /gives +deny: capability denied by policy, by capabilities\.deny\[0\]/);
    assert.match(plain.out, /^1 findings, 0 undecided, in 1 document$/m);
    const strict = await runCli(["policy", "analyze", path, "--strict", "--output", "json"]);
    assert.equal(strict.code, ExitCode.FOUND);
    assert.equal(JSON.parse(strict.out).findings[0].counterexample.outcome, "deny");
    await Deno.writeTextFile(path, "tools: { '*': { allow: false } }\n");
    assert.equal((await runCli(["policy", "analyze", path, "--strict"])).code, ExitCode.OK);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a length or a moment begins the window; anything else is wrong usage", async () => {
  const bad = await runCli(["policy", "replay", "--proposed", "p.yaml", "--since", "yesterday"]);
  assert.equal(bad.code, ExitCode.USAGE);
  assert.match(bad.err, /a length such as/);
});
