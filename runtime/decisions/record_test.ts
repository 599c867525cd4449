import assert from "node:assert/strict";
import fc from "fast-check";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { runtime } from "../../proto/mod.ts";
import type { Decision } from "../../core/verdict.ts";
import { answer } from "./_fake_gateway.ts";
import { toolQuery } from "./_fixture.ts";
import { ContentTags } from "./content.ts";
import { type Because, decisionBytes } from "./record.ts";

const AGENT = { org: "", team: "", did: "a", token: "" };

Deno.test("a record written by hand is, to the byte, what the generated code writes of it", () => {
  const tags = new ContentTags();
  fc.assert(fc.property(
    fc.record({
      text: fc.string({ maxLength: 40, unit: "grapheme" }),
      trace: fc.string({ maxLength: 40, unit: "binary" }),
      number: fc.nat(),
      decided_at_ms: fc.integer({ min: 0, max: 2 ** 45 }),
      word: fc.constantFrom(1, 2, 4),
      narrowed: fc.boolean(),
      ruled: fc.boolean(),
    }),
    ({ text, trace, number, decided_at_ms, word, narrowed, ruled }) => {
      const decision: Decision = {
        outcome: "allow",
        reason: "",
        findings: [{ source: "builtin", kind: "GitHubPat", offset: number, end: number }],
        narrowed,
        deny_action: "none",
        evidence: [],
        ...(ruled && {
          rule: { file: text, line: number, column: 1, path: "tools.x", policy_doc_id: text },
        }),
      };
      const bytes = decisionBytes({
        query: toolQuery(AGENT, text, text, { traceId: trace, spanId: "" }),
        response: answer(word, { reason: text, decisionLatencyUs: BigInt(number) }),
        because: "policy" satisfies Because,
        decided_at_ms,
        decision,
        action: { kind: "tool_call", tool: text, args: text },
      }, tags);
      const read = fromBinary(runtime.RuntimeDecisionSchema, bytes);
      assert.deepEqual(toBinary(runtime.RuntimeDecisionSchema, read), bytes);
      assert.equal(read.decidedAtUnixMs, BigInt(decided_at_ms));
      assert.equal(read.latencyUs, number);
      assert.equal(read.rule?.line ?? 0, ruled ? number : 0);
      assert.equal(read.findings[0]?.offset, BigInt(number));
    },
  ));
});

Deno.test("the same content has one tag for one runtime, and another for the next", () => {
  const [tags, others] = [new ContentTags(), new ContentTags()];
  const action = (args: string) => ({ kind: "tool_call", tool: "x", args } as const);
  assert.deepEqual(tags.of(action("a")), tags.of(action("a")));
  assert.notDeepEqual(tags.of(action("a")), tags.of(action("b")));
  assert.notDeepEqual(tags.of(action("a")), others.of(action("a")));
  assert.equal(tags.of({ kind: "file_access", path: "/", mode: "read" }).length, 0);
});
