/** `aasm agent` and `aasm topology` against a whole gateway. */
import assert from "node:assert/strict";
import { runCli } from "../../cli/testing/run_cli.ts";
import { registryKeyOf } from "../../gateway/identity/keys.ts";
import { createClient, Metadata } from "../../grpc/mod.ts";
import { TopologyService } from "../../proto/gen/assembly/topology/v1/topology_pb.ts";
import { registerAgent, type TestAgent } from "../harness/agent.ts";
import { type EmbeddedGateway, embeddedGateway } from "../harness/embedded_gateway.ts";

const OPS = { org: "acme", team: "ops" };

function keyOf({ org, team, did }: TestAgent): string {
  return registryKeyOf({ org_id: org, team_id: team, agent_id: did });
}

/** Runs one command that must succeed; JSON out. */
async function json(on: EmbeddedGateway, ...argv: string[]) {
  const { code, out, err } = await runCli([...on.cli_flags, "--output", "json", ...argv], {
    now_ms: Date.now(),
  });
  assert.equal(code, 0, err);
  return JSON.parse(out);
}

async function text(on: EmbeddedGateway, ...argv: string[]): Promise<string> {
  const { code, out, err } = await runCli([...on.cli_flags, ...argv], { now_ms: Date.now() });
  assert.equal(code, 0, err);
  return out;
}

async function edge(on: EmbeddedGateway, from: TestAgent, to: TestAgent, edgeType: string) {
  await createClient(TopologyService, on.channel).reportEdge(
    { sourceAgentId: keyOf(from), targetAgentId: keyOf(to), edgeType },
    { metadata: new Metadata().set("x-aa-credential-token", from.token) },
  );
}

