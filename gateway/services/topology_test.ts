/** Lineage and relations, asked for over a gateway's own port. */
import assert from "node:assert/strict";
import { Code, createClient, Metadata } from "../../grpc/mod.ts";
import { IamService } from "../../proto/gen/assembly/admin/v1/iam_pb.ts";
import { IdentityService } from "../../proto/gen/assembly/admin/v1/identity_pb.ts";
import { TopologyAdminService } from "../../proto/gen/assembly/admin/v1/topology_pb.ts";
import { TopologyService } from "../../proto/gen/assembly/topology/v1/topology_pb.ts";
import { registerAgent, type TestAgent } from "../../tests/harness/agent.ts";
import {
  type EmbeddedGateway,
  embeddedGateway,
  refusalOf,
} from "../../tests/harness/embedded_gateway.ts";
import { registryKeyOf } from "../identity/keys.ts";

const OPS = { org: "acme", team: "ops" };

function keyOf({ org, team, did }: TestAgent): string {
  return registryKeyOf({ org_id: org, team_id: team, agent_id: did });
}

function as(agent: TestAgent): { metadata: Metadata } {
  return { metadata: new Metadata().set("x-aa-credential-token", agent.token) };
}

function client(on: EmbeddedGateway) {
  return createClient(TopologyService, on.channel);
}

async function codeOf(call: Promise<unknown>): Promise<Code> {
  return (await refusalOf(call)).code;
}

/** root > child > grandchild of acme/ops. */
async function family(on: EmbeddedGateway): Promise<[TestAgent, TestAgent, TestAgent]> {
  const root = await registerAgent(on.channel, OPS);
  const child = await registerAgent(on.channel, { ...OPS, parent: root.did });
  const grandchild = await registerAgent(on.channel, { ...OPS, parent: child.did });
  return [root, child, grandchild];
}

Deno.test("an agent sees the tree of its root, as deep as it asks", async () => {
  await using on = await embeddedGateway();
  const [root, child, grandchild] = await family(on);
  const whole = await client(on).getAgentTree({ agentId: keyOf(root) }, as(grandchild));
  const top = whole.root;
  assert.deepEqual([top?.agent?.id, top?.agent?.depth, top?.agent?.status], [
    keyOf(root),
    0,
    "active",
  ]);
  assert.equal(top?.children[0]?.agent?.id, keyOf(child));
  assert.equal(top?.children[0]?.children[0]?.agent?.id, keyOf(grandchild));
  const one = await client(on).getAgentTree({ agentId: keyOf(root), maxDepth: 1 }, as(root));
  assert.deepEqual(one.root?.children.map(({ children }) => children.length), [0]);
  const below = client(on).getAgentTree({ agentId: keyOf(child) }, as(root));
  assert.equal(await codeOf(below), Code.FAILED_PRECONDITION);
});

Deno.test("a lineage is the ancestors, the root first; a team is sorted by key", async () => {
  await using on = await embeddedGateway();
  const [root, child, grandchild] = await family(on);
  const { ancestors } = await client(on).getLineage({ agentId: keyOf(grandchild) }, as(root));
  assert.deepEqual(ancestors.map(({ id }) => id), [keyOf(root), keyOf(child)]);
  assert.deepEqual(
    (await client(on).getLineage({ agentId: keyOf(root) }, as(root))).ancestors,
    [],
  );
  const { members } = await client(on).getTeamMembers({ teamId: "ops" }, as(child));
  assert.deepEqual(members.map(({ id }) => id), [root, child, grandchild].map(keyOf).sort());
});

