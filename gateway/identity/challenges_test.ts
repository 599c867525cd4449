import assert from "node:assert/strict";
import { CHALLENGE_LIMITS, MemoryChallenges, NONCE_BYTES } from "./challenges.ts";

const BINDING = { agent_id: "did:key:z6MkA", public_key: "ab".repeat(32) };
const NOW = 1_700_000_000_000;

Deno.test("a nonce is 32 fresh bytes and lives 30 seconds", () => {
  const challenges = new MemoryChallenges();
  const first = challenges.issue(BINDING, NOW);
  const second = challenges.issue(BINDING, NOW);
  assert.equal(first.nonce.length, NONCE_BYTES);
  assert.notDeepEqual(first.nonce, second.nonce);
  assert.equal(first.expires_at_ms, NOW + 30_000);
});

Deno.test("G3: a nonce is used once", () => {
  const challenges = new MemoryChallenges();
  const { nonce } = challenges.issue(BINDING, NOW);
  assert.deepEqual(challenges.consume(nonce, BINDING, NOW), { outcome: "accepted" });
  assert.deepEqual(challenges.consume(nonce, BINDING, NOW), {
    outcome: "refused",
    reason: "unknown",
  });
});

Deno.test("G3: a nonce is dead at 30 seconds and alive one millisecond before", () => {
  const challenges = new MemoryChallenges();
  const alive = challenges.issue(BINDING, NOW);
  const dead = challenges.issue(BINDING, NOW);
  const last = NOW + CHALLENGE_LIMITS.ttl_ms - 1;
  assert.equal(challenges.consume(alive.nonce, BINDING, last).outcome, "accepted");
  assert.deepEqual(challenges.consume(dead.nonce, BINDING, last + 1), {
    outcome: "refused",
    reason: "expired",
  });
});

Deno.test("an attempt under another id or key burns the nonce for its owner too", () => {
  for (
    const thief of [
      { ...BINDING, agent_id: "did:key:z6MkB" },
      { ...BINDING, public_key: "AB".repeat(32) },
    ]
  ) {
    const challenges = new MemoryChallenges();
    const { nonce } = challenges.issue(BINDING, NOW);
    assert.deepEqual(challenges.consume(nonce, thief, NOW), {
      outcome: "refused",
      reason: "bound_to_another",
    });
    assert.equal(challenges.consume(nonce, BINDING, NOW).outcome, "refused");
  }
});

Deno.test("a nonce that was never issued, or of another length, is unknown", () => {
  const challenges = new MemoryChallenges();
  for (const length of [0, 16, NONCE_BYTES, 64]) {
    assert.deepEqual(challenges.consume(new Uint8Array(length), BINDING, NOW), {
      outcome: "refused",
      reason: "unknown",
    });
  }
});

Deno.test("at the bound the oldest nonce goes first", () => {
  const challenges = new MemoryChallenges({ capacity_nonces: 3 });
  const issued = Array.from({ length: 4 }, () => challenges.issue(BINDING, NOW).nonce);
  assert.equal(challenges.outstanding, 3);
  const outcomes = issued.map((nonce) => challenges.consume(nonce, BINDING, NOW).outcome);
  assert.deepEqual(outcomes, ["refused", "accepted", "accepted", "accepted"]);
});

Deno.test("expired nonces make room before living ones do", () => {
  const challenges = new MemoryChallenges({ capacity_nonces: 3 });
  challenges.issue(BINDING, NOW);
  challenges.issue(BINDING, NOW);
  challenges.issue(BINDING, NOW + CHALLENGE_LIMITS.ttl_ms);
  assert.equal(challenges.outstanding, 1);
});
