import assert from "node:assert/strict";
import fc from "fast-check";
import {
  effectiveEnforcement,
  ENFORCE,
  type EnforcementRequest,
  validateEnforcementChange,
} from "./enforcement.ts";
import { REGISTRY_LIMITS } from "./limits.ts";

const NOW = 1_700_000_000_000;
const HOUR = 3_600_000;
const KEY = "a".repeat(32);

const OBSERVE: EnforcementRequest = {
  mode: "observe",
  reason: "tuning the new policy",
  expires_at_ms: NOW + HOUR,
  scope: "admin",
  cascade: false,
  affected: [KEY],
  expected: [],
  now_ms: NOW,
};

function codeOf(change: Partial<EnforcementRequest>): string {
  const check = validateEnforcementChange({ ...OBSERVE, ...change });
  return check.ok ? "ok" : `${check.problem.field} ${check.problem.code}`;
}

const keys = (count: number) =>
  Array.from({ length: count }, (_, index) => index.toString(16).padStart(32, "0"));

Deno.test("observing is granted to an admin with a reason and an end", () => {
  assert.deepEqual(validateEnforcementChange(OBSERVE), {
    ok: true,
    enforcement: {
      mode: "observe",
      expires_at_ms: NOW + HOUR,
      reason: "tuning the new policy",
    },
    agents: [KEY],
  });
});

Deno.test("M7: observing without a reason, without an end, for 73 hours, or below admin is refused", () => {
  assert.equal(codeOf({ reason: "" }), "reason reason_required");
  assert.equal(codeOf({ reason: " \t\n" }), "reason reason_required");
  assert.equal(codeOf({ expires_at_ms: 0 }), "expires_at_ms expiry_required");
  assert.equal(codeOf({ expires_at_ms: NOW + 73 * HOUR }), "expires_at_ms expiry_too_far");
  assert.equal(codeOf({ scope: "write" }), "scope permission_denied");
  assert.equal(codeOf({ scope: "read" }), "scope permission_denied");
});

Deno.test("M7: the end must lie in the future and within 72 hours, to the millisecond", () => {
  assert.equal(codeOf({ expires_at_ms: NOW }), "expires_at_ms expiry_not_in_future");
  assert.equal(codeOf({ expires_at_ms: -1 }), "expires_at_ms expiry_not_in_future");
  assert.equal(codeOf({ expires_at_ms: NOW + 1 }), "ok");
  assert.equal(codeOf({ expires_at_ms: NOW + 72 * HOUR }), "ok");
  assert.equal(codeOf({ expires_at_ms: NOW + 72 * HOUR + 1 }), "expires_at_ms expiry_too_far");
  for (const expires_at_ms of [NaN, Infinity, -Infinity, NOW + 0.5]) {
    assert.notEqual(codeOf({ expires_at_ms }), "ok", String(expires_at_ms));
  }
});

Deno.test("a reason too long to keep is refused instead of cut", () => {
  const limit = REGISTRY_LIMITS.reason_chars;
  assert.equal(codeOf({ reason: "x".repeat(limit) }), "ok");
  assert.equal(codeOf({ reason: "x".repeat(limit + 1) }), "reason reason_too_long");
});

Deno.test("enforcing again needs the write scope and nothing else", () => {
  const enforce = { mode: "enforce", reason: "", expires_at_ms: 0 } as const;
  assert.equal(codeOf({ ...enforce, scope: "write" }), "ok");
  assert.equal(codeOf({ ...enforce, scope: "read" }), "scope permission_denied");
  const check = validateEnforcementChange({ ...OBSERVE, mode: "enforce" });
  assert.deepEqual(check, { ok: true, enforcement: ENFORCE, agents: [KEY] });
});

Deno.test("trap 11: disabled and unspecified are no modes", () => {
  assert.equal(codeOf({ mode: "disabled" }), "mode mode_not_representable");
  assert.equal(codeOf({ mode: "unspecified" }), "mode mode_not_representable");
});

Deno.test("M8: a cascade over 51 agents is refused, over 50 it is not, and it is never cut short", () => {
  const over = keys(51);
  const within = keys(50);
  assert.equal(
    codeOf({ cascade: true, affected: over, expected: over }),
    "cascade cascade_too_large",
  );
  assert.equal(codeOf({ cascade: true, affected: within, expected: within }), "ok");
  assert.equal(
    codeOf({ cascade: true, affected: over, expected: within }),
    "cascade cascade_too_large",
  );
  // Enforcing again through a cascade has the same bound.
  const strengthen = { mode: "enforce", scope: "write", cascade: true } as const;
  assert.equal(
    codeOf({ ...strengthen, affected: over, expected: over }),
    "cascade cascade_too_large",
  );
});

Deno.test("a cascade needs exactly the set that was previewed", () => {
  const [a = "", b = "", c = ""] = keys(3);
  const mismatch = "expected cascade_preview_mismatch";
  assert.equal(codeOf({ cascade: true, affected: [a, b], expected: [b, a] }), "ok");
  for (const expected of [[], [a], [a, c], [a, b, c], [a, b, b]]) {
    assert.equal(codeOf({ cascade: true, affected: [a, b], expected }), mismatch);
  }
  assert.equal(codeOf({ cascade: false, affected: [a], expected: [] }), "ok");
});

Deno.test("an override ends by itself, at its end and not before", () => {
  const observe = { mode: "observe", expires_at_ms: NOW, reason: "x" } as const;
  assert.equal(effectiveEnforcement(observe, NOW - 1).mode, "observe");
  assert.equal(effectiveEnforcement(observe, NOW).mode, "enforce");
  assert.equal(effectiveEnforcement(ENFORCE, NOW).mode, "enforce");
});

Deno.test("whatever is granted: weaker only for an admin, with a reason, never beyond 72 hours", () => {
  const request: fc.Arbitrary<EnforcementRequest> = fc.record({
    mode: fc.constantFrom("enforce", "observe", "disabled", "unspecified"),
    reason: fc.oneof(fc.constant(""), fc.string()),
    expires_at_ms: fc.oneof(fc.double(), fc.integer({ min: 0, max: NOW * 2 })),
    scope: fc.constantFrom("read", "write", "admin"),
    cascade: fc.boolean(),
    affected: fc.array(fc.constantFrom(...keys(4)), { maxLength: 4 }),
    expected: fc.array(fc.constantFrom(...keys(4)), { maxLength: 4 }),
    now_ms: fc.constant(NOW),
  });
  fc.assert(
    fc.property(request, (asked) => {
      const check = validateEnforcementChange(asked);
      if (!check.ok) return;
      const { enforcement } = check;
      assert.notEqual(asked.scope, "read");
      if (enforcement.mode === "enforce") return;
      assert.equal(asked.scope, "admin");
      assert.notEqual(enforcement.reason.trim(), "");
      assert.ok(enforcement.expires_at_ms > NOW);
      assert.ok(enforcement.expires_at_ms <= NOW + 72 * HOUR);
    }),
    { numRuns: 2_000 },
  );
});
