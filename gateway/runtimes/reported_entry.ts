/**
 * The audit entry of one reported record (contract `wire` §5.6): marked as a runtime's word, with the
 * spool and position that name it for good.
 *
 * @module
 */
import { fromBinary } from "@bufbuild/protobuf";
import type { Action } from "../../core/action.ts";
import { type EntryDraft, hash16 } from "../../core/audit/entry.ts";
import { clean } from "../../core/audit/clean_text.ts";
import { CREDENTIAL_KINDS, type Finding } from "../../core/scanner/finding.ts";
import type { Principal } from "../../core/principal.ts";
import { type AuditEvent, AuditEventSchema } from "../../proto/gen/assembly/audit/v1/audit_pb.ts";
import {
  type ReportedRecord,
  type RuntimeDecision,
  RuntimeDecisionSchema,
} from "../../proto/gen/assembly/admin/v1/runtime_pb.ts";
import { actionFromWire, verdictOf } from "../../proto/mapping.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { Clock } from "../clock.ts";
import { decisionEntry, type WireDecision } from "../engine/evidence.ts";
import { governanceEntry } from "../engine/governance.ts";
import { registryKeyOf } from "../identity/keys.ts";
import { reportedEntry } from "../services/audit.ts";
import { RUNTIME_ROOM_LIMITS } from "./limits.ts";

/** Where a record stands. */
export interface Place {
  readonly spool_id: string;
  readonly seq: number;
}

/** A record as it was read. */
export type ReadRecord =
  | { readonly kind: "decision"; readonly decision: RuntimeDecision; readonly action: Action }
  | { readonly kind: "withdrawal"; readonly of_seq: number }
  | { readonly kind: "event"; readonly event: AuditEvent }
  /** It is put on record that there was one, so that what follows it is not held up for ever. */
  | { readonly kind: "unreadable"; readonly why: string };

/** Longest time on the wire that is believed, in milliseconds since the epoch. */
const TIME_MS_MAX = 253_402_300_799_999n;

/** Reads one record. Never throws. */
export function readRecord(record: ReportedRecord, agent: AgentRecord): ReadRecord {
  const { kind, content } = record;
  if (content.length > RUNTIME_ROOM_LIMITS.record_bytes) return unreadable("it is too large");
  try {
    if (kind === "event") return readEvent(fromBinary(AuditEventSchema, content), agent);
    if (kind !== "decision") return unreadable("its kind is not known");
    const decision = fromBinary(RuntimeDecisionSchema, content);
    if (decision.withdrawsSeq > 0n) {
      return { kind: "withdrawal", of_seq: Number(decision.withdrawsSeq) };
    }
    if (decision.decision < 1 || decision.decision > 4) return unreadable("it decides nothing");
    if (decision.decidedAtUnixMs > TIME_MS_MAX) return unreadable("its time is none");
    const mapped = actionFromWire(decision.action);
    if (!mapped.ok) return unreadable(`${mapped.field}: ${mapped.message}`);
    return { kind: "decision", decision, action: tagged(mapped.action, decision.contentTag) };
  } catch {
    return unreadable("its bytes are no message");
  }
}

/** An event names the agent whose spool it was in, or nobody. */
function readEvent(event: AuditEvent, agent: AgentRecord): ReadRecord {
  const id = event.agentId;
  if (id === undefined || id.agentId === "") return { kind: "event", event };
  const key = registryKeyOf({ org_id: id.orgId, team_id: id.teamId, agent_id: id.agentId });
  // A runtime knows its agent by the id alone; whose event it is says the credential.
  if (key === agent.key || id.agentId === agent.agent_id) return { kind: "event", event };
  return unreadable("it is about another agent");
}

/** Calls with other arguments stay other calls for the detectors, without the arguments. */
function tagged(action: Action, tag: Uint8Array): Action {
  if (action.kind !== "tool_call" || tag.length === 0 || tag.length > 32) return action;
  if (action.llm !== undefined) return action;
  return { ...action, args: JSON.stringify(tag.toHex()) };
}

function unreadable(why: string): ReadRecord {
  return { kind: "unreadable", why };
}

