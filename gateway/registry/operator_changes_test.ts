import assert from "node:assert/strict";
import { ControlStreams } from "./control_streams.ts";
import { RegistryError } from "./failure.ts";
import { Fixture } from "./registry_fixture.ts";

const OPERATOR = { kind: "operator", name: "ops" } as const;

function statusOf(fixture: Fixture, key: string): string | undefined {
  const state = fixture.registry.byKey(key)?.state;
  return state?.status === "suspended" ? state.cause : state?.status;
}

Deno.test("a killed agent has no token, is denied, and stays killed after a restart", async () => {
  const fixture = await Fixture.create();
  const { agent, credential_token } = await fixture.register("a");
  await fixture.registry.kill(agent.key, "caught exfiltrating", OPERATOR);
  for (const _ of ["now", "after a restart"]) {
    assert.equal(statusOf(fixture, agent.key), "killed");
    assert.equal(fixture.registry.byToken(credential_token), undefined);
    assert.equal(fixture.registry.authenticate(agent, credential_token), undefined);
    const asked = fixture.registry.principalFor(agent, credential_token, fixture.now_ms);
    assert.ok(asked.outcome === "identity_denied");
    assert.equal(asked.reason, "credential token revoked");
    await fixture.restart();
  }
});

Deno.test("nothing brings a killed agent back but a deregistration by an operator", async () => {
  const fixture = await Fixture.create();
  const { agent } = await fixture.register("a");
  const { registry } = fixture;
  await registry.kill(agent.key, "x", OPERATOR);
  await assert.rejects(registry.resume(agent.key, "x", OPERATOR), { code: "wrong_status" });
  await assert.rejects(registry.kill(agent.key, "x", OPERATOR), { code: "wrong_status" });
  await assert.rejects(registry.rotateToken(agent.key, "key_proven"), { code: "wrong_status" });
  await assert.rejects(fixture.register("a"), { code: "already_exists" });
  await registry.deregister(agent.key, "forgiven", OPERATOR);
  await fixture.register("a");
});

Deno.test("a killed descendant is not made resumable by its parent's end", async () => {
  const fixture = await Fixture.create();
  const [a = "", b = ""] = await fixture.registerChain("a", "b");
  await fixture.registry.kill(b, "x", OPERATOR);
  await fixture.registry.deregister(a, "done");
  assert.equal(statusOf(fixture, b), "killed");
});

Deno.test("descendants of a killed agent are suspended, or killed when the operator says so", async () => {
  for (const cascade of [false, true]) {
    const fixture = await Fixture.create();
    const [a = "", b = "", c = ""] = await fixture.registerChain("a", "b", "c");
    await fixture.registry.suspend(c, "earlier", { actor: OPERATOR });
    const { also } = await fixture.registry.kill(a, "x", OPERATOR, cascade);
    assert.deepEqual([a, b, c].map((key) => statusOf(fixture, key)), [
      "killed",
      cascade ? "killed" : "parent_suspended",
      cascade ? "killed" : "manual",
    ]);
    assert.deepEqual(also.map(({ key }) => key), cascade ? [b, c] : [b]);
  }
});

Deno.test("a kill reaches the control stream as its last command", async () => {
  const fixture = await Fixture.create();
  const { agent } = await fixture.register("a");
  const streams = new ControlStreams(fixture.registry);
  const stream = streams.open(agent.key, [], new AbortController().signal);
  await fixture.registry.kill(agent.key, "enough", OPERATOR);
  const heard = await Array.fromAsync(stream);
  assert.deepEqual(heard, [{ kind: "kill", reason: "enough" }]);
});

Deno.test("a stream opened with a token that was revoked or rotated ends", async () => {
  for (const change of ["revoke", "rotate"] as const) {
    const fixture = await Fixture.create();
    const { agent, credential_token: token } = await fixture.register("a");
    const streams = new ControlStreams(fixture.registry);
    const stream = streams.open(agent.key, [], new AbortController().signal);
    if (change === "revoke") await fixture.registry.revokeToken(agent.key, "leaked", OPERATOR);
    else await fixture.registry.rotateToken(agent.key, { token });
    assert.deepEqual(await Array.fromAsync(stream), []);
  }
});

