import assert from "node:assert/strict";
import fc from "fast-check";
import { LIMITS } from "../limits.ts";
import { GENESIS, seal } from "./chain.ts";
import { prepareDraft, shrinkDraft } from "./prepare.ts";
import { OMITTED_KEY } from "./sanitize.ts";
import { sampleDraft } from "./_sample_log.ts";

const KEEP = { store_redacted_payload: false };

function bytes(text: string): number {
  return new TextEncoder().encode(text).length;
}

Deno.test("trap 51: redacted payload text is not stored unless asked for", () => {
  const draft = { ...sampleDraft(0), redacted_payload: "call [REDACTED:AwsAccessKey]" };
  assert.equal("redacted_payload" in prepareDraft(draft, KEEP).draft, false);
  const kept = prepareDraft(draft, { store_redacted_payload: true }).draft;
  assert.equal(kept.redacted_payload, draft.redacted_payload);
});

Deno.test("a finding's label is only ever a label", () => {
  const finding = { kind: "AwsAccessKey", offset: 1n, matched: "AKIAIOSFODNN7EXAMPLE" };
  const { draft } = prepareDraft({ ...sampleDraft(0), credential_findings: [finding] }, KEEP);
  assert.deepEqual(draft.credential_findings, [
    { kind: "AwsAccessKey", offset: 1n, matched: "[REDACTED:Custom]" },
  ]);
});

Deno.test("what does not fit is left out, the largest first, and named", () => {
  const payload = JSON.stringify({
    small: 1,
    large: "é".repeat(20_000),
    middle: "m".repeat(9_000),
  });
  const { draft } = prepareDraft({ ...sampleDraft(0), payload }, KEEP);
  const stored = JSON.parse(draft.payload);
  assert.deepEqual(stored[OMITTED_KEY], ["large"]);
  assert.equal(stored.small, 1);
  assert.equal(stored.middle.length, 9_000);
});

Deno.test("a bounded payload always fits, whatever its members are", () => {
  const members = fc.dictionary(fc.string({ maxLength: 200 }), fc.string({ maxLength: 200 }), {
    maxKeys: 20,
  });
  fc.assert(fc.property(members, fc.integer({ min: 1, max: 700 }), (value, times) => {
    const grown = Object.fromEntries(
      Object.entries(value).map(([key, text]) => [key, text.repeat(times)]),
    );
    const { draft } = prepareDraft({ ...sampleDraft(0), payload: JSON.stringify(grown) }, KEEP);
    assert.ok(bytes(draft.payload) <= LIMITS.audit_payload_bytes);
    assert.doesNotThrow(() => JSON.parse(draft.payload));
  }));
});

Deno.test("many findings and many large members are counted, not kept", () => {
  const finding = { kind: "Custom", offset: 1n, matched: "[REDACTED:Custom]" };
  const credential_findings = Array(500).fill(finding);
  const many = Object.fromEntries(
    Array.from({ length: 3_000 }, (_, i) => [`key-${i}`, "v".repeat(100)]),
  );
  const payload = JSON.stringify(many);
  const { draft } = prepareDraft({ ...sampleDraft(0), payload, credential_findings }, KEEP);
  assert.equal(draft.credential_findings?.length, 64);
  const names: string[] = JSON.parse(draft.payload)[OMITTED_KEY];
  assert.equal(names[0], "credential_findings[64..]");
  assert.match(names.at(-1) ?? "", /^and \d+ more$/);
});

Deno.test("a payload that escapes make too long for one entry is shrunk until it fits", () => {
  const payload = JSON.stringify({ quotes: '"'.repeat(16_370), x: 1 });
  const { draft } = prepareDraft({ ...sampleDraft(0), payload }, KEEP);
  const { line } = seal(draft, GENESIS);
  assert.ok(bytes(line) > LIMITS.audit_entry_bytes);
  const smaller = seal(shrinkDraft(draft, bytes(line)), GENESIS).line;
  assert.ok(bytes(smaller) <= LIMITS.audit_entry_bytes);
  assert.ok(smaller.includes(OMITTED_KEY));
});
