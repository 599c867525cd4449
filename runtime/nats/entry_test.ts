import assert from "node:assert/strict";
import { chainProblem, GENESIS, headAfter } from "../../core/audit/chain.ts";
import { hash16 } from "../../core/audit/entry.ts";
import { parseLine } from "../../core/audit/line.ts";
import type { audit } from "../../proto/mod.ts";
import type { SpoolRecord } from "../parts.ts";
import { eventOf } from "../pipeline/_pipeline_fixture.ts";
import type { Enrichment } from "../pipeline/enrichment.ts";
import { storedBytes } from "../pipeline/stored_copy.ts";
import { entryOf, subjectOf } from "./entry.ts";
import { chainEntries, headOf, noteOf } from "./entry_chain.ts";

const AGENT = { agent_id: "agent-1", team_id: "red", org_id: "acme" };
const UUID = "1ecdc788-e7e6-5311-82b3-847f4efda0ab";

const enrichment: Enrichment = {
  received_at_ms: 1_714_222_134_000,
  source: "sdk",
  connection_id: 1,
  sequence: 7,
  claimed_agent_id: "",
  sdk_verdict: "ok",
  forged_trust_markers: 0,
};

Deno.test("an entry's payload is what the reference writes, key for key, for each kind of event", () => {
  const details: readonly [audit.AuditEvent["detail"]["case"], object, object | null][] = [
    ["llmCall", { model: "m", provider: "p" }, { kind: "llm_call", model: "m", provider: "p" }],
    ["toolCall", { toolName: "t", toolSource: "mcp", succeeded: true }, {
      kind: "tool_call",
      succeeded: true,
      tool_name: "t",
      tool_source: "mcp",
    }],
    ["fileOp", { operation: "read", path: "/a", source: "sdk" }, {
      kind: "file_op",
      operation: "read",
      path: "/a",
      source: "sdk",
    }],
    ["network", { host: "h", port: 443, protocol: "tcp" }, {
      host: "h",
      kind: "network_call",
      port: 443,
      protocol: "tcp",
    }],
    ["process", { command: "ls", exitCode: 2, args: ["-l"] }, {
      command: "ls",
      exit_code: 2,
      kind: "process_exec",
    }],
    ["violation", { policyRule: "r", blockedAction: "b", reason: "why" }, {
      blocked_action: "b",
      kind: "policy_violation",
      policy_rule: "r",
      reason: "why",
    }],
    ["approval", { approvalId: "x", approved: true, reason: "fine" }, {
      approval_id: "x",
      approved: true,
      kind: "approval",
    }],
    [undefined, {}, null],
  ];
  for (const [kind, value, detail] of details) {
    const event = eventOf({
      eventId: "e1",
      actionType: 2,
      decision: 1,
      detail: { case: kind, value } as audit.AuditEvent["detail"],
    });
    const { payload, event_type } = entryOf(event, enrichment, AGENT);
    const expected = JSON.stringify({
      action_type: "TOOL_CALL",
      decision: 1,
      detail,
      event_id: "e1",
      sdk_identity: { forged_trust_markers: 0, tamper_suspected: false, verdict: "ok" },
      source: "sdk",
    });
    assert.equal(payload, expected);
    assert.equal(event_type, kind === "violation" ? "PolicyViolation" : "ToolCallIntercepted");
  }
});

Deno.test("ids, lineage and time are the contract's", () => {
  const event = eventOf({
    eventId: "e1",
    actionType: 6,
    sessionId: UUID,
    agentId: { agentId: "agent-1", orgId: "acme", teamId: "" },
    teamId: "red",
    rootAgentId: UUID,
    parentAgentId: "no uuid",
    delegationReason: "x".repeat(5_000),
    depth: 3,
  });
  const entry = entryOf(event, enrichment, AGENT);
  assert.equal(entry.event_type, "A2ACallIntercepted");
  assert.equal(entry.timestamp_ns, 1_714_222_134_000_000_000n);
  assert.deepEqual(entry.agent_id, hash16("agent-1"));
  const uuid = Uint8Array.fromHex(UUID.replaceAll("-", ""));
  assert.deepEqual(entry.session_id, uuid);
  assert.deepEqual(entry.root_agent_id, uuid);
  assert.equal(entry.parent_agent_id, undefined);
  assert.equal(entry.team_id, "red");
  assert.equal(entry.org_id, "acme");
  assert.equal(entry.delegation_reason?.length, 1_024);
  assert.equal(entry.depth, 3);
  assert.deepEqual(entryOf(eventOf({ eventId: "e1" }), enrichment, AGENT).session_id, hash16("e1"));
});

Deno.test("a UUID as agent id is hashed when the event named nobody, and read when it did", () => {
  const agent = { ...AGENT, agent_id: UUID };
  assert.deepEqual(entryOf(eventOf(), enrichment, agent).agent_id, hash16(UUID));
  const named = { ...enrichment, claimed_agent_id: UUID };
  assert.equal(
    entryOf(eventOf(), named, agent).agent_id.toHex(),
    UUID.replaceAll("-", ""),
  );
});

Deno.test("subjects name tenant and agent; what is no letter, digit, - or _ becomes _", () => {
  const bytes = Uint8Array.fromHex(UUID.replaceAll("-", ""));
  const of = (orgId: string, teamId: string, team = "") =>
    subjectOf(eventOf({ agentId: { orgId, teamId }, teamId: team }), bytes);
  assert.equal(of("acme", "red"), `assembly.audit.acme.${UUID}`);
  assert.equal(of("a.b *>é🙂", ""), `assembly.audit.a_b_____.${UUID}`);
  assert.equal(of("", "red"), `assembly.audit.red.${UUID}`);
  assert.equal(of("", "", "blue"), `assembly.audit.blue.${UUID}`);
  assert.equal(of("", ""), `assembly.audit.default.${UUID}`);
});

Deno.test("trap R13: entries are one chain, over a restart too, and repeat the same from the same place", () => {
  const record = (seq: number): SpoolRecord => ({
    seq,
    kind: seq % 4 === 0 ? "decision" : "event",
    bytes: storedBytes(eventOf({ eventId: `e${seq}` }), { ...enrichment, sequence: seq }, false),
  });
  const records = Array.from({ length: 20 }, (_, index) => record(index + 1));
  const first = chainEntries(records.slice(0, 9), GENESIS, AGENT);
  const second = chainEntries(records.slice(9), headOf(noteOf(first.head)), AGENT);
  let head = GENESIS;
  for (const { line } of [...first.entries, ...second.entries]) {
    const entry = parseLine(line);
    assert.equal(chainProblem(entry, head), undefined);
    head = headAfter(entry.seq, entry.entry_hash.toHex());
  }
  assert.equal(first.entries.length + second.entries.length, 15, "decisions are not published");
  const repeated = chainEntries(records.slice(9), headOf(noteOf(first.head)), AGENT);
  assert.deepEqual(repeated, second);
  assert.deepEqual(headOf(null), GENESIS);
});

Deno.test("a record that is no event holds up nobody behind it", () => {
  const bad: SpoolRecord = { seq: 1, kind: "event", bytes: new Uint8Array([0xff, 0xff]) };
  const run = chainEntries([bad], GENESIS, AGENT);
  assert.equal(run.unreadable, 1);
  assert.deepEqual(run.head, GENESIS);
});
