import assert from "node:assert/strict";
import fc from "fast-check";
import { explainedReason, IPC_LIMITS, readExplainedReason } from "./mod.ts";

const text = fc.string({ minLength: 1, maxLength: IPC_LIMITS.explanation_part_chars })
  .filter((one) => !one.includes("\u001f"));

Deno.test("what a refusal is explained by arrives as it was sent", () => {
  const words = fc.record({ rule: text, change: text, who: text }, { requiredKeys: [] });
  fc.assert(fc.property(text, words, (reason, words) => {
    const sent = { reason, ...words };
    assert.deepEqual(readExplainedReason(explainedReason(sent)), sent);
  }));
});

Deno.test("a reason without an explanation is the reason alone, byte for byte", () => {
  assert.equal(explainedReason({ reason: "tool denied by policy" }), "tool denied by policy");
  assert.deepEqual(readExplainedReason("tool denied by policy"), {
    reason: "tool denied by policy",
  });
});

Deno.test("whatever a peer writes is read within bounds", () => {
  fc.assert(fc.property(fc.string({ maxLength: 5_000, unit: "binary" }), (text) => {
    const { rule = "", change = "", who = "" } = readExplainedReason(text);
    for (const part of [rule, change, who]) {
      assert.ok(part.length <= IPC_LIMITS.explanation_part_chars);
      assert.ok(!part.includes("\u001f"));
    }
  }));
});
