/**
 * The fast path, measured: what a client of the runtime's socket waits for an answer, how many there
 * are a second, and how long after a change of policy the last stale one is given.
 *
 * A real gateway and a real runtime, each in its own process under its own permissions; the client is
 * a small Go program that speaks the real handshake and frames. Durability stays on: a local answer
 * leaves once its evidence is on disk, a forwarded one once it is in the gateway's log. The second
 * table says where the time of a local answer goes, measured in this process; the third is measured
 * in this process, too, with the gateway behind a loopback channel.
 *
 * `deno task bench:runtime [SECONDS]`; needs go.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { toBinary } from "@bufbuild/protobuf";
import { Channel } from "../grpc/mod.ts";
import { planLaunch } from "../launch/main.ts";
import { policy } from "../proto/mod.ts";
import { client, PATIENT, toolQuery } from "../runtime/decisions/_fixture.ts";
import { ContentTags } from "../runtime/decisions/content.ts";
import { decideLocally } from "../runtime/decisions/local.ts";
import { decisionBytes } from "../runtime/decisions/record.ts";
import { readSnapshot, tokenDigest } from "../runtime/decisions/snapshot.ts";
import { FakeGateway } from "../runtime/decisions/_fake_gateway.ts";
import { until } from "../runtime/_fixture.ts";
import { openSpool } from "../runtime/spool/spool.ts";
import { SYSTEM_TIMERS } from "../runtime/timers.ts";
import { registerAgent, type TestAgent } from "../tests/harness/agent.ts";
import { startGatewayProcess } from "../tests/harness/gateway_process.ts";
import { openWorld } from "../tests/runtime/world.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const SECONDS = Number(Deno.args[0] ?? 3);
const CHANGES = 20;

/** `ask` depends on other agents, so that it is always forwarded. */
const POLICY = `tools:
  search: { allow: true }
  ask: { allow: true, requires_approval_if: "team.active_agents > 1000000" }
network: { allowlist: [api.example] }
`;

interface Load {
  readonly requests: number;
  readonly seconds: number;
  readonly p50_us: number;
  readonly p99_us: number;
  readonly decisions: Readonly<Record<string, number>>;
}

/** Starts the runtime for one agent; resolves when it answers. */
async function startRuntime(
  directory: string,
  agent: TestAgent,
  gateway: string,
): Promise<{ child: Deno.ChildProcess; health: string }> {
  await Deno.writeTextFile(`${directory}/token`, agent.token, { mode: 0o600 });
  const flags = [
    ...["--agent-id", agent.did, "--org-id", agent.org, "--team-id", agent.team],
    ...["--socket", "agent.sock", "--state-dir", "runtime", "--metrics-listen", "127.0.0.1:0"],
    ...["--gateway", `http://${gateway}`, "--gateway-token-file", "token"],
    ...["--no-local-policy", "--allow-privileged"],
  ];
  const launch = planLaunch("runtime", flags, directory, () => undefined);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--quiet", `--config=${ROOT}deno.json`],
      ...[...launch.runtime, ...launch.permissions, launch.entry.href],
      ...launch.argv.filter((word) => word !== "--stop-on-stdin-end"),
    ],
    cwd: directory,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const ready = Promise.withResolvers<string>();
  let log = "";
  (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      log += text;
      const health = /"message":"ready".*"health":"([^"]+)"/.exec(log)?.[1];
      if (health !== undefined) ready.resolve(health);
    }
    ready.reject(new Error(`the runtime ended:\n${log}`));
  })();
  return { child, health: await ready.promise };
}

/** Waits until the gateway has every record: otherwise one row pays for the row before it. */
async function drained(health: string): Promise<number> {
  const start = performance.now();
  while (true) {
    const { rooms } = await (await fetch(health)).json();
    if (rooms.spool.kept_rows === 0) return (performance.now() - start) / 1_000;
    await new Promise((done) => setTimeout(done, 50));
  }
}

