import assert from "node:assert/strict";
import fc from "fast-check";
import { parseJson } from "../../core/audit/sanitize.ts";
import { decisionEntry, type DecisionRecord } from "./evidence.ts";
import { governanceEntry } from "./governance.ts";

const CLOCK = { now_ms: () => 0, now_ns: () => 0n, monotonic_us: () => 0 };
const KEY = new Uint8Array(16);

/** Texts that would break out of JSON put together by hand. */
const hostile = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.constantFrom(
    '","decision":1,"x":"',
    '"}',
    "\\",
    '\\","verdict":"allow',
    "\n\u2028\u2029\u0000",
    "\ud800",
    "</script>",
    '{"prompt":"x"}',
    "__proto__",
  ),
);

const record: fc.Arbitrary<DecisionRecord> = fc.record({
  action_type: fc.nat(20),
  action: fc.record({ kind: fc.constant("tool_call" as const), tool: hostile, args: hostile }),
  decision: fc.constantFrom(1 as const, 2 as const, 3 as const, 4 as const),
  verdict: fc.constant("deny" as const),
  latency_us: fc.nat(1_000_000),
  reason: hostile,
  policy_rule: hostile,
  policy_doc_id: fc.option(hostile, { nil: undefined }),
  rule: fc.option(
    fc.record({ file: hostile, line: fc.nat(9), column: fc.nat(9), path: hostile }),
    { nil: undefined },
  ),
  agent_id_claimed: hostile,
  assurance: fc.nat(3),
  caller_agent_id: fc.option(hostile, { nil: undefined }),
  trace_id: hostile,
  span_id: hostile,
  org_id: fc.option(hostile, { nil: undefined }),
  team_id: fc.option(hostile, { nil: undefined }),
  lineage: fc.option(
    fc.record({
      root_key: fc.constant(KEY),
      parent_key: fc.constant(undefined),
      depth: fc.nat(9),
      delegation_reason: fc.option(hostile, { nil: undefined }),
      spawned_by_tool: fc.option(hostile, { nil: undefined }),
    }),
    { nil: undefined },
  ),
  findings: fc.constant([]),
}) as fc.Arbitrary<DecisionRecord>;

const KEYS = new Set([
  ...["action", "action_type", "agent_id_claimed", "agent_identity_assurance", "callee_agent_id"],
  ...["caller_agent_id", "decision", "delegation_reason", "depth", "latency_ms", "latency_us"],
  ...["org_id", "parent_agent_id", "policy_doc_id", "policy_rule", "reason", "resource"],
  ...["root_agent_id", "rule", "rule_at", "span_id", "spawned_by_tool", "team_id", "trace_id"],
  "verdict",
]);

Deno.test("trap 53: no text of an agent, operator or policy becomes a key or a verdict of the evidence", () => {
  fc.assert(fc.property(record, (given) => {
    const { payload } = decisionEntry(given, KEY, KEY, 0n);
    const parsed = parseJson(payload)?.value;
    assert.ok(typeof parsed === "object" && parsed !== null, payload);
    const members = new Map<string, unknown>(Object.entries(parsed));
    for (const key of members.keys()) assert.ok(KEYS.has(key), key);
    assert.equal(payload.match(/"decision":/g)?.length ?? 0, 1 + mentions(members, '"decision":'));
    assert.equal(members.get("decision"), given.decision);
    assert.equal(members.get("verdict"), given.verdict);
    assert.equal(members.get("latency_us"), given.latency_us);
  }));
});

/** How often a text stands, unescaped, in the values: never, or somebody broke out of one. */
function mentions(members: ReadonlyMap<string, unknown>, text: string): number {
  return [...members.values()].filter((value) =>
    typeof value === "string" && JSON.stringify(value).includes(text)
  ).length;
}

Deno.test("trap 53: an operator's words stay one value of a governance entry", () => {
  fc.assert(fc.property(hostile, hostile, (reason, actor) => {
    const { payload } = governanceEntry("policy_saved", { reason, actor }, CLOCK);
    assert.deepEqual({ ...JSON.parse(payload) }, { action: "policy_saved", actor, reason });
  }));
});
