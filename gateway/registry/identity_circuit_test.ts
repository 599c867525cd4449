import assert from "node:assert/strict";
import fc from "fast-check";
import { isLookupFailure } from "../../core/principal.ts";
import { hash16Hex } from "../identity/keys.ts";
import { Fixture, triple } from "./registry_fixture.ts";

function principal(fixture: Fixture, agent_id: string, token: string) {
  const identity = fixture.registry.principalFor(triple(agent_id), token, fixture.now_ms);
  assert.ok(identity.outcome === "ok", JSON.stringify(identity));
  return identity.principal;
}

function denial(fixture: Fixture, agent_id: string, token: string) {
  const identity = fixture.registry.principalFor(triple(agent_id), token, fixture.now_ms);
  assert.ok(identity.outcome === "identity_denied", JSON.stringify(identity));
  return identity;
}

Deno.test("I1: a registered agent without a token is denied", async () => {
  const fixture = await Fixture.create();
  await fixture.register("a");
  assert.deepEqual(denial(fixture, "a", ""), {
    outcome: "identity_denied",
    reason: "missing credential token",
    assurance: "asserted",
    registered: true,
    token_present: false,
  });
});

Deno.test("I2: a registered agent with a wrong token is denied, whoever's token it is", async () => {
  const fixture = await Fixture.create();
  await fixture.register("a");
  const other = await fixture.register("b");
  for (const token of ["wrong", other.credential_token, " ", "x".repeat(1 << 16)]) {
    assert.equal(denial(fixture, "a", token).reason, "credential token mismatch");
  }
});

Deno.test("I3: an unregistered id with another agent's token is denied, also when it is blank", async () => {
  const fixture = await Fixture.create();
  const { credential_token } = await fixture.register("a");
  const reason = "credential token registered to a different agent";
  assert.equal(denial(fixture, "ghost", credential_token).reason, reason);
  assert.equal(denial(fixture, "", credential_token).reason, reason);
  assert.equal(denial(fixture, " ", credential_token).assurance, "unattributed");
  const elsewhere = { ...triple("a"), team_id: "other" };
  const identity = fixture.registry.principalFor(elsewhere, credential_token, fixture.now_ms);
  assert.ok(identity.outcome === "identity_denied");
  assert.equal(identity.reason, reason);
});

Deno.test("I4: an unregistered agent is asked about without its claimed tenant", async () => {
  const fixture = await Fixture.create();
  await fixture.register("a");
  for (const token of ["", "unknown"]) {
    assert.deepEqual(principal(fixture, "ghost", token), {
      assurance: "asserted",
      agent_id: "ghost",
      engine_key: hash16Hex("ghost"),
      status: "active",
      context: { governance_level: 0 },
    });
  }
  for (const blank of ["", " ", "\t"]) {
    const { assurance, agent_id, engine_key } = principal(fixture, blank, "");
    assert.deepEqual({ assurance, agent_id, engine_key }, {
      assurance: "unattributed",
      agent_id: "",
      engine_key: "0".repeat(32),
    });
  }
});

Deno.test("a registered agent with its token is bound to the registry's facts", async () => {
  const fixture = await Fixture.create();
  const { agent, credential_token } = await fixture.register("agent-1", { risk_tier: "high" });
  const bound = principal(fixture, "agent-1", credential_token);
  assert.equal(bound.assurance, "bound");
  assert.equal(bound.engine_key, "6ff3b3bd11c44cac620c43d5b65377bd");
  assert.equal(bound.registry_key, "0a6b9cf8229cff84a9b0b8bcdc476c2f");
  assert.equal(bound.registry_key, agent.key);
  assert.deepEqual([bound.org_id, bound.team_id, bound.status], ["acme", "ops", "active"]);
});

Deno.test("an agent without organisation and team has no tenant in its principal", async () => {
  const fixture = await Fixture.create();
  const names = { org_id: "", team_id: "" };
  const { credential_token } = await fixture.register("a", names);
  const claimed = { ...names, agent_id: "a" };
  const identity = fixture.registry.principalFor(claimed, credential_token, fixture.now_ms);
  assert.ok(identity.outcome === "ok");
  assert.ok(!("org_id" in identity.principal) && !("team_id" in identity.principal));
  assert.equal(identity.principal.context?.team_active_agents, undefined);
});