Deno.test("status words are the reference's three, in lower case", async () => {
  await using on = await embeddedGateway();
  const [root, child] = await family(on);
  const operator = { metadata: on.operator };
  const identity = createClient(IdentityService, on.channel);
  await identity.killAgent({ agent: child.did, reason: "x" }, operator);
  const tree = await client(on).getAgentTree({ agentId: keyOf(root) }, as(root));
  assert.equal(tree.root?.children[0]?.agent?.status, "suspended");
  const gone = await registerAgent(on.channel, OPS);
  await identity.deregisterAgent({ agent: gone.did, reason: "x" }, operator);
  const { root: ended } = await client(on).getAgentTree({ agentId: keyOf(gone) }, as(root));
  assert.equal(ended?.agent?.status, "deregistered");
});

Deno.test("ids, teams, kinds and metadata are refused by field, tenants by name alone", async () => {
  await using on = await embeddedGateway();
  const [root, child] = await family(on);
  const sales = await registerAgent(on.channel, { org: "acme", team: "sales" });
  const elsewhere = await registerAgent(on.channel, { org: "other", team: "ops" });
  const nobody = await registerAgent(on.channel);
  const topology = client(on);
  const edge = { sourceAgentId: keyOf(root), targetAgentId: keyOf(child), edgeType: "calls" };
  const unknown = "0".repeat(32);
  const refused: [Promise<unknown>, Code][] = [
    [topology.getAgentTree({ agentId: root.did }, as(root)), Code.INVALID_ARGUMENT],
    [topology.getLineage({ agentId: "xyz" }, as(root)), Code.INVALID_ARGUMENT],
    [topology.getLineage({ agentId: unknown }, as(root)), Code.NOT_FOUND],
    [topology.getTeamMembers({ teamId: "" }, as(root)), Code.INVALID_ARGUMENT],
    [topology.getTeamMembers({ teamId: "nowhere" }, as(root)), Code.NOT_FOUND],
    [topology.getTeamMembers({ teamId: "sales" }, as(root)), Code.PERMISSION_DENIED],
    [topology.getLineage({ agentId: keyOf(sales) }, as(root)), Code.PERMISSION_DENIED],
    [topology.getLineage({ agentId: keyOf(elsewhere) }, as(root)), Code.PERMISSION_DENIED],
    [topology.getLineage({ agentId: keyOf(root) }, as(nobody)), Code.PERMISSION_DENIED],
    [topology.getLineage({ agentId: keyOf(nobody) }, as(root)), Code.PERMISSION_DENIED],
    [topology.reportEdge({ ...edge, edgeType: "likes" }, as(root)), Code.INVALID_ARGUMENT],
    [topology.reportEdge({ ...edge, metadataJson: "{" }, as(root)), Code.INVALID_ARGUMENT],
    [topology.reportEdge({ ...edge, targetAgentId: unknown }, as(root)), Code.NOT_FOUND],
    [
      topology.reportEdge({ ...edge, targetAgentId: keyOf(sales) }, as(root)),
      Code.PERMISSION_DENIED,
    ],
    [topology.reportEdge(edge, as(sales)), Code.PERMISSION_DENIED],
    [topology.reportEdge(edge), Code.UNAUTHENTICATED],
    [topology.reportEdge(edge, { metadata: on.operator }), Code.UNAUTHENTICATED],
  ];
  for (const [call, code] of refused) assert.equal(await codeOf(call), code);
});