Deno.test("an operator kills, moves, grades, revokes and deregisters from the command line", async () => {
  await using on = await embeddedGateway();
  const a = await registerAgent(on.channel, OPS);
  const b = await registerAgent(on.channel, { ...OPS, parent: a.did });
  const c = await registerAgent(on.channel, { ...OPS, parent: b.did });
  const why = ["--reason", "because"];
  assert.equal(
    (await json(on, "agent", "set-level", a.did, "3", ...why)).agent.governance_level,
    3,
  );
  assert.equal(
    (await json(on, "agent", "set-tier", a.did, "high", ...why)).agent.risk_tier,
    "high",
  );
  const moved = await json(on, "agent", "reparent", c.did, "--parent", a.did, ...why);
  assert.deepEqual([moved.agent.depth, moved.agent.parent_key], [1, keyOf(a)]);
  assert.match(
    await text(on, "agent", "reparent", c.did, "--parent", a.did, ...why),
    /nothing to change/,
  );
  const revoked = await json(on, "agent", "revoke-token", c.did, ...why);
  assert.equal(revoked.agent.credential_live, false);
  const killed = await json(on, "agent", "kill", b.did, ...why);
  assert.deepEqual([killed.agent.status, killed.previous_status], ["suspended", "active"]);
  const ended = await json(on, "agent", "deregister", a.did, "--orphans", "promote", ...why);
  assert.deepEqual(ended.also.map(({ depth }: { depth: number }) => depth), [0, 0]);
  const shown = await text(on, "agent", "inspect", b.did);
  assert.match(shown, /token +none, or expired/);
  assert.match(shown, /tenant by +the agent's own word/);
  const refused = await runCli([...on.cli_flags, "agent", "kill", b.did, ...why]);
  assert.deepEqual([refused.code, /killed already/.test(refused.err)], [1, true]);
});

Deno.test("an agent rotates its token from the command line, without an operator's", async () => {
  await using on = await embeddedGateway();
  const agent = await registerAgent(on.channel, OPS);
  const flags = [...on.cli_flags.slice(0, 2), "--output", "json"];
  const words = ["agent", "rotate-token", agent.did, "--org", "acme", "--team", "ops"];
  const rotated = await runCli([...flags, ...words, "--token", agent.token]);
  assert.equal(rotated.code, 0, rotated.err);
  assert.match(JSON.parse(rotated.out).credential_token, /^[0-9a-f-]{36}$/);
  const again = await runCli([...flags, ...words, "--token", agent.token]);
  assert.equal(again.code, 1);
  assert.ok(!again.err.includes(agent.token));
});

Deno.test("an enrolment is made, used, listed and revoked; its token is printed once", async () => {
  await using on = await embeddedGateway(["--require-enrolment"]);
  const tenant = ["--org", "acme", "--team", "ops"];
  const made = await json(
    on,
    ...["agent", "enrol", "create", ...tenant, "--uses", "2", "--for", "1h", "--tier", "low"],
  );
  assert.match(made.token, /^aasm_enrol_/);
  assert.deepEqual([made.enrolment.state, made.enrolment.risk_tiers], ["live", ["low"]]);
  const agent = await registerAgent(on.channel, { ...OPS, enrolment: made.token });
  const shown = await text(on, "agent", "inspect", agent.did);
  assert.ok(shown.includes(`enrolment ${made.enrolment.id}`));
  const listed = await text(on, "agent", "enrol", "list");
  assert.match(listed, /live +1\/2/);
  assert.ok(!listed.includes(made.token));
  const why = ["--reason", "done"];
  const { enrolment } = await json(on, "agent", "enrol", "revoke", made.enrolment.id, ...why);
  assert.equal(enrolment.state, "revoked");
  assert.deepEqual(await json(on, "agent", "enrol", "list"), []);
  assert.equal((await json(on, "agent", "enrol", "list", "--all")).length, 1);
  const nobody = await runCli([...on.cli_flags, "agent", "enrol", "create"], {
    now_ms: Date.now(),
  });
  assert.deepEqual([nobody.code, /org_id/.test(nobody.err)], [2, true]);
});

Deno.test("lineage is drawn, listed and narrowed", async () => {
  await using on = await embeddedGateway();
  const a = await registerAgent(on.channel, OPS);
  const b = await registerAgent(on.channel, { ...OPS, parent: a.did });
  const c = await registerAgent(on.channel, { ...OPS, parent: b.did });
  const d = await registerAgent(on.channel, { org: "acme", team: "sales" });
  const tree = await text(on, "topology", "tree", a.did);
  const lines = tree.trimEnd().split("\n");
  assert.deepEqual(lines.map((line) => line.split(" [")[0]), [
    a.did,
    `└─ ${b.did}`,
    `   └─ ${c.did}`,
  ]);
  const all = await json(on, "topology", "tree", "--max-depth", "1");
  const keys = (nodes: { key: string }[]) => nodes.map(({ key }) => key).sort();
  assert.deepEqual(keys(all), [a, b, d].map(keyOf).sort());
  assert.deepEqual(keys(await json(on, "topology", "lineage", b.did)), [a, b].map(keyOf).sort());
  assert.deepEqual(keys(await json(on, "topology", "team", "sales")), [keyOf(d)]);
  assert.match(await text(on, "topology", "team", "ops", "--org", "acme"), /^AGENT .*KEY/);
});

Deno.test("edges and cycles are listed, newest first", async () => {
  await using on = await embeddedGateway();
  const a = await registerAgent(on.channel, OPS);
  const b = await registerAgent(on.channel, OPS);
  await edge(on, a, b, "calls");
  await edge(on, b, a, "messages");
  const edges = await json(on, "topology", "edges");
  assert.deepEqual(edges.map(({ id, kind }: { id: number; kind: string }) => [id, kind]), [
    [2, "messages"],
    [1, "calls"],
  ]);
  const into = await json(on, "topology", "edges", "--agent", a.did, "--direction", "incoming");
  assert.equal(into.length, 1);
  assert.deepEqual(await json(on, "topology", "edges", "--cross-team"), []);
  const { cycles } = await json(on, "topology", "cycles");
  assert.deepEqual(cycles[0].member_keys, [a, b].map(keyOf).sort());
  assert.match(await text(on, "topology", "cycles"), /2 +calls, messages/);
  const misused = await runCli([
    ...on.cli_flags,
    ...["topology", "edges", "--cross-team", "--kind", "calls"],
  ]);
  assert.equal(misused.code, 2);
});
