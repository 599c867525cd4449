/** Credentials and enrolments of agents, asked for over a gateway's own port. */
import assert from "node:assert/strict";
import { Code, createClient, Metadata } from "../../grpc/mod.ts";
import { AdminService } from "../../proto/gen/assembly/admin/v1/admin_pb.ts";
import { IamService } from "../../proto/gen/assembly/admin/v1/iam_pb.ts";
import { IdentityService } from "../../proto/gen/assembly/admin/v1/identity_pb.ts";
import { AgentLifecycleService } from "../../proto/gen/assembly/agent/v1/agent_pb.ts";
import { PolicyService } from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import { newIdentity, registerAgent, type TestAgent } from "../../tests/harness/agent.ts";
import {
  type EmbeddedGateway,
  embeddedGateway,
  refusalOf,
} from "../../tests/harness/embedded_gateway.ts";
import { registryKeyOf } from "../identity/keys.ts";

function idOf({ org, team, did }: TestAgent) {
  return { orgId: org, teamId: team, agentId: did };
}

function keyOf({ org, team, did }: TestAgent): string {
  return registryKeyOf({ org_id: org, team_id: team, agent_id: did });
}

async function answerTo(on: EmbeddedGateway, agent: TestAgent, token = agent.token) {
  const { decision, reason } = await createClient(PolicyService, on.channel).checkAction({
    agentId: idOf(agent),
    credentialToken: token,
    context: { action: { case: "toolCall", value: { toolName: "search" } } },
  });
  return decision === 1 ? "allow" : reason;
}

function bearer(token: string): { metadata: Metadata } {
  return { metadata: new Metadata().set("authorization", `Bearer ${token}`) };
}

/** What the log says of changes whose name holds `word`, oldest first. */
async function recorded(on: EmbeddedGateway, word: string): Promise<string[]> {
  const { entries } = await on.gateway.audit.list({ limit: 100 });
  return entries.toReversed().map(({ line }) => {
    const { event_type, payload } = JSON.parse(line);
    return `${event_type} ${JSON.parse(payload).action} by ${JSON.parse(payload).actor}`;
  }).filter((text) => text.includes(word));
}

const TENANT = { org: "acme", team: "ops" };

Deno.test("trap 42: an agent rotates its token with the old one, which is dead at once", async () => {
  await using on = await embeddedGateway(["--agent-token-ttl", "1h"]);
  const identity = createClient(IdentityService, on.channel);
  const agent = await registerAgent(on.channel, TENANT);
  const rotated = await identity.rotateAgentToken({ agentId: idOf(agent) }, bearer(agent.token));
  assert.ok(rotated.expiresAtUnixMs > BigInt(Date.now()));
  assert.equal(await answerTo(on, agent), "credential token mismatch");
  assert.equal(await answerTo(on, agent, rotated.credentialToken), "allow");
  const again = identity.rotateAgentToken({ agentId: idOf(agent) }, bearer(agent.token));
  assert.equal((await refusalOf(again)).code, Code.UNAUTHENTICATED);
  assert.deepEqual(await recorded(on, "rotated"), [
    `GovernanceMutation agent_token_rotated by agent:${agent.did}`,
  ]);
  on.advance(3_600_000);
  assert.equal(await answerTo(on, agent, rotated.credentialToken), "credential token expired");
});

Deno.test("an agent that lost its token gets a new one for a signature, and only for its own", async () => {
  await using on = await embeddedGateway();
  const identity = createClient(IdentityService, on.channel);
  const lifecycle = createClient(AgentLifecycleService, on.channel);
  const agent = await registerAgent(on.channel, TENANT);
  const thief = newIdentity();
  const challenge = async () =>
    (await lifecycle.requestChallenge({ agentId: idOf(agent), publicKey: agent.public_key })).nonce;
  const nonce = await challenge();
  const forged = identity.rotateAgentToken({
    agentId: idOf(agent),
    registrationNonce: nonce,
    possessionProof: new Uint8Array(64),
  });
  assert.equal((await refusalOf(forged)).code, Code.UNAUTHENTICATED);
  const reused = identity.rotateAgentToken({
    agentId: idOf(agent),
    registrationNonce: nonce,
    possessionProof: agent.sign(nonce),
  });
  assert.equal((await refusalOf(reused)).code, Code.UNAUTHENTICATED);
  const foreign = await lifecycle.requestChallenge({
    agentId: { ...idOf(agent), agentId: thief.did },
    publicKey: thief.public_key,
  });
  const stolen = identity.rotateAgentToken({
    agentId: idOf(agent),
    registrationNonce: foreign.nonce,
    possessionProof: agent.sign(foreign.nonce),
  });
  assert.equal((await refusalOf(stolen)).code, Code.UNAUTHENTICATED);
  assert.equal(await answerTo(on, agent), "allow");
  const fresh = await challenge();
  const { credentialToken } = await identity.rotateAgentToken({
    agentId: idOf(agent),
    registrationNonce: fresh,
    possessionProof: agent.sign(fresh),
  });
  assert.equal(await answerTo(on, agent, credentialToken), "allow");
  assert.equal(await answerTo(on, agent), "credential token mismatch");
});

