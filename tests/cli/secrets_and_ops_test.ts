/**
 * `aasm secrets` and `aasm ops` against a real gateway.
 */
import assert from "node:assert/strict";
import { NO_INPUT } from "../../cli/input.ts";
import { ExitCode } from "../../cli/exit_code.ts";
import { runCli } from "../../cli/testing/run_cli.ts";
import { registerAgent } from "../harness/agent.ts";
import { embeddedGateway } from "../harness/embedded_gateway.ts";

const VALUE = "v4lue-that-nobody-sees";

/** Standard input that holds a text. */
function piped(text: string) {
  return { ...NO_INPUT, all: () => Promise.resolve(new TextEncoder().encode(text)) };
}

Deno.test("aasm secrets: set from standard input, listed by name, scanned for, replaced, deleted", async () => {
  const key = await Deno.makeTempFile({ prefix: "secrets-key-" });
  await Deno.writeTextFile(key, "c2".repeat(32), { mode: 0o600 });
  try {
    await using gateway = await embeddedGateway(["--secrets-key-file", key]);
    const aasm = (words: string[], text?: string) =>
      runCli([...gateway.cli_flags, ...words], text === undefined ? {} : { input: piped(text) });
    const set = ["secrets", "set", "TOKEN", "--org", "o", "--team", "t"];
    const first = await aasm([...set, "--tool", "http"], `${VALUE}\n`);
    assert.equal(first.code, ExitCode.OK, first.err);
    assert.match(first.out, /secret +TOKEN\nversion +1\noutbound bytes +scanned for it\n/);
    const twice = await aasm(set, VALUE);
    assert.equal(twice.code, ExitCode.FAILURE);
    assert.match(twice.err, /already registered: replace it/);
    const replaced = await aasm([...set, "--replace", "--output", "json"], "short");
    assert.deepEqual(JSON.parse(replaced.out).scanned, false);
    const listed = await aasm(["secrets", "list"]);
    assert.match(listed.out, /state +ready/);
    assert.match(listed.out, /o +t +TOKEN +2 +any +no/);

    const file = `${gateway.directory}/outbound`;
    await Deno.writeTextFile(file, `{"auth":"${btoa(`u:${VALUE}`)}"}`);
    const found = await aasm(["secrets", "scan", file]);
    assert.equal(found.code, ExitCode.DENIED, "the first value is still a secret");
    assert.match(found.out, /o +t +TOKEN +1 +base64/);
    await Deno.writeTextFile(file, "harmless");
    assert.equal((await aasm(["secrets", "scan", file])).code, ExitCode.OK);

    const rotated = await aasm(["secrets", "rotate-key"]);
    assert.match(rotated.out, /nothing: all is under this key already/);
    const gone = await aasm(["secrets", "delete", "TOKEN", "--org", "o", "--team", "t"]);
    assert.equal(gone.code, ExitCode.OK, gone.err);
    for (const { out, err } of [first, twice, replaced, listed, found, gone]) {
      assert.ok(!`${out}${err}`.includes(VALUE));
    }
  } finally {
    await Deno.remove(key);
  }
});

Deno.test("aasm secrets set takes nothing from a terminal, from nowhere, or from the command line", async () => {
  const offline = ["--token-file", "/nowhere"];
  const typed = await runCli([...offline, "secrets", "set", "A"], {
    input: { ...piped(VALUE), interactive: true },
  });
  assert.equal(typed.code, ExitCode.USAGE);
  assert.match(typed.err, /cannot read the value from a terminal[\s\S]*pipe it in/);
  const empty = await runCli([...offline, "secrets", "set", "A"], { input: piped("\n") });
  assert.match(empty.err, /standard input is empty/);
  const argument = await runCli([...offline, "secrets", "set", "A", VALUE]);
  assert.equal(argument.code, ExitCode.USAGE);
});

Deno.test("aasm ops: pause, list, resume, terminate and lift one agent; halt and lift everything", async () => {
  await using gateway = await embeddedGateway();
  const agent = await registerAgent(gateway.channel);
  const aasm = (...words: string[]) => runCli([...gateway.cli_flags, "ops", ...words]);
  const target = `agent:${agent.did}`;
  const paused = await aasm("pause", target, "--reason", "odd");
  assert.equal(paused.code, ExitCode.OK, paused.err);
  assert.match(paused.out, /before +running\nnow +paused\n/);
  const listed = await aasm("list");
  assert.match(listed.out, /fleet +running/);
  assert.match(listed.out, /paused +operator:local .* odd/);
  assert.match(
    (await aasm("pause", target, "--reason", "odd")).err,
    /is paused and cannot be paused/,
  );
  assert.match((await aasm("resume", target, "--reason", "fine")).out, /now +running/);
  assert.match((await aasm("terminate", target, "--reason", "bad")).out, /now +terminated/);
  assert.equal((await aasm("resume", target, "--reason", "no")).code, ExitCode.FAILURE);
  assert.match((await aasm("lift", target, "--reason", "mistake")).out, /now +running/);
  assert.match((await aasm("halt-all", "--reason", "incident")).out, /target +\*/);
  assert.match((await aasm("list")).out, /fleet +paused/);
  assert.match((await aasm("lift", "--reason", "over")).out, /now +running/);
  assert.match((await aasm("pause", "agent:typo", "--reason", "r")).err, /no agent `typo`/);
});
