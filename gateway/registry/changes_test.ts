import assert from "node:assert/strict";
import { checkDraft } from "../../core/audit/entry.ts";
import { changeEntry } from "./changes.ts";
import { Fixture } from "./registry_fixture.ts";

Deno.test("a change is a governance mutation with the contract's payload keys", async () => {
  const fixture = await Fixture.create();
  const { agent, credential_token } = await fixture.register("agent-1");
  const operator = { kind: "operator", name: "ops" } as const;
  await fixture.registry.suspend(agent.key, "looked odd", { actor: operator });
  const change = fixture.audited[1];
  assert.ok(change !== undefined);
  const entry = changeEntry(change, 7n);
  assert.equal(entry.event_type, "GovernanceMutation");
  assert.equal(entry.timestamp_ns, 7n);
  assert.equal(entry.agent_id.toHex(), "6ff3b3bd11c44cac620c43d5b65377bd");
  assert.equal(entry.root_agent_id?.toHex(), agent.key);
  const payload = JSON.parse(entry.payload);
  assert.deepEqual(Object.keys(payload), [
    "action",
    "actor",
    "after",
    "before",
    "org",
    "reason",
    "team",
  ]);
  assert.equal(payload.action, "agent_suspended");
  assert.equal(payload.actor, "operator:ops");
  assert.deepEqual([payload.org, payload.team, payload.reason], ["acme", "ops", "looked odd"]);
  assert.deepEqual([payload.before.status, payload.after.status], ["active", "suspended"]);
  assert.ok(!entry.payload.includes(credential_token));
  assert.ok(!entry.payload.includes("token"));
});

Deno.test("a registration has nothing before it, and a change that failed is named so", async () => {
  const fixture = await Fixture.create();
  fixture.store.failing = true;
  await assert.rejects(fixture.register("a", { org_id: "", team_id: "" }));
  const [applying, not_applied] = fixture.audited.map((change) =>
    JSON.parse(changeEntry(change, 0n).payload)
  );
  assert.equal(applying.action, "agent_registered");
  assert.equal(applying.before, null);
  assert.equal(applying.actor, "agent:a");
  assert.deepEqual([applying.org, applying.team], [null, null]);
  assert.equal(not_applied.action, "agent_registered_not_applied");
});

Deno.test("every change makes an entry that the log accepts", async () => {
  const fixture = await Fixture.create();
  const [a = "", b = ""] = await fixture.registerChain("a", "b");
  const observe = { mode: "observe", expires_at_ms: fixture.now_ms + 5, reason: "" } as const;
  await fixture.registry.setEnforcementMode([b], observe, "tuning", { kind: "gateway" });
  await fixture.registry.deregister(a, "done");
  await fixture.registry.resume(b, "fine");
  assert.equal(fixture.audited.length, 6);
  for (const change of fixture.audited) checkDraft(changeEntry(change, 1n));
});