Deno.test("trap 39: strict mode denies agents that are not registered", async () => {
  const fixture = await Fixture.create({ strict: true });
  const { credential_token } = await fixture.register("a");
  assert.equal(denial(fixture, "ghost", "").reason, "agent is not registered");
  assert.equal(denial(fixture, "", "unknown").reason, "agent is not registered");
  assert.equal(principal(fixture, "a", credential_token).assurance, "bound");
});

Deno.test("trap 42: a deregistered agent's token is dead, and its name is not an unknown agent's", async () => {
  const fixture = await Fixture.create();
  const { agent, credential_token } = await fixture.register("a");
  const ending = fixture.registry.deregister(agent.key, "done");
  await ending;
  assert.equal(fixture.registry.byToken(credential_token), undefined);
  assert.equal(principal(fixture, "a", credential_token).status, "deregistered");
  assert.equal(principal(fixture, "a", "").status, "deregistered");
  await fixture.restart();
  assert.equal(principal(fixture, "a", credential_token).status, "deregistered");
});

Deno.test("trap 6: a suspended agent's principal says so", async () => {
  const fixture = await Fixture.create();
  const { agent, credential_token } = await fixture.register("a");
  await fixture.registry.suspend(agent.key, "looked odd");
  assert.equal(principal(fixture, "a", credential_token).status, "suspended");
  await fixture.registry.resume(agent.key, "looked at");
  assert.equal(principal(fixture, "a", credential_token).status, "active");
});

Deno.test("trap 43: an agent that stops its heartbeats is stale after three intervals", async () => {
  const fixture = await Fixture.create();
  const { agent, credential_token } = await fixture.register("a");
  const status = () => principal(fixture, "a", credential_token).status;
  fixture.registry.heartbeat(agent.key);
  fixture.now_ms += 90_000;
  assert.equal(status(), "active");
  fixture.now_ms += 1;
  assert.equal(status(), "stale");
  fixture.registry.heartbeat(agent.key);
  assert.equal(status(), "active");
});

Deno.test("an agent that never sends heartbeats is never stale", async () => {
  const fixture = await Fixture.create();
  const { credential_token } = await fixture.register("a");
  fixture.now_ms += 365 * 24 * 3_600_000;
  assert.equal(principal(fixture, "a", credential_token).status, "active");
});

Deno.test("a restart of the gateway is not an agent's silence", async () => {
  const fixture = await Fixture.create();
  const { agent, credential_token } = await fixture.register("a");
  fixture.registry.heartbeat(agent.key);
  await fixture.registry.close();
  fixture.now_ms += 3_600_000;
  await fixture.restart();
  assert.equal(principal(fixture, "a", credential_token).status, "active");
  fixture.now_ms += 90_001;
  assert.equal(principal(fixture, "a", credential_token).status, "stale");
});

Deno.test("texts that share a registry key are still different agents", async () => {
  const fixture = await Fixture.create();
  const one = { org_id: "a/b", team_id: "c" };
  const other = { org_id: "a", team_id: "b/c", agent_id: "x" };
  const { credential_token } = await fixture.register("x", one);
  assert.equal(fixture.registry.byTriple(other), undefined);
  const identity = fixture.registry.principalFor(other, credential_token, fixture.now_ms);
  assert.ok(identity.outcome === "identity_denied");
  await assert.rejects(fixture.register("x", other), { code: "already_exists" });
});

Deno.test("an ended registration speaks for its exact names only", async () => {
  const fixture = await Fixture.create();
  const { agent } = await fixture.register("x", { org_id: "a/b", team_id: "c" });
  await fixture.registry.deregister(agent.key, "done");
  const statusOf = (org_id: string, team_id: string) => {
    const claimed = { org_id, team_id, agent_id: "x" };
    const identity = fixture.registry.principalFor(claimed, "", fixture.now_ms);
    return identity.outcome === "ok" ? identity.principal.status : identity.reason;
  };
  assert.equal(statusOf("a/b", "c"), "deregistered");
  assert.equal(statusOf("a", "b/c"), "active");
});

