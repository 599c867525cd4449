import assert from "node:assert/strict";
import {
  AuditEntryError,
  checkDraft,
  EVENT_TYPES,
  eventTypeNumber,
  eventTypesOf,
} from "./entry.ts";
import { sampleDraft } from "./_sample_log.ts";

Deno.test("event types have the contract's numbers", () => {
  assert.equal(EVENT_TYPES.length, 23);
  assert.equal(eventTypeNumber("ToolCallIntercepted"), 0);
  assert.equal(eventTypeNumber("AgentForceDeregistered"), 11);
  assert.equal(eventTypeNumber("A2ACallIntercepted"), 14);
  assert.equal(eventTypeNumber("SandboxHostFnRateLimited"), 21);
  assert.equal(eventTypeNumber("GovernanceMutation"), 22);
  assert.equal(eventTypeNumber("toString"), undefined);
});

Deno.test("a filter word is a type or a group", () => {
  assert.deepEqual(eventTypesOf("PolicyViolation"), ["PolicyViolation"]);
  assert.deepEqual(eventTypesOf("budget"), ["BudgetLimitApproached", "BudgetLimitExceeded"]);
  assert.equal(eventTypesOf("violation")?.includes("CredentialLeakBlocked"), true);
  assert.equal(eventTypesOf("constructor"), undefined);
});

Deno.test("a draft that cannot be recorded is refused with its field named", () => {
  const good = sampleDraft(0);
  const cases: [string, object][] = [
    ["event_type", { event_type: "Nothing" }],
    ["timestamp_ns", { timestamp_ns: -1n }],
    ["timestamp_ns", { timestamp_ns: 1n << 64n }],
    ["timestamp_ns", { timestamp_ns: 5 }],
    ["agent_id", { agent_id: new Uint8Array(15) }],
    ["session_id", { session_id: "0".repeat(16) }],
    ["payload", { payload: {} }],
    ["root_agent_id", { root_agent_id: new Uint8Array(32) }],
    ["depth", { depth: 1.5 }],
    ["depth", { depth: 2 ** 32 }],
    ["team_id", { team_id: "é".repeat(513) }],
    ["org_id", { org_id: 5 }],
    ["credential_findings.offset", {
      credential_findings: [{ kind: "x", offset: -1, matched: "" }],
    }],
  ];
  for (const [field, change] of cases) {
    assert.throws(
      () => checkDraft({ ...good, ...change } as typeof good),
      (error: unknown) => error instanceof AuditEntryError && error.field === field,
      field,
    );
  }
  assert.doesNotThrow(() => checkDraft({ ...good, team_id: "é".repeat(512) }));
});

Deno.test("text without a UTF-8 form is made well-formed before it is hashed", () => {
  const checked = checkDraft({ ...sampleDraft(0), payload: "\ud800", team_id: "a\udc00" });
  assert.equal(checked.payload, "\ufffd");
  assert.equal(checked.team_id, "a\ufffd");
});
