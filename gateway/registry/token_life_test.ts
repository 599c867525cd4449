import assert from "node:assert/strict";
import { Fixture, triple } from "./registry_fixture.ts";

const OPERATOR = { kind: "operator", name: "ops" } as const;
const HOUR_MS = 3_600_000;

function denialOf(fixture: Fixture, agent_id: string, token: string): string {
  const asked = fixture.registry.principalFor(triple(agent_id), token, fixture.now_ms);
  return asked.outcome === "ok" ? "ok" : asked.reason;
}

Deno.test("trap 42: a token dies at its time, everywhere it is accepted", async () => {
  const fixture = await Fixture.create({ token_ttl_ms: HOUR_MS });
  const { agent, credential_token: token } = await fixture.register("a");
  fixture.now_ms += HOUR_MS - 1;
  assert.equal(denialOf(fixture, "a", token), "ok");
  assert.ok(fixture.registry.byToken(token) !== undefined);
  fixture.now_ms += 1;
  await fixture.restart();
  assert.equal(denialOf(fixture, "a", token), "credential token expired");
  assert.equal(fixture.registry.byToken(token), undefined);
  assert.equal(fixture.registry.authenticate(agent, token), undefined);
  assert.equal(denialOf(fixture, "a", "wrong"), "credential token mismatch");
});

Deno.test("without a time to live a token lives on, as the reference's clients need", async () => {
  const fixture = await Fixture.create();
  const { credential_token: token } = await fixture.register("a");
  fixture.now_ms += 1_000_000 * HOUR_MS;
  assert.ok(fixture.registry.byToken(token) !== undefined);
});

Deno.test("trap 42: after a rotation only the new token works, also after a restart", async () => {
  const fixture = await Fixture.create({ token_ttl_ms: HOUR_MS });
  const { agent, credential_token: old } = await fixture.register("a");
  fixture.now_ms += HOUR_MS / 2;
  const { credential_token: fresh, agent: after } = await fixture.registry.rotateToken(agent.key, {
    token: old,
  });
  assert.equal(after.token_expires_at_ms, fixture.now_ms + HOUR_MS);
  for (const _ of ["now", "after a restart"]) {
    assert.equal(denialOf(fixture, "a", old), "credential token mismatch");
    assert.equal(denialOf(fixture, "a", fresh), "ok");
    await fixture.restart();
  }
});

Deno.test("of two rotations with one token, one is refused and one token lives", async () => {
  const fixture = await Fixture.create();
  const { agent, credential_token: token } = await fixture.register("a");
  const outcomes = await Promise.allSettled([
    fixture.registry.rotateToken(agent.key, { token }),
    fixture.registry.rotateToken(agent.key, { token }),
  ]);
  assert.deepEqual(outcomes.map(({ status }) => status), ["fulfilled", "rejected"]);
  const [first] = outcomes;
  assert.ok(first.status === "fulfilled");
  assert.equal(denialOf(fixture, "a", first.value.credential_token), "ok");
});

Deno.test("trap 42: a revoked token is dead at once, and a proven key gets a new one", async () => {
  const fixture = await Fixture.create();
  const { agent, credential_token: old } = await fixture.register("a", { name: "first" });
  await fixture.registry.suspend(agent.key, "odd", { actor: OPERATOR });
  await fixture.registry.revokeToken(agent.key, "leaked", OPERATOR);
  await assert.rejects(fixture.registry.revokeToken(agent.key, "again", OPERATOR), {
    code: "wrong_status",
  });
  await fixture.restart();
  assert.equal(denialOf(fixture, "a", old), "credential token revoked");
  const again = await fixture.register("a", { name: "second", parent_agent_id: "nobody" });
  assert.equal(fixture.registry.byToken(old), undefined);
  assert.equal(fixture.registry.byToken(again.credential_token)?.key, agent.key);
  // The record is the one it was: a new token is no way out of a suspension.
  assert.deepEqual([again.agent.name, again.agent.state.status], ["first", "suspended"]);
});

Deno.test("a new token for an ended one goes to the same key only", async () => {
  const fixture = await Fixture.create();
  const { agent } = await fixture.register("a");
  await fixture.registry.revokeToken(agent.key, "leaked", OPERATOR);
  await assert.rejects(fixture.register("a", { public_key: "cd".repeat(32) }), {
    code: "already_exists",
  });
});

Deno.test("G4: an agent with a live token cannot register for another", async () => {
  const fixture = await Fixture.create({ token_ttl_ms: HOUR_MS });
  await fixture.register("a");
  fixture.now_ms += HOUR_MS - 1;
  await assert.rejects(fixture.register("a"), { code: "already_exists" });
});

Deno.test("trap 43: a stale agent is denied, or only shown, as the gateway was told", async () => {
  for (const stale_agents of ["deny", "allow"] as const) {
    const fixture = await Fixture.create({ stale_agents });
    const { agent } = await fixture.register("a");
    fixture.registry.heartbeat(agent.key);
    fixture.now_ms += 90_001;
    const record = fixture.registry.byKey(agent.key);
    assert.ok(record !== undefined);
    assert.equal(fixture.registry.statusOf(record), "stale");
    assert.equal(
      fixture.registry.principalOf(record, fixture.now_ms).status,
      stale_agents === "deny" ? "stale" : "active",
    );
    assert.equal(fixture.registry.counts().stale, 1);
  }
});

Deno.test("trap 43: a wall clock that jumps, either way, makes no agent stale and hides no silence", async () => {
  let monotonic_ms = 0;
  const fixture = await Fixture.create({ monotonic_ms: () => monotonic_ms });
  const { agent } = await fixture.register("a");
  const status = () => fixture.registry.statusOf(fixture.registry.byKey(agent.key) ?? agent);
  fixture.registry.heartbeat(agent.key);
  for (const jump_ms of [365 * 24 * HOUR_MS, -2 * 365 * 24 * HOUR_MS]) {
    fixture.now_ms += jump_ms;
    assert.equal(status(), "active");
    monotonic_ms += 90_001;
    assert.equal(status(), "stale");
    fixture.registry.heartbeat(agent.key);
    assert.equal(status(), "active");
  }
});