Deno.test("a kill ends an agent on the decision path, with its evidence before the answer", async () => {
  await using on = await embeddedGateway();
  const identity = createClient(IdentityService, on.channel);
  const lifecycle = createClient(AgentLifecycleService, on.channel);
  const known = newIdentity();
  const agent = await registerAgent(on.channel, { ...TENANT, identity: known });
  const stream = lifecycle.controlStream({
    agentId: idOf(agent),
    credentialToken: agent.token,
  });
  const heard = Array.fromAsync(stream);
  // The stream is open once a heartbeat on the same connection has been answered.
  await lifecycle.heartbeat({ agentId: idOf(agent), credentialToken: agent.token });
  const operator = { metadata: on.operator };
  const call = { agent: agent.did, reason: "exfiltration" };
  const killed = await identity.killAgent(call, operator);
  assert.deepEqual([killed.agent?.status, killed.agent?.credentialLive], ["suspended", false]);
  assert.deepEqual((await heard).map(({ command }) => command.case), ["kill"]);
  assert.equal(await answerTo(on, agent), "credential token revoked");
  const again = registerAgent(on.channel, { ...TENANT, identity: known });
  assert.equal((await refusalOf(again)).code, Code.ALREADY_EXISTS);
  const resumed = createClient(AdminService, on.channel).resumeAgent(
    { agent: agent.did, reason: "x" },
    operator,
  );
  assert.equal((await refusalOf(resumed)).code, Code.FAILED_PRECONDITION);
  assert.deepEqual(await recorded(on, "killed"), [
    "GovernanceMutation agent_killed by operator:local",
  ]);
});

Deno.test("an operator ends a registration for its descendants, too, as said for this once", async () => {
  await using on = await embeddedGateway(["--orphan-mode", "promote"]);
  const identity = createClient(IdentityService, on.channel);
  const operator = { metadata: on.operator };
  const parent = await registerAgent(on.channel, TENANT);
  const child = await registerAgent(on.channel, { ...TENANT, parent: parent.did });
  const wrong = { agent: parent.did, reason: "x", orphanMode: "forget" };
  assert.match(
    (await refusalOf(identity.deregisterAgent(wrong, operator))).message,
    /^orphan_mode/,
  );
  const { agent, also } = await identity.deregisterAgent(
    { agent: parent.did, reason: "retired", orphanMode: "cascade" },
    operator,
  );
  assert.equal(agent?.status, "deregistered");
  assert.deepEqual(also.map(({ key, status }) => [key, status]), [[keyOf(child), "deregistered"]]);
  assert.deepEqual(await recorded(on, "deregistered"), [
    "AgentForceDeregistered agent_deregistered by operator:local",
    "GovernanceMutation agent_deregistered by gateway",
  ]);
});

Deno.test("level, tier and place are an operator's to set, within what exists", async () => {
  await using on = await embeddedGateway();
  const identity = createClient(IdentityService, on.channel);
  const operator = { metadata: on.operator };
  const a = await registerAgent(on.channel, TENANT);
  const b = await registerAgent(on.channel, TENANT);
  const reason = "reviewed";
  const level = await identity.setGovernanceLevel({ agent: a.did, level: 2, reason }, operator);
  const tier = await identity.setRiskTier({ agent: a.did, tier: 4, reason }, operator);
  assert.deepEqual([level.agent?.governanceLevel, tier.agent?.riskTier], [2, 4]);
  const moved = await identity.reparentAgent({ agent: b.did, parent: a.did, reason }, operator);
  assert.deepEqual([moved.agent?.depth, moved.agent?.parentKey], [1, keyOf(a)]);
  const still = await identity.reparentAgent({ agent: b.did, parent: a.did, reason }, operator);
  assert.equal(still.auditIndex, undefined);
  const refusals: [Promise<unknown>, number][] = [
    [identity.setGovernanceLevel({ agent: a.did, level: 4, reason }, operator), 3],
    [identity.setRiskTier({ agent: a.did, tier: 0, reason }, operator), 3],
    [identity.setRiskTier({ agent: a.did, tier: 1, reason: " " }, operator), 3],
    [identity.reparentAgent({ agent: a.did, parent: b.did, reason }, operator), 3],
    [identity.reparentAgent({ agent: "nobody", parent: "", reason }, operator), 5],
    [identity.killAgent({ agent: a.did, reason }), 16],
    [identity.killAgent({ agent: a.did, reason }, bearer(a.token)), 16],
  ];
  for (const [call, code] of refusals) assert.equal((await refusalOf(call)).code, code);
});