Deno.test("a change by an operator that cannot be recorded or stored is not made", async () => {
  const changes = (fixture: Fixture, key: string): (() => Promise<unknown>)[] => [
    () => fixture.registry.kill(key, "x", OPERATOR),
    () => fixture.registry.revokeToken(key, "x", OPERATOR),
    () => fixture.registry.reparent(key, undefined, "x", OPERATOR),
    () => fixture.registry.setGovernanceLevel(key, 2, "x", OPERATOR),
    () => fixture.registry.setRiskTier(key, "critical", "x", OPERATOR),
    () => fixture.registry.rotateToken(key, "key_proven"),
  ];
  for (const fault of ["audit", "store"] as const) {
    const fixture = await Fixture.create();
    const [, b = ""] = await fixture.registerChain("a", "b");
    const before = structuredClone(fixture.registry.byKey(b));
    fixture.audit_failing = fault === "audit";
    fixture.store.failing = fault === "store";
    for (const change of changes(fixture, b)) {
      await assert.rejects(change(), (error) => error instanceof RegistryError);
      assert.deepEqual(fixture.registry.byKey(b), before);
    }
    const last = fixture.audited.at(-1);
    if (fault === "store") assert.equal(last?.outcome, "not_applied");
  }
});

Deno.test("level and tier set by an operator are what policies read, at once and after a restart", async () => {
  const fixture = await Fixture.create();
  const [a = "", b = ""] = await fixture.registerChain("a", "b");
  const seen = (key: string) => {
    const record = fixture.registry.byKey(key);
    assert.ok(record !== undefined);
    return fixture.registry.principalOf(record, fixture.now_ms).context;
  };
  assert.equal(seen(a)?.child_risk_tier, undefined);
  await fixture.registry.setRiskTier(b, "high", "reviewed", OPERATOR);
  await fixture.registry.setGovernanceLevel(b, 3, "reviewed", OPERATOR);
  for (const _ of ["now", "after a restart"]) {
    assert.deepEqual([seen(b)?.risk_tier, seen(b)?.governance_level], ["high", 3]);
    assert.equal(seen(a)?.child_risk_tier, "high");
    await fixture.restart();
  }
});

Deno.test("moving an agent takes its subtree along, and moving it again changes nothing", async () => {
  const fixture = await Fixture.create();
  const [a = "", b = "", c = ""] = await fixture.registerChain("a", "b", "c");
  const { agent: other } = await fixture.register("other");
  const lineage = (key: string) => {
    const record = fixture.registry.byKey(key);
    return [record?.parent_key, record?.root_key, record?.depth];
  };
  await fixture.registry.reparent(b, other.key, "reorganised", OPERATOR);
  const expected = [[other.key, other.key, 1], [b, other.key, 2]];
  assert.deepEqual([b, c].map(lineage), expected);
  assert.equal(fixture.registry.childCount(a), 0);
  const recorded = fixture.audited.length;
  const again = await fixture.registry.reparent(b, other.key, "reorganised", OPERATOR);
  assert.deepEqual([again.audit_index, fixture.audited.length], [undefined, recorded]);
  await fixture.restart();
  assert.deepEqual([b, c].map(lineage), expected);
  await fixture.registry.reparent(b, undefined, "on its own", OPERATOR);
  assert.deepEqual([b, c].map(lineage), [[undefined, b, 0], [b, b, 1]]);
});

Deno.test("a move that would close a loop, stand too deep or cross a team is refused whole", async () => {
  const fixture = await Fixture.create();
  const names = Array.from({ length: 9 }, (_, index) => `n${index}`);
  const keys = await fixture.registerChain(...names);
  const [top = ""] = keys;
  const [x = "", y = ""] = await fixture.registerChain("x", "y");
  const { agent: foreign } = await fixture.register("foreign", { team_id: "other" });
  const { registry } = fixture;
  const before = [...fixture.store.records.values()].map((record) => structuredClone(record));
  const refused: [string, string, string][] = [
    [top, keys.at(-1) ?? "", "lineage_loop"],
    [top, top, "lineage_loop"],
    // x would stand at 9 and y at 10.
    [x, keys.at(-1) ?? "", "depth_exceeded"],
    [y, foreign.key, "parent_not_registered"],
    [y, "f".repeat(32), "parent_not_registered"],
    ["f".repeat(32), top, "not_found"],
  ];
  for (const [key, parent, code] of refused) {
    await assert.rejects(registry.reparent(key, parent, "x", OPERATOR), { code });
  }
  assert.deepEqual([...fixture.store.records.values()], before);
});

Deno.test("trap 45: an operator chooses for one deregistration what becomes of the descendants", async () => {
  for (const mode of ["suspend", "promote_to_root", "cascade_deregister"] as const) {
    const fixture = await Fixture.create();
    const [a = "", b = ""] = await fixture.registerChain("a", "b");
    await fixture.registry.deregister(a, "done", OPERATOR, mode);
    const expected = {
      suspend: "parent_deregistered",
      promote_to_root: "active",
      cascade_deregister: "deregistered",
    };
    assert.equal(statusOf(fixture, b), expected[mode]);
  }
});
