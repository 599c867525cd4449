import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { DEFAULT_SCANNER } from "../mod.ts";
import {
  applySuppressions,
  parseSuppressions,
  type SuppressionContext,
  suppressionInput,
} from "./suppression.ts";

const encoder = new TextEncoder();
const keyedHash = (bytes: Uint8Array): string =>
  createHmac("sha256", "the operator's key").update(bytes).digest("hex");
const hashOf = (kind: string, value: string): string =>
  keyedHash(suppressionInput(kind, encoder.encode(value)));

const CARD = "4532015112830366";
const ENTRY = {
  id: "sandbox-card",
  reason: "the public test card of the payment sandbox",
  kind: "CreditCardLuhn",
  value_hmac: hashOf("CreditCardLuhn", CARD),
  team: "payments",
  tool: "charge",
  expires_at: "2030-01-31T00:00:00Z",
};
const NOW: SuppressionContext = {
  agent: "a1",
  team: "payments",
  tool: "charge",
  now_ms: Date.parse("2030-01-30T23:59:59Z"),
};
const TEXT = `card=${CARD} or 5555555555554444`;

function suppressedIds(entries: readonly unknown[], context: SuppressionContext): string[] {
  const { suppressions } = parseSuppressions(entries, "data.suppressions");
  const findings = DEFAULT_SCANNER.scan(TEXT);
  const bytes = encoder.encode(TEXT);
  const { live, suppressed } = applySuppressions(findings, bytes, suppressions, context, keyedHash);
  assert.equal(live.length + suppressed.length, findings.length, "nothing is lost");
  return suppressed.map(({ suppression_id }) => suppression_id);
}

Deno.test("a suppressed finding is still reported, with who excused it and why", () => {
  const { suppressions, problems } = parseSuppressions([ENTRY], "data.suppressions");
  assert.deepEqual(problems, []);
  const findings = DEFAULT_SCANNER.scan(TEXT);
  const bytes = encoder.encode(TEXT);
  const { live, suppressed } = applySuppressions(findings, bytes, suppressions, NOW, keyedHash);
  assert.deepEqual(live, findings.slice(1));
  assert.deepEqual(suppressed, [
    { finding: findings[0], suppression_id: ENTRY.id, reason: ENTRY.reason },
  ]);
});

Deno.test("a suppression ends at its time, and a broken clock suppresses nothing", () => {
  assert.deepEqual(suppressedIds([ENTRY], NOW), ["sandbox-card"]);
  for (const now_ms of [Date.parse(ENTRY.expires_at), Infinity, NaN]) {
    assert.deepEqual(suppressedIds([ENTRY], { ...NOW, now_ms }), []);
  }
});

Deno.test("another team, tool, kind or value is not excused, nor is what nobody knows", () => {
  assert.deepEqual(suppressedIds([ENTRY], { ...NOW, team: "ops" }), []);
  assert.deepEqual(suppressedIds([ENTRY], { team: "payments", now_ms: NOW.now_ms }), []);
  assert.deepEqual(suppressedIds([{ ...ENTRY, kind: "SsnPattern" }], NOW), []);
  const other = { ...ENTRY, value_hmac: hashOf("CreditCardLuhn", "4532015112830367") };
  assert.deepEqual(suppressedIds([other], NOW), []);
  const of_other_kind = { ...ENTRY, value_hmac: hashOf("SsnPattern", CARD) };
  assert.deepEqual(suppressedIds([of_other_kind], NOW), [], "a hash is bound to its kind");
});

Deno.test("a malformed suppression suppresses nothing and is named by its place", () => {
  const bad: readonly [Record<string, unknown>, string][] = [
    [{ ...ENTRY, id: "" }, "data.suppressions[1].id"],
    [{ ...ENTRY, reason: 7 }, "data.suppressions[1].reason"],
    [{ ...ENTRY, kind: "Cards" }, "data.suppressions[1].kind"],
    [{ ...ENTRY, value_hmac: CARD }, "data.suppressions[1].value_hmac"],
    [{ ...ENTRY, expires_at: "never" }, "data.suppressions[1].expires_at"],
    [{ ...ENTRY, expires_at: undefined }, "data.suppressions[1].expires_at"],
    [{ ...ENTRY, team: undefined, tool: undefined }, "data.suppressions[1]"],
    [{ ...ENTRY, team: "" }, "data.suppressions[1].team"],
    [{ ...ENTRY, agents: ["a1"] }, "data.suppressions[1].agents"],
    [{ ...ENTRY }, "data.suppressions[1].id"],
  ];
  for (const [entry, path] of bad) {
    const first = { ...ENTRY, kind: "SsnPattern" };
    const { suppressions, problems } = parseSuppressions([first, entry], "data.suppressions");
    assert.equal(suppressions.length, 1, path);
    assert.deepEqual(problems.map((problem) => problem.path), [path]);
    assert.ok(!problems.some(({ message }) => message.includes(CARD)), "no value in a message");
  }
  assert.deepEqual(parseSuppressions({}, "x").problems[0]?.path, "x");
  assert.deepEqual(parseSuppressions(undefined, "x"), { suppressions: [], problems: [] });
});

Deno.test("whatever the document, nothing but a whole match suppresses", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const entries = Array.isArray(value) ? value : [value];
      assert.deepEqual(suppressedIds([...entries, { ...ENTRY, tool: "other" }], NOW), []);
    }),
  );
});
