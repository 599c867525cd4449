import assert from "node:assert/strict";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import { SqliteStore } from "../../storage/sqlite/store.ts";
import type { RegistryChange } from "./changes.ts";
import { REGISTRY_LIMITS } from "./limits.ts";
import { Registry } from "./registry.ts";
import { Fixture, MemoryStore, registrationOf, triple } from "./registry_fixture.ts";

const OPERATOR = { kind: "operator", name: "ops" } as const;

Deno.test("trap 44: record, organisation, lineage, status, mode and token survive a restart", async () => {
  const folder = await Deno.makeTempDir();
  try {
    let now_ms = 1_700_000_000_000;
    const open = (store: SqliteStore) =>
      Registry.open({
        store,
        now_ms: () => now_ms,
        redact: (text) => text,
        onChange: (changes) => Promise.resolve(changes.map(() => 0n)),
      });
    const path = `${folder}/registry.db`;
    const before = await (async () => {
      await using store = await SqliteStore.open({ path });
      const registry = await open(store);
      const root = await registry.register(registrationOf("root"));
      const child = await registry.register(registrationOf("child", {
        parent_agent_id: "root",
        risk_tier: "critical",
        tool_names: ["search", "bash"],
        metadata: { env: "prod" },
        delegation_reason: "summarise",
        spawned_by_tool: "spawn",
      }));
      registry.heartbeat(root.agent.key);
      await registry.suspend(child.agent.key, "looked odd", { actor: OPERATOR });
      const observe = { mode: "observe", expires_at_ms: now_ms + 1_000, reason: "" } as const;
      await registry.setEnforcementMode([root.agent.key], observe, "tuning", OPERATOR);
      await registry.close();
      const records = [root, child].map(({ agent }) => registry.byKey(agent.key));
      return { records, tokens: [root.credential_token, child.credential_token] };
    })();
    await using store = await SqliteStore.open({ path });
    const registry = await open(store);
    const after = before.tokens.map((token) => registry.byToken(token));
    assert.deepEqual(after, before.records);
    const [root, child] = after;
    assert.deepEqual([child?.org_id, child?.team_id, child?.depth], ["acme", "ops", 1]);
    assert.equal(child?.parent_key, root?.key);
    assert.equal(child?.root_key, root?.key);
    assert.ok(child?.state.status === "suspended" && child.state.reason === "looked odd");
    assert.ok(root !== undefined && registry.observes(root, now_ms));
    assert.equal(root.last_heartbeat_ms, now_ms);
    now_ms += 1_000;
    assert.equal(registry.observes(root, now_ms), false);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("an override that ended while the gateway was down is gone after its start", async () => {
  const fixture = await Fixture.create();
  const { agent } = await fixture.register("a");
  const observe = { mode: "observe", expires_at_ms: fixture.now_ms + 10, reason: "" } as const;
  await fixture.registry.setEnforcementMode([agent.key], observe, "tuning", OPERATOR);
  fixture.now_ms += 10;
  await fixture.restart();
  assert.deepEqual(fixture.registry.byKey(agent.key)?.enforcement, { mode: "enforce" });
});

Deno.test("M6: nothing an agent sends at registration makes it observed", async () => {
  const fixture = await Fixture.create();
  const metadata = { enforcement_mode: "observe", governance_level: "3" };
  const { agent } = await fixture.register("a", { metadata });
  assert.deepEqual(agent.enforcement, { mode: "enforce" });
  assert.equal(agent.governance_level, 0);
});

Deno.test("M5: observing one agent leaves the others enforced", async () => {
  const fixture = await Fixture.create();
  const { agent: a } = await fixture.register("a");
  const { agent: b } = await fixture.register("b");
  const observe = { mode: "observe", expires_at_ms: fixture.now_ms + 10, reason: "" } as const;
  const result = await fixture.registry.setEnforcementMode([a.key], observe, "tuning", OPERATOR);
  assert.equal(fixture.registry.observes(result.agent, fixture.now_ms), true);
  assert.equal(fixture.registry.observes(b, fixture.now_ms), false);
});

Deno.test("a change of mode over several agents is made for all or for none", async () => {
  const fixture = await Fixture.create();
  const { agent: a } = await fixture.register("a");
  const observe = { mode: "observe", expires_at_ms: fixture.now_ms + 10, reason: "" } as const;
  const both = [a.key, "f".repeat(32)];
  await assert.rejects(fixture.registry.setEnforcementMode(both, observe, "tuning", OPERATOR), {
    code: "not_found",
  });
  assert.deepEqual(fixture.registry.byKey(a.key)?.enforcement, { mode: "enforce" });
});

Deno.test("G4: the same organisation, team and agent registers once", async () => {
  const fixture = await Fixture.create();
  await fixture.register("a");
  await assert.rejects(fixture.register("a"), { code: "already_exists" });
  await fixture.register("a", { team_id: "other" });
});

Deno.test("G4: of many registrations at the same time one succeeds", async () => {
  const fixture = await Fixture.create();
  const outcomes = await Promise.allSettled(
    Array.from({ length: 20 }, () => fixture.register("a")),
  );
  assert.equal(outcomes.filter((outcome) => outcome.status === "fulfilled").length, 1);
  assert.equal(fixture.registry.size, 1);
  assert.equal(fixture.audited.length, 1);
});

Deno.test("after deregistration the same agent registers again, with another token", async () => {
  const fixture = await Fixture.create();
  const first = await fixture.register("a");
  await fixture.registry.deregister(first.agent.key, "done");
  const second = await fixture.register("a");
  assert.equal(second.agent.key, first.agent.key);
  assert.notEqual(second.credential_token, first.credential_token);
  assert.equal(fixture.registry.byToken(first.credential_token), undefined);
  assert.equal(fixture.registry.byToken(second.credential_token)?.state.status, "active");
});

Deno.test("suspending and resuming follow the table of states", async () => {
  const fixture = await Fixture.create();
  const { agent } = await fixture.register("a");
  const { registry } = fixture;
  await assert.rejects(registry.resume(agent.key, "x"), { code: "wrong_status" });
  const suspended = await registry.suspend(agent.key, "looked odd", { cause: "policy" });
  assert.equal(suspended.previous_status, "active");
  assert.deepEqual(suspended.agent.state, {
    status: "suspended",
    cause: "policy",
    reason: "looked odd",
    since_ms: fixture.now_ms,
  });
  await assert.rejects(registry.suspend(agent.key, "again"), { code: "wrong_status" });
  const resumed = await registry.resume(agent.key, "fine");
  assert.equal(resumed.previous_status, "suspended");
  assert.deepEqual(resumed.agent.state, { status: "active" });
  await registry.suspend(agent.key, "once more");
  const gone = await registry.deregister(agent.key, "done");
  assert.equal(gone.previous_status, "suspended");
  for (const change of [registry.suspend, registry.resume, registry.deregister]) {
    await assert.rejects(change.call(registry, agent.key, "x"), { code: "not_found" });
  }
});

Deno.test("a stale agent can be suspended, and its staleness is in the answer", async () => {
  const fixture = await Fixture.create();
  const { agent } = await fixture.register("a");
  fixture.registry.heartbeat(agent.key);
  fixture.now_ms += 90_001;
  assert.equal((await fixture.registry.suspend(agent.key, "silent")).previous_status, "stale");
});

Deno.test("a cascading suspension takes all active descendants; resuming does not cascade", async () => {
  const fixture = await Fixture.create();
  const [a = "", b = "", c = ""] = await fixture.registerChain("a", "b", "c");
  await fixture.registry.suspend(c, "before");
  const { also } = await fixture.registry.suspend(a, "family", { cascade: true });
  assert.deepEqual(also.map((agent) => agent.key), [b]);
  const causeOf = (key: string) => {
    const state = fixture.registry.byKey(key)?.state;
    return state?.status === "suspended" ? state.cause : state?.status;
  };
  assert.deepEqual([a, b, c].map(causeOf), ["manual", "parent_suspended", "manual"]);
  await fixture.registry.resume(a, "fine");
  assert.deepEqual([a, b].map(causeOf), ["active", "parent_suspended"]);
});

Deno.test("a change is recorded before it is made, and not made when it cannot be recorded", async () => {
  const order: string[] = [];
  const fixture = await Fixture.create({
    onChange: (changes) => {
      order.push(`recorded, ${fixture.store.commits} stored`);
      return Promise.resolve(changes.map(() => 41n));
    },
  });
  const { audit_index, agent } = await fixture.register("a");
  assert.deepEqual(order, ["recorded, 0 stored"]);
  assert.equal(audit_index, 41n);
  assert.equal(fixture.store.records.get(agent.key)?.agent_id, "a");

  const failing = await Fixture.create();
  const registered = await failing.register("a");
  failing.audit_failing = true;
  const { key } = registered.agent;
  const refused = { code: "audit_unavailable" };
  await assert.rejects(failing.register("b"), refused);
  await assert.rejects(failing.registry.suspend(key, "x"), refused);
  await assert.rejects(failing.registry.deregister(key, "x"), refused);
  assert.equal(failing.registry.size, 1);
  assert.equal(failing.registry.byToken(registered.credential_token)?.state.status, "active");
  assert.equal(failing.store.commits, 1);
});

Deno.test("a change that cannot be stored is not made, and the log says so", async () => {
  const fixture = await Fixture.create();
  const { agent, credential_token } = await fixture.register("a");
  fixture.store.failing = true;
  const refused = { code: "storage_failed" };
  await assert.rejects(fixture.register("b"), refused);
  await assert.rejects(fixture.registry.suspend(agent.key, "x"), refused);
  await assert.rejects(fixture.registry.deregister(agent.key, "x"), refused);
  assert.equal(fixture.registry.byToken(credential_token)?.state.status, "active");
  assert.equal(fixture.registry.byTriple(triple("b")), undefined);
  const said = fixture.audited.slice(1).map((change) => `${change.action} ${change.outcome}`);
  assert.deepEqual(said, [
    "agent_registered applying",
    "agent_registered not_applied",
    "agent_suspended applying",
    "agent_suspended not_applied",
    "agent_deregistered applying",
    "agent_deregistered not_applied",
  ]);
  fixture.store.failing = false;
  await fixture.register("b");
});

Deno.test("memory shows a change only after it is durable", async () => {
  const fixture = await Fixture.create();
  const { agent } = await fixture.register("a");
  const suspending = fixture.registry.suspend(agent.key, "x");
  assert.equal(fixture.registry.byKey(agent.key)?.state.status, "active");
  await suspending;
  assert.equal(fixture.store.records.get(agent.key)?.state.status, "suspended");
  assert.equal(fixture.registry.byKey(agent.key)?.state.status, "suspended");
});

Deno.test("a heartbeat that comes while a change is being stored is not lost", async () => {
  let beat = () => {};
  const fixture = await Fixture.create({
    onChange: (changes) => {
      beat();
      return Promise.resolve(changes.map(() => 0n));
    },
  });
  const { agent } = await fixture.register("a");
  // The change has been planned by now, and is not yet made.
  beat = () => {
    fixture.now_ms += 5;
    fixture.registry.heartbeat(agent.key);
  };
  await fixture.registry.suspend(agent.key, "x");
  const record = fixture.registry.byKey(agent.key);
  assert.deepEqual([record?.state.status, record?.last_heartbeat_ms], [
    "suspended",
    fixture.now_ms,
  ]);
});

Deno.test("heartbeats are stored together, kept when the store fails, and written at the end", async () => {
  const fixture = await Fixture.create();
  const { agent: a } = await fixture.register("a");
  const { agent: b } = await fixture.register("b");
  const commits = fixture.store.commits;
  for (const agent of [a, b, a]) fixture.registry.heartbeat(agent.key);
  assert.equal(fixture.store.commits, commits);
  fixture.store.failing = true;
  await fixture.registry.close();
  assert.equal(fixture.registry.heartbeat_write_failures, 1);
  fixture.store.failing = false;
  await fixture.registry.close();
  assert.equal(fixture.store.commits, commits + 1);
  assert.equal(fixture.store.records.get(a.key)?.last_heartbeat_ms, fixture.now_ms);
  fixture.now_ms += REGISTRY_LIMITS.heartbeat_flush_ms;
  fixture.registry.heartbeat(a.key);
  await fixture.registry.close();
  assert.equal(fixture.store.records.get(a.key)?.last_heartbeat_ms, fixture.now_ms);
  assert.equal(fixture.registry.heartbeat("f".repeat(32)), undefined);
});

Deno.test("control characters in organisation or team are refused", async () => {
  const fixture = await Fixture.create();
  for (const bad of ["a\u0000", "a\nb", "\u007f", "\u0085"]) {
    await assert.rejects(fixture.register("a", { org_id: bad }), { code: "control_character" });
    await assert.rejects(fixture.register("a", { team_id: bad }), { code: "control_character" });
  }
});

Deno.test("fields over their bound are refused by name", async () => {
  const fixture = await Fixture.create();
  const long = "x".repeat(REGISTRY_LIMITS.field_bytes + 1);
  const many = (count: number) => Array.from({ length: count }, (_, index) => `t${index}`);
  const cases: [string, Parameters<Fixture["register"]>[1]][] = [
    ["org_id", { org_id: long }],
    ["team_id", { team_id: "é".repeat(600) }],
    ["parent_agent_id", { parent_agent_id: long }],
    ["name", { name: long }],
    ["name", { name: "a\u0000b" }],
    ["framework", { framework: long }],
    ["version", { version: long }],
    ["delegation_reason", { delegation_reason: long }],
    ["spawned_by_tool", { spawned_by_tool: long }],
    ["tool_names", { tool_names: many(REGISTRY_LIMITS.tool_names + 1) }],
    ["metadata", {
      metadata: Object.fromEntries(
        many(REGISTRY_LIMITS.metadata_entries + 1).map((key) => [key, ""]),
      ),
    }],
    ["metadata", { metadata: { a: "x".repeat(REGISTRY_LIMITS.declaration_bytes) } }],
  ];
  for (const [field, change] of cases) {
    await assert.rejects(fixture.register("a", change), {
      code: "invalid_field",
      message: new RegExp(`^${field}: `),
    }, field);
  }
  assert.equal(fixture.registry.size, 0);
});

Deno.test("credentials in free text reach neither the store nor the log", async () => {
  const fixture = await Fixture.create();
  const { agent } = await fixture.register("a", {
    name: "n SECRET",
    framework: "SECRET",
    version: "SECRET",
    tool_names: ["SECRET"],
    metadata: { SECRET: "SECRET" },
    delegation_reason: "SECRET",
    spawned_by_tool: "SECRET",
  });
  await fixture.registry.suspend(agent.key, "has SECRET\nin it");
  await fixture.registry.resume(agent.key, `${"x".repeat(1_020)}SECRET`);
  await fixture.registry.deregister(agent.key, "SECRET");
  const everything = JSON.stringify([fixture.audited, [...fixture.store.records]]);
  assert.ok(!everything.includes("SECRET"));
  assert.ok(!everything.includes("SEC"), "half a credential was left");
  assert.ok(everything.includes("has [REDACTED] in it"));
});

Deno.test("neither the store nor the log ever sees a credential token", async () => {
  const fixture = await Fixture.create();
  const { agent, credential_token } = await fixture.register("a");
  await fixture.registry.suspend(agent.key, "x");
  const everything = JSON.stringify([fixture.audited, [...fixture.store.records]]);
  assert.ok(!everything.includes(credential_token));
});

Deno.test("agents are listed in pages, filtered, ended registrations included", async () => {
  const fixture = await Fixture.create();
  for (let index = 0; index < 7; index++) {
    const framework = index % 2 === 0 ? "crewai" : "langgraph";
    await fixture.register(`n${index}`, { framework, team_id: index < 5 ? "ops" : "dev" });
  }
  const key = fixture.registry.byTriple(triple("n0"))?.key ?? "";
  await fixture.registry.deregister(key, "done");
  const listed: string[] = [];
  let token: string | undefined = "";
  while (token !== undefined) {
    const page = fixture.registry.list({}, 3, token);
    assert.ok(page.agents.length <= 3);
    listed.push(...page.agents.map((agent) => agent.key));
    token = page.next_page_token;
  }
  assert.equal(listed.length, 7);
  assert.deepEqual(listed, listed.toSorted());
  const count = (filter: Parameters<Registry["list"]>[0]) =>
    fixture.registry.list(filter).agents.length;
  assert.equal(count({ status: "deregistered" }), 1);
  assert.equal(count({ status: "active" }), 6);
  assert.equal(count({ framework: "crewai" }), 4);
  assert.equal(count({ team_id: "dev" }), 2);
  assert.equal(count({ org_id: "other" }), 0);
  assert.deepEqual(fixture.registry.counts(), {
    active: 6,
    suspended: 0,
    stale: 0,
    deregistered: 1,
  });
});

Deno.test("a full page that is the last one has no successor", async () => {
  const fixture = await Fixture.create();
  await fixture.register("a");
  await fixture.register("b");
  assert.equal(fixture.registry.list({}, 2).next_page_token, undefined);
});

Deno.test("an operator finds an agent by key, or by its own id when that is enough", async () => {
  const fixture = await Fixture.create();
  const { agent } = await fixture.register("a");
  assert.deepEqual(fixture.registry.find(agent.key), { outcome: "found", agent });
  assert.deepEqual(fixture.registry.find("a"), { outcome: "found", agent });
  assert.deepEqual(fixture.registry.find("b"), { outcome: "unknown" });
  const { agent: other } = await fixture.register("a", { team_id: "other" });
  assert.deepEqual(fixture.registry.find("a"), {
    outcome: "ambiguous",
    keys: [agent.key, other.key],
  });
});

Deno.test("listeners hear of a change once it has been made, until they stop", async () => {
  const fixture = await Fixture.create();
  const heard: string[] = [];
  const stop = fixture.registry.onApplied((change: RegistryChange) => {
    heard.push(`${change.action} ${fixture.registry.byKey(change.after.key)?.state.status}`);
  });
  const { agent } = await fixture.register("a");
  await fixture.registry.suspend(agent.key, "x");
  stop();
  await fixture.registry.resume(agent.key, "x");
  assert.deepEqual(heard, ["agent_registered active", "agent_suspended suspended"]);
});

Deno.test("more changes at once than the bound are refused by name", async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => release = resolve);
  const fixture = await Fixture.create({
    onChange: async (changes) => {
      await held;
      return changes.map(() => 0n);
    },
  });
  const under_way = Array.from(
    { length: REGISTRY_LIMITS.changes_under_way },
    (_, index) => fixture.register(`n${index}`),
  );
  await assert.rejects(fixture.register("one-more"), { code: "busy" });
  release();
  await Promise.all(under_way);
  await fixture.register("one-more");
});

/** A store that already holds `count` records. */
function filledStore(count: number, state: AgentRecord["state"]): MemoryStore {
  const store = new MemoryStore();
  for (let index = 0; index < count; index++) {
    const key = index.toString(16).padStart(32, "0");
    const token_hash = `f${key}`.padStart(64, "0");
    store.records.set(key, {
      key,
      ...triple(`n${index}`),
      name: "",
      framework: "",
      version: "",
      governance_level: 0,
      tool_names: [],
      public_key: "ab".repeat(32),
      metadata: {},
      registered_at_ms: 0,
      orphaned: false,
      root_key: key,
      depth: 0,
      state: state.status === "active" ? state : { ...state, since_ms: count - index },
      enforcement: { mode: "enforce" },
      tenancy: "asserted",
      ...(state.status === "deregistered" ? {} : { token_hash }),
    });
  }
  return store;
}

Deno.test("at the bound one more agent is refused by name", async () => {
  const store = filledStore(REGISTRY_LIMITS.agents - 1, { status: "active" });
  const fixture = await Fixture.create({}, store);
  const outcomes = await Promise.allSettled([fixture.register("a"), fixture.register("b")]);
  assert.equal(outcomes[0]?.status, "fulfilled");
  assert.ok(outcomes[1]?.status === "rejected");
  assert.equal(outcomes[1].reason.code, "limit_reached");
});

Deno.test("at the bound the registration that ended first is forgotten", async () => {
  const ended = { status: "deregistered", reason: "done", since_ms: 0 } as const;
  const store = filledStore(REGISTRY_LIMITS.ended_registrations, ended);
  const fixture = await Fixture.create({}, store);
  const { agent } = await fixture.register("a");
  fixture.now_ms += 1;
  await fixture.registry.deregister(agent.key, "done");
  // The last record of the store ended first.
  const forgotten = (REGISTRY_LIMITS.ended_registrations - 1).toString(16).padStart(32, "0");
  assert.equal(fixture.registry.byKey(forgotten), undefined);
  assert.equal(store.records.has(forgotten), false);
  assert.equal(store.records.size, REGISTRY_LIMITS.ended_registrations);
  assert.equal(fixture.registry.counts().deregistered, REGISTRY_LIMITS.ended_registrations);
  assert.equal(fixture.registry.byKey(agent.key)?.state.status, "deregistered");
});