async function load(
  directory: string,
  agent: TestAgent,
  tool: string,
  clients: number,
  depth: number,
): Promise<Load> {
  const query = `${directory}/query.bin`;
  await Deno.writeFile(query, toBinary(policy.CheckActionRequestSchema, toolQuery(agent, tool)));
  const words = [`${directory}/agent.sock`, agent.did, query, clients, depth, SECONDS].map(String);
  const { stdout, stderr, success } = await new Deno.Command("go", {
    args: ["run", `${ROOT}bench/peers/runtime_load/main.go`, ...words],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

async function measureSocket(): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "runtime-bench-" });
  await Deno.chmod(directory, 0o700);
  await Deno.writeTextFile(`${directory}/policy.yaml`, POLICY);
  const flags = ["--policy", `${directory}/policy.yaml`, "--state-dir", `${directory}/state`];
  const gateway = await startGatewayProcess(flags, directory);
  const channel = new Channel(gateway.address);
  const agent = await registerAgent(channel, { org: "o1", team: "t1" });
  const { child: runtime, health } = await startRuntime(directory, agent, gateway.address);
  try {
    await new Promise((done) => setTimeout(done, 1_000));
    await load(directory, agent, "search", 4, 16);
    const rows = [];
    for (const [name, tool] of [["local", "search"], ["forwarded", "ask"]] as const) {
      for (const [clients, depth] of [[1, 1], [32, 1], [32, 32], [32, 128]] as const) {
        await drained(health);
        const { requests, seconds, p50_us, p99_us, decisions } = await load(
          ...[directory, agent, tool, clients, depth] as const,
        );
        const drained_s = await drained(health);
        rows.push({
          decided: name,
          clients,
          outstanding: depth,
          per_second: Math.round(requests / seconds),
          p50_us: Math.round(p50_us),
          p99_us: Math.round(p99_us),
          decisions: JSON.stringify(decisions),
          /** With the time until the gateway had the last of its records. */
          taken_per_second: Math.round(requests / (seconds + drained_s)),
        });
      }
    }
    console.log("\nQueries over the runtime's socket, evidence durable before each answer");
    console.table(rows);
  } finally {
    runtime.kill("SIGTERM");
    await runtime.status;
    await channel.close();
    await gateway.stop();
    await Deno.remove(directory, { recursive: true });
  }
}

async function each(
  name: string,
  count: number,
  work: (at: number) => unknown,
): Promise<Record<string, unknown>> {
  for (let at = 0; at < Math.min(count, 500); at++) await work(at);
  const took: number[] = [];
  for (let at = 0; at < count; at++) {
    const start = performance.now();
    const waited = work(at);
    if (waited instanceof Promise) await waited;
    took.push((performance.now() - start) * 1_000);
  }
  took.sort((a, b) => a - b);
  const share = (part: number) => Math.round((took[Math.floor(count * part)] ?? 0) * 10) / 10;
  return { step: name, p50_us: share(0.5), p99_us: share(0.99) };
}