/** The entry of a decision. */
export function decisionDraft(
  { decision, action }: Extract<ReadRecord, { kind: "decision" }>,
  agent: AgentRecord,
  principal: Principal,
  place: Place,
  recheck: string,
  clock: Clock,
): EntryDraft {
  const number = decision.decision as WireDecision;
  const rule = decision.rule;
  const plain = action.kind === "tool_call" ? { ...action, args: "" } : action;
  return decisionEntry(
    {
      action_type: decision.actionType,
      action: plain,
      decision: number,
      verdict: verdictOf(number, decision.narrowed),
      latency_us: decision.latencyUs,
      reason: decision.reason,
      policy_rule: decision.policyRule,
      policy_doc_id: decision.policyDocId === "" ? undefined : clean(decision.policyDocId),
      rule: rule && {
        path: rule.path,
        file: rule.file,
        line: rule.line,
        column: rule.column,
        policy_doc_id: decision.policyDocId,
      },
      agent_id_claimed: agent.agent_id,
      assurance: 3,
      caller_agent_id: decision.callerAgentId === "" ? undefined : decision.callerAgentId,
      trace_id: decision.traceId,
      span_id: decision.spanId,
      org_id: principal.org_id,
      team_id: principal.team_id,
      lineage: {
        root_key: Uint8Array.fromHex(agent.root_key),
        parent_key: agent.parent_key === undefined
          ? undefined
          : Uint8Array.fromHex(agent.parent_key),
        depth: agent.depth,
        delegation_reason: agent.delegation_reason,
        spawned_by_tool: agent.spawned_by_tool,
      },
      findings: decision.findings.map(findingOf),
      runtime: {
        decided_at_ms: Number(decision.decidedAtUnixMs),
        because: decision.because,
        spool_id: place.spool_id,
        spool_seq: place.seq,
        recheck,
      },
    },
    hash16(agent.agent_id),
    hash16(decision.traceId),
    clock.now_ns(),
  );
}

/** What the runtime's scanner found: one of our kinds, or a text that is cleaned like all it says. */
function findingOf({ kind, offset }: RuntimeDecision["findings"][number]): Finding {
  const at = Number(offset);
  const known = FINDING_KINDS.find((each) => each === kind);
  if (known !== undefined) return { source: "builtin", kind: known, offset: at, end: at };
  return { source: "locale", category: clean(kind), offset: at, end: at, confidence: "low" };
}

const FINDING_KINDS = [...CREDENTIAL_KINDS, "Custom"] as const;

/** The entry of a record that is no decision. */
export function otherDraft(
  read: Exclude<ReadRecord, { kind: "decision" }>,
  agent: AgentRecord,
  place: Place,
  clock: Clock,
): EntryDraft {
  const facts = { actor: "runtime", agent_key: agent.key, ...spoolFacts(place) };
  switch (read.kind) {
    case "event": {
      const draft = reportedEntry(read.event, clock);
      const payload: Record<string, unknown> = {
        ...JSON.parse(draft.payload),
        reported_by: "runtime",
        reported_source: sourceOf(read.event),
        ...spoolFacts(place),
      };
      return {
        ...draft,
        agent_id: hash16(agent.agent_id),
        payload: JSON.stringify(sorted(payload)),
        ...(agent.team_id === "" ? {} : { team_id: clean(agent.team_id) }),
        ...(agent.org_id === "" ? {} : { org_id: clean(agent.org_id) }),
      };
    }
    case "withdrawal":
      return governanceEntry(
        "runtime_decision_withdrawn",
        { ...facts, withdraws_seq: read.of_seq },
        clock,
      );
    case "unreadable":
      return governanceEntry("runtime_record_unreadable", { ...facts, reason: read.why }, clock);
  }
}

/** Label in which a runtime says whose word an event is; it takes it from nobody else. */
const SOURCE_LABEL = "aa.runtime.source";
const SOURCES: readonly string[] = ["sdk", "broker", "proxy", "ebpf", "runtime"];

/** A client's claim must not look like the runtime's own word, whatever its event is called. */
function sourceOf({ labels }: AuditEvent): string {
  const said = labels[SOURCE_LABEL] ?? "";
  return SOURCES.includes(said) ? said : "unknown";
}

function spoolFacts({ spool_id, seq }: Place): Record<string, unknown> {
  return { spool_id, spool_seq: seq };
}

function sorted(payload: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.keys(payload).sort().map((key) => [key, payload[key]]));
}