Deno.test("trap 38: where enrolment is required, an operator's token decides who joins which tenant", async () => {
  await using on = await embeddedGateway(["--require-enrolment"]);
  const identity = createClient(IdentityService, on.channel);
  const operator = { metadata: on.operator };
  const alone = await refusalOf(registerAgent(on.channel, TENANT));
  assert.deepEqual([alone.code, /^agent_id\.org_id/.test(alone.message)], [
    Code.PERMISSION_DENIED,
    true,
  ]);
  const { token, enrolment } = await identity.createEnrolment({
    orgId: "acme",
    teamId: "ops",
    maxUses: 2,
    expiresAtUnixMs: BigInt(Date.now() + 60_000),
  }, operator);
  assert.match(token, /^aasm_enrol_[\w-]{43}$/);
  const agent = await registerAgent(on.channel, { ...TENANT, enrolment: token });
  const shown = await createClient(AdminService, on.channel).getAgent(
    { agent: agent.did },
    operator,
  );
  assert.deepEqual([shown.agent?.tenancy, shown.agent?.enrolmentId], ["enrolled", enrolment?.id]);
  const id = enrolment?.id ?? "";
  await identity.revokeEnrolment({ id, reason: "done" }, operator);
  const late = registerAgent(on.channel, { ...TENANT, enrolment: token });
  assert.equal((await refusalOf(late)).code, Code.UNAUTHENTICATED);
  const { enrolments: live } = await identity.listEnrolments({}, operator);
  const { enrolments: all } = await identity.listEnrolments({ ended: true }, operator);
  assert.deepEqual([live.length, all.map(({ state, uses }) => [state, uses])], [0, [[
    "revoked",
    1,
  ]]]);
});

Deno.test("an operator of one team enrols for that team, and touches no other team's agents", async () => {
  await using on = await embeddedGateway();
  const identity = createClient(IdentityService, on.channel);
  const { token } = await teamAdmin(on);
  const own = bearer(token);
  const expiresAtUnixMs = BigInt(Date.now() + 60_000);
  const mine = { orgId: "acme", teamId: "ops", expiresAtUnixMs };
  await identity.createEnrolment(mine, own);
  await identity.createEnrolment({ ...mine, teamId: "sales" }, { metadata: on.operator });
  const other = identity.createEnrolment({ ...mine, teamId: "sales" }, own);
  assert.equal((await refusalOf(other)).code, Code.PERMISSION_DENIED);
  const { enrolments } = await identity.listEnrolments({}, own);
  assert.deepEqual(enrolments.map(({ teamId }) => teamId), ["ops"]);
  const { enrolments: all } = await identity.listEnrolments({}, { metadata: on.operator });
  const foreign = all.find(({ teamId }) => teamId === "sales")?.id ?? "";
  const revoke = identity.revokeEnrolment({ id: foreign, reason: "x" }, own);
  assert.equal((await refusalOf(revoke)).code, Code.PERMISSION_DENIED);
  const agent = await registerAgent(on.channel, { org: "acme", team: "sales" });
  const kill = identity.killAgent({ agent: keyOf(agent), reason: "x" }, own);
  assert.equal((await refusalOf(kill)).code, Code.PERMISSION_DENIED);
  assert.equal(await answerTo(on, agent), "allow");
});

/** An operator bound to acme/ops. */
async function teamAdmin(on: EmbeddedGateway): Promise<{ token: string }> {
  return await createClient(IamService, on.channel).createOperator(
    { name: "tess", role: "team_admin", orgId: "acme", teamId: "ops" },
    { metadata: on.operator },
  );
}

Deno.test("what a gateway lets pass without an operator's word is named in its status", async () => {
  const stateOf = async (flags: readonly string[]) => {
    await using on = await embeddedGateway(flags);
    const { components } = await createClient(AdminService, on.channel)
      .getStatus({}, { metadata: on.operator });
    return ["enrolment", "stale agents"].map((name) =>
      components.find((component) => component.name === name)?.state
    );
  };
  assert.deepEqual(await stateOf([]), ["permissive", "enforcing"]);
  const other = ["--require-enrolment", "--stale-agents", "allow"];
  assert.deepEqual(await stateOf(other), ["enforcing", "permissive"]);
});