Deno.test("all six kinds are taken; ids count up; cycles are accepted, and told on reading", async () => {
  await using on = await embeddedGateway();
  const [root, child] = await family(on);
  const topology = client(on);
  const kinds = ["delegates_to", "calls", "reads", "writes", "approves", "messages"];
  const ids: bigint[] = [];
  for (const edgeType of kinds) {
    const ends = { sourceAgentId: keyOf(root), targetAgentId: keyOf(child).toUpperCase() };
    ids.push((await topology.reportEdge({ ...ends, edgeType }, as(root))).id);
  }
  assert.deepEqual(ids, [1n, 2n, 3n, 4n, 5n, 6n]);
  const admin = createClient(TopologyAdminService, on.channel);
  const operator = { metadata: on.operator };
  assert.deepEqual((await admin.cycles({}, operator)).cycles, []);
  const back = { sourceAgentId: keyOf(child), targetAgentId: keyOf(root), edgeType: "calls" };
  await topology.reportEdge(back, as(child));
  const { cycles } = await admin.cycles({}, operator);
  assert.deepEqual(cycles.map(({ memberKeys }) => memberKeys), [
    [keyOf(root), keyOf(child)].sort(),
  ]);
  assert.deepEqual((await admin.cycles({ kinds: ["reads"] }, operator)).cycles, []);
  const page = await admin.listEdges({ agent: root.did, limit: 4 }, operator);
  assert.deepEqual(page.edges.map(({ id }) => id), [6n, 5n, 4n, 3n]);
  const rest = await admin.listEdges(
    { agent: root.did, limit: 4, beforeId: page.nextBeforeId },
    operator,
  );
  assert.deepEqual([rest.edges.map(({ id }) => id), rest.nextBeforeId], [[2n, 1n], 0n]);
});

Deno.test("an operator may declare an edge across teams, and sees which teams are related", async () => {
  await using on = await embeddedGateway();
  const admin = createClient(TopologyAdminService, on.channel);
  const operator = { metadata: on.operator };
  const ops = await registerAgent(on.channel, OPS);
  const sales = await registerAgent(on.channel, { org: "acme", team: "sales" });
  const { edge } = await admin.declareEdge(
    { source: ops.did, target: keyOf(sales), kind: "messages" },
    operator,
  );
  assert.deepEqual([edge?.crossTeam, edge?.reportedBy], [true, "operator:local"]);
  const { edges, pairs } = await admin.crossTeam({}, operator);
  assert.equal(edges.length, 1);
  assert.deepEqual(
    pairs.map(({ sourceTeamId, targetTeamId, edges }) => [sourceTeamId, targetTeamId, edges]),
    [["ops", "sales", 1]],
  );
});

Deno.test("an operator of one team sees its own agents, and no tree of another", async () => {
  await using on = await embeddedGateway();
  const [root, child, grandchild] = await family(on);
  const sales = await registerAgent(on.channel, { org: "acme", team: "sales" });
  const { token } = await createClient(IamService, on.channel).createOperator(
    { name: "vic", role: "viewer", orgId: "acme", teamId: "ops" },
    { metadata: on.operator },
  );
  const viewer = { metadata: new Metadata().set("authorization", `Bearer ${token}`) };
  const admin = createClient(TopologyAdminService, on.channel);
  const all = await admin.getTopology({}, viewer);
  assert.deepEqual(all.nodes.map(({ key }) => key), [root, child, grandchild].map(keyOf));
  const lineage = await admin.getTopology({ ancestorsOf: grandchild.did }, viewer);
  assert.deepEqual(lineage.nodes.map(({ depth }) => depth), [0, 1, 2]);
  const tree = await admin.getTopology({ agent: child.did }, viewer);
  assert.deepEqual(tree.nodes.map(({ key }) => key), [child, grandchild].map(keyOf));
  const refused: [Promise<unknown>, Code][] = [
    [admin.getTopology({ agent: keyOf(sales) }, viewer), Code.PERMISSION_DENIED],
    [
      admin.declareEdge({ source: root.did, target: child.did, kind: "calls" }, viewer),
      Code.PERMISSION_DENIED,
    ],
    [admin.getTopology({ agent: root.did, teamId: "ops" }, viewer), Code.INVALID_ARGUMENT],
    [admin.listEdges({ direction: "sideways" }, viewer), Code.INVALID_ARGUMENT],
    [admin.cycles({ kinds: ["likes"] }, viewer), Code.INVALID_ARGUMENT],
    [admin.getTopology({}), Code.UNAUTHENTICATED],
  ];
  for (const [call, code] of refused) assert.equal(await codeOf(call), code);
  const team = await admin.getTopology({ teamId: "sales" }, viewer);
  assert.deepEqual(team.nodes, []);
});
