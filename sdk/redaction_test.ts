import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { RedactInstructionsSchema } from "@agent-assembly/proto/policy";
import fc from "fast-check";
import { fixAct } from "./act.ts";
import { preflightScan, redactAct } from "./redaction.ts";

const SECRETS = [
  `ghp_${"a1B2c3D4e5".repeat(4).slice(0, 36)}`,
  "AKIAIOSFODNN7EXAMPLE",
  "4111111111111111",
  "someone@mail.example.com",
] as const;

/** Plain data with secrets in texts, in names of properties, and as numbers. */
const dirty = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.constantFrom(...SECRETS),
    fc.constantFrom(...SECRETS).map((secret) => `before ${secret} after`),
    fc.constant(4111111111111111),
  ),
  node: fc.oneof(
    { maxDepth: 4 },
    tie("leaf"),
    fc.array(tie("node"), { maxLength: 4 }),
    fc.dictionary(
      fc.oneof(fc.string({ maxLength: 8 }), fc.constantFrom(...SECRETS)),
      tie("node"),
      { maxKeys: 4 },
    ),
  ),
})).node;

Deno.test("a redacted act holds none of what was named, or does not happen", () => {
  let redacted = 0;
  fc.assert(fc.property(fc.dictionary(fc.string({ maxLength: 8 }), dirty), (args) => {
    const fixed = fixAct({ kind: "tool_call", tool: "t", args });
    const kinds = [...new Set(preflightScan(fixed.text ?? "").map(({ kind }) => kind))];
    if (kinds.length === 0) return;
    const rules = kinds.map((kind) => ({ fieldPath: `$.${kind}`, replacement: "[REDACTED]" }));
    const result = redactAct(fixed, create(RedactInstructionsSchema, { rules }));
    if (!result.ok) {
      assert.ok(result.kinds.length > 0);
      return;
    }
    redacted++;
    const left = preflightScan(JSON.stringify(result.act.args)).map(({ kind }) => kind);
    assert.deepEqual(left.filter((kind) => kinds.includes(kind)), []);
    assert.deepEqual(shape(result.act.args), shape(JSON.parse(fixed.text ?? "")));
  }));
  assert.ok(redacted > 20, `only ${redacted} cases were redacted`);
});

/** Lengths, whatever the names and leaves are. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shape);
  if (typeof value !== "object" || value === null) return 0;
  return Object.values(value).map(shape);
}