async function measureSteps(): Promise<void> {
  const agent = { org: "o1", team: "t1", did: "did:key:zBench", token: crypto.randomUUID() };
  const gateway = new FakeGateway(agent, POLICY);
  const name = { org_id: agent.org, team_id: agent.team, agent_id: agent.did };
  const read = readSnapshot(gateway.snapshot(), {
    ...{ name, token_sha256: tokenDigest(agent.token), before: undefined, newest: undefined },
  });
  if (!read.ok) throw new Error(read.why);
  const { snapshot } = read;
  const query = toolQuery(agent, "search", '{"q":"weather in Lisbon"}');
  const ruling = decideLocally(query, snapshot, Date.now());
  if (ruling.kind !== "certain") throw new Error(ruling.because);
  const { action, decision } = ruling;
  const tags = new ContentTags();
  const world = await openWorld(POLICY);
  const { answer } = world.runtime.room.decisions;
  const response = await answer(toolQuery(world.agent, "search"), client(), PATIENT);
  const decided_at_ms = Date.now();
  const record = () =>
    decisionBytes(
      { query, response, because: "policy", decided_at_ms, snapshot, action, decision },
      tags,
    );
  const directory = await Deno.makeTempDir({ prefix: "runtime-bench-" });
  await Deno.chmod(directory, 0o700);
  const spool = await openSpool({
    path: `${directory}/spool.db`,
    uid: Deno.uid(),
    readers: [{ name: "gateway", role: "required" }],
    timers: SYSTEM_TIMERS,
    newId: () => crypto.randomUUID(),
  });
  const own = toolQuery(world.agent, "search", '{"q":"weather in Lisbon"}');
  const bytes = record();
  console.log("\nWhere the time of one local answer goes, in this process");
  console.table([
    await each(
      "decide: identity, policy, scan",
      20_000,
      () => decideLocally(query, snapshot, decided_at_ms),
    ),
    await each("write the record", 20_000, record),
    await each(
      "the whole answer, evidence in memory",
      10_000,
      () => answer(own, client(), PATIENT),
    ),
    await each("evidence alone: one record durable", 1_000, () => spool.append("decision", bytes)),
  ]);
  const group = 512;
  const start = performance.now();
  const rounds = 40;
  for (let round = 0; round < rounds; round++) {
    await Promise.all(Array.from({ length: group }, () => spool.append("decision", bytes)));
  }
  const seconds = (performance.now() - start) / 1_000;
  console.log(
    `evidence in groups of ${group}: ${Math.round(rounds * group / seconds)} records a second`,
  );
  const burst = performance.now();
  let asked = 0;
  while (performance.now() - burst < 1_000) {
    await Promise.all(Array.from({ length: 256 }, () => answer(own, client(), PATIENT)));
    asked += 256;
  }
  console.log(
    `answers with evidence in memory: ${Math.round(asked / (performance.now() - burst) * 1_000)}` +
      " a second",
  );
  await spool[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
  await Deno.remove(directory, { recursive: true });
}

/** From the moment another policy is in force at the gateway to the last answer by the old one. */
async function measureStaleness(): Promise<void> {
  const world = await openWorld(POLICY);
  const { runtime, agent, gateway } = world;
  const stale_ms: number[] = [];
  for (let change = 0; change < CHANGES; change++) {
    await until(() => runtime.room.status().decides_locally, "authority");
    const allows = change % 2 === 0;
    let in_force_ms = Infinity;
    let last_ms = -Infinity;
    const deaf = gateway.gateway.policy.onReplaced(() => in_force_ms = performance.now());
    let asking = true;
    const expected = allows ? 1 : 2;
    const asked = (async () => {
      while (asking) {
        const answer = await runtime.room.decisions.answer(
          toolQuery(agent, "search"),
          client(),
          PATIENT,
        );
        if (answer.decision === expected) last_ms = performance.now();
        // Lets the socket be read, as it is between two frames.
        await new Promise((done) => setTimeout(done, 0));
      }
    })();
    await world.edit(
      allows ? POLICY.replace("search: { allow: true }", "search: { allow: false }") : POLICY,
    );
    await until(() => last_ms > 0 && performance.now() - last_ms > 100, "the new policy");
    asking = false;
    await asked;
    deaf();
    stale_ms.push(Math.max(0, last_ms - in_force_ms));
  }
  stale_ms.sort((a, b) => a - b);
  const at = (share: number) => stale_ms[Math.floor((stale_ms.length - 1) * share)]?.toFixed(2);
  console.log("\nFrom another policy in force at the gateway to the last answer by the old one");
  console.table([{ changes: CHANGES, p50_ms: at(0.5), worst_ms: at(1) }]);
  await world[Symbol.asyncDispose]();
}

await measureSteps();
await measureStaleness();
await measureSocket();