Deno.test("no claimed name and no token ever bind, except the registered pair", async () => {
  const fixture = await Fixture.create();
  const { credential_token } = await fixture.register("a");
  await fixture.register("b");
  const name = fc.constantFrom("", "a", "b", "acme", "ops", "__proto__", "constructor");
  const any = fc.oneof(name, fc.string());
  const token = fc.oneof(fc.constantFrom("", credential_token), fc.string());
  fc.assert(
    fc.property(any, any, any, token, (org_id, team_id, agent_id, token) => {
      const claimed = { org_id, team_id, agent_id };
      const identity = fixture.registry.principalFor(claimed, token, fixture.now_ms);
      const right = org_id === "acme" && team_id === "ops" && agent_id === "a" &&
        token === credential_token;
      const bound = identity.outcome === "ok" && identity.principal.assurance === "bound";
      assert.equal(bound, right);
      if (identity.outcome === "ok" && !right) {
        assert.ok(!("org_id" in identity.principal), "an unproven tenant reached the policies");
        assert.ok(!("registry_key" in identity.principal));
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("the context shows lineage, children, team and age as they are now", async () => {
  const fixture = await Fixture.create({ teamBudgetRemaining: () => 5_000_000 });
  const root = await fixture.register("root", { risk_tier: "low" });
  const middle = await fixture.register("middle", {
    parent_agent_id: "root",
    risk_tier: "medium",
  });
  const context = principal(fixture, "middle", middle.credential_token).context;
  assert.ok(context !== undefined);
  fixture.now_ms += 60_000;
  await fixture.register("x", {
    parent_agent_id: "middle",
    risk_tier: "high",
    tool_names: ["search", "bash"],
  });
  const y = await fixture.register("y", { parent_agent_id: "middle", tool_names: ["bash"] });
  const seen = () => ({
    governance_level: context.governance_level,
    risk_tier: context.risk_tier,
    parent_risk_tier: context.parent_risk_tier,
    child_risk_tier: context.child_risk_tier,
    depth: context.depth,
    children_count: context.children_count,
    parent_agent_id: context.parent_agent_id,
    child_tools: context.child_tools,
    team_active_agents: context.team_active_agents,
    team_budget_remaining_micro_usd: context.team_budget_remaining_micro_usd,
  });
  const expected = {
    governance_level: 0,
    risk_tier: "medium",
    parent_risk_tier: "low",
    child_risk_tier: "high",
    depth: 1,
    children_count: 2,
    parent_agent_id: "root",
    child_tools: ["search", "bash"],
    team_active_agents: 4,
    team_budget_remaining_micro_usd: 5_000_000,
  };
  assert.deepEqual(seen(), expected);
  await fixture.registry.suspend(y.agent.key, "x");
  assert.deepEqual(seen(), { ...expected, team_active_agents: 3 });
  await fixture.registry.deregister(y.agent.key, "x");
  assert.deepEqual(seen(), { ...expected, children_count: 1, team_active_agents: 3 });
  assert.equal(principal(fixture, "root", root.credential_token).context?.age_s, 60);
  assert.ok(!isLookupFailure(context.age_s));
});

Deno.test("the operator's view of an agent is its principal without a claim", async () => {
  const fixture = await Fixture.create();
  const { agent, credential_token } = await fixture.register("a", { risk_tier: "high" });
  const bound = principal(fixture, "a", credential_token);
  const shown = fixture.registry.principalOf(agent, fixture.now_ms);
  const { context: _, ...plain } = shown;
  const { context: __, ...expected } = bound;
  assert.deepEqual(plain, expected);
  assert.equal(shown.context?.risk_tier, "high");
  const { agent: gone } = await fixture.registry.deregister(agent.key, "done");
  assert.equal(fixture.registry.principalOf(gone, fixture.now_ms).status, "deregistered");
});
