import assert from "node:assert/strict";
import { parseArguments } from "../arguments/parse.ts";
import { cliPermissions } from "../permissions.ts";
import { denoArguments, READ_GUARD, VALUE_FLAGS } from "./deno_arguments.ts";
import { agentVariables, placesOf, runtimeWords, tooLong } from "./plan.ts";

function parsed(argv: readonly string[]) {
  const result = parseArguments(["run", "deno", ...argv]);
  assert.ok(result.kind === "run" && result.invocation.run.command === "run deno");
  const { run, ...flags } = result.invocation;
  return { command: run, flags };
}

Deno.test("what Deno takes for a program is run with the read guard before it, and nothing else changed", () => {
  const of = (...words: string[]) => {
    const result = denoArguments(words);
    return result.ok ? result.args.join(" ") : result.why;
  };
  assert.equal(of("run", "-A", "a.ts", "--", "x"), `run ${READ_GUARD} -A a.ts -- x`);
  assert.equal(of("-A", "a.ts"), `run ${READ_GUARD} -A a.ts`);
  assert.equal(of("a.ts", "run"), `run ${READ_GUARD} a.ts run`);
  assert.equal(of("serve", "s.ts"), `serve ${READ_GUARD} s.ts`);
  assert.match(of("task", "x"), /`deno task` runs no program that asks the broker/);
  assert.match(of("x", "npm:y"), /`deno x` runs no program/);
});

async function helpOf(...argv: readonly string[]): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [...argv, "--help"],
    env: { NO_COLOR: "1" },
  }).output();
  return new TextDecoder().decode(stdout);
}

Deno.test("every subcommand of this Deno is either governed or refused by name", async () => {
  const commands = /^Commands:\n([\s\S]*?)\n\n/m.exec(await helpOf())?.[1] ?? "";
  const words = [...commands.matchAll(/^ +([a-z-]+) {2,}/gm)].map(([, word = ""]) => word);
  assert.ok(words.length > 20 && words.includes("x"), "the help has another form");
  for (const word of words) {
    const result = denoArguments([word, "./y"]);
    assert.ok(!result.ok || result.args[0] === word, `\`deno ${word}\` was taken for a script`);
  }
});

Deno.test("what may be a task is not run: Deno starts a task's commands without asking", async () => {
  const why = (...words: string[]) => {
    const result = denoArguments(words);
    return result.ok ? "" : result.why;
  };
  assert.match(why("run", "-A", "build"), /`build` may be a task/);
  assert.match(why("-A", "-c", "deno.json", "build"), /`build` may be a task/);
  assert.match(why("run", "-A"), /no program was given/);
  for (const words of [["run", "./build"], ["-A", "npm:x"], ["run", "-"], ["eval", "1"]]) {
    assert.equal(why(...words), "");
  }
  const help = await helpOf("run");
  const separate = [...help.matchAll(/^ +(?:(-[A-Za-z]), )?(--[a-z-]+) </gm)]
    .flatMap(([, short, long]) => [short, long]).filter((flag) => flag !== undefined);
  assert.deepEqual(separate.filter((flag) => !VALUE_FLAGS.has(flag)), []);
});

Deno.test("aasm run deno may start this Deno, keep its run's files, and nothing else", () => {
  const of = (...argv: string[]) => cliPermissions(["run", "deno", ...argv], "/w", "/bin/deno");
  assert.deepEqual(of("--agent", "coder", "--", "a.ts"), [
    "--allow-read=/w/.aasm/run/coder",
    "--allow-write=/w/.aasm/run/coder",
    "--allow-run=/bin/deno",
  ]);
  assert.deepEqual(of("--policy", "p.yaml", "--", "a.ts"), [
    "--allow-net=unix:/w/.aasm/run/deno/gateway.sock",
    "--allow-read=/w/.aasm/run/deno,/w/.aasm/run/deno/gateway.sock",
    "--allow-write=/w/.aasm/run/deno,/w/.aasm/run/deno/gateway.sock",
    "--allow-run=/bin/deno",
  ]);
  assert.deepEqual(of("--broker", "b.sock", "--", "a.ts"), [
    "--allow-net=unix:/w/b.sock",
    "--allow-read=/w/b.sock",
    "--allow-write=/w/b.sock",
    "--allow-run=/bin/deno",
  ]);
});

Deno.test("the runtime is told where the gateway is: the run's own, or the operator's", () => {
  const gatewayOf = (...argv: string[]) => {
    const { command, flags } = parsed(argv);
    const words = runtimeWords(command, flags, placesOf(command, "/w"), "/w");
    return words.find((word) => word.startsWith("--gateway="));
  };
  assert.equal(
    gatewayOf("--policy", "p.yaml", "--", "a.ts"),
    "--gateway=unix:/w/.aasm/run/deno/gateway.sock",
  );
  assert.equal(gatewayOf("--gateway", "[::1]:50051", "--", "a.ts"), "--gateway=http://[::1]:50051");
  assert.equal(
    gatewayOf("--gateway", "g.example:443", "--tls-ca", "ca.pem", "--", "a.ts"),
    "--gateway=https://g.example:443",
  );
});

Deno.test("the agent finds its broker, its runtime and its names in its variables (wire 7.3)", () => {
  const { command } = parsed(["--agent", "did:key:z6MkABC", "--team", "t", "--", "a.ts"]);
  const ids = { trace_id: "trace", session_id: "session" };
  assert.deepEqual(agentVariables(command, placesOf(command, "/w"), ids, "/w"), {
    DENO_PERMISSION_BROKER_PATH: "/w/.aasm/run/did:key:z6MkABC/broker.sock",
    AA_AGENT_ID: "did:key:z6MkABC",
    AA_AGENT_DID: "did:key:z6MkABC",
    AA_TRACE_ID: "trace",
    AA_SESSION_ID: "session",
    AA_TEAM_ID: "t",
    AA_ENFORCEMENT_MODE: "enforce",
    AA_POLICY_STATE: "enforced",
    AA_POLICY_SOURCE: "gateway",
    AA_RUNTIME_SOCKET: "/w/.aasm/run/did:key:z6MkABC/runtime.sock",
  });
});

Deno.test("a path that no socket can have is found before anything starts", () => {
  const { command } = parsed(["--", "a.ts"]);
  assert.equal(tooLong(placesOf(command, "/w")), undefined);
  assert.match(tooLong(placesOf(command, `/${"w".repeat(90)}`)) ?? "", /\.sock$/);
});
