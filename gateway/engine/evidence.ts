/**
 * Audit evidence of decisions: which event, which payload (contract `wire` §5.6).
 *
 * The payload is JSON text with keys in alphabetical order, like the reference's, and never holds
 * arguments, results, bodies or credentials: identifiers are scanned once more at this boundary.
 *
 * @module
 */
import type { Action } from "../../core/action.ts";
import type { EntryDraft, EventType } from "../../core/audit/entry.ts";
import { clean, CLEAN_TEXT_CHARS_MAX } from "../../core/audit/clean_text.ts";
import { type Finding, labelOf } from "../../core/scanner/finding.ts";
import type { RuleRef } from "../../core/verdict.ts";
import type { Verdict } from "../../proto/mapping.ts";

export { clean } from "../../core/audit/clean_text.ts";

/** Numbers of `assembly.common.v1.Decision`. */
export type WireDecision = 1 | 2 | 3 | 4;

/** One answered question, as the log keeps it. */
export interface DecisionRecord {
  readonly action_type: number;
  readonly action: Action;
  readonly decision: WireDecision;
  readonly verdict: Verdict;
  readonly latency_us: number;
  readonly reason: string;
  readonly policy_rule: string;
  readonly policy_doc_id: string | undefined;
  readonly rule: RuleRef | undefined;
  readonly agent_id_claimed: string;
  readonly assurance: number;
  readonly caller_agent_id: string | undefined;
  readonly trace_id: string;
  readonly span_id: string;
  readonly org_id: string | undefined;
  readonly team_id: string | undefined;
  readonly lineage: LineageRecord | undefined;
  readonly findings: readonly Finding[];
  /** Set in observe mode: what an enforcing gateway would have answered. */
  readonly shadow?: { readonly decision: string; readonly reason: string };
  /** What the detectors said, when they said anything. */
  readonly anomaly?: { readonly detector: string; readonly response: string };
  /** Approval request that the call was given, or waits for. */
  readonly approval_id?: string;
  /** What the ledger reserved for it. */
  readonly reservation?: { readonly id: string; readonly micro_usd: number };
  /** Set when a runtime decided it, by its own word. */
  readonly runtime?: RuntimeMark;
}

/** A decision that a runtime made and reported. */
export interface RuntimeMark {
  /** By the gateway's clock as the runtime knew it. */
  readonly decided_at_ms: number;
  /** `policy`, `operator`, `gateway_away`, `local_rules`, `unconfigured`. */
  readonly because: string;
  readonly spool_id: string;
  readonly spool_seq: number;
  /** What this gateway's own policy says of it, `agrees`, or why that is not known. */
  readonly recheck: string;
}

/** Lineage of a registered agent. Keys are 16 bytes. */
export interface LineageRecord {
  readonly root_key: Uint8Array;
  readonly parent_key: Uint8Array | undefined;
  readonly depth: number;
  readonly delegation_reason: string | undefined;
  readonly spawned_by_tool: string | undefined;
}

const EVENT_OF_DECISION: Record<WireDecision, EventType> = {
  1: "ToolCallIntercepted",
  2: "PolicyViolation",
  3: "ApprovalRequested",
  4: "CredentialLeakBlocked",
};

/**
 * The audit entry of one decision.
 *
 * @param record What was asked and answered.
 * @param agent_key 16-byte audit agent id.
 * @param session_key 16-byte session id.
 * @param now_ns Server clock.
 */
export function decisionEntry(
  record: DecisionRecord,
  agent_key: Uint8Array,
  session_key: Uint8Array,
  now_ns: bigint,
): EntryDraft {
  const through_another = record.caller_agent_id !== undefined && record.caller_agent_id !== "" &&
    record.caller_agent_id !== record.agent_id_claimed;
  const event_type: EventType = record.decision === 1 && through_another
    ? "A2ACallIntercepted"
    : EVENT_OF_DECISION[record.decision];
  const lineage = record.lineage;
  return {
    event_type,
    timestamp_ns: now_ns,
    agent_id: agent_key,
    session_id: session_key,
    payload: decisionPayload(record),
    ...(lineage === undefined ? {} : {
      root_agent_id: lineage.root_key,
      ...(lineage.parent_key === undefined ? {} : { parent_agent_id: lineage.parent_key }),
      depth: lineage.depth,
      ...(lineage.delegation_reason === undefined
        ? {}
        : { delegation_reason: clean(lineage.delegation_reason) }),
      ...(lineage.spawned_by_tool === undefined
        ? {}
        : { spawned_by_tool: clean(lineage.spawned_by_tool) }),
    }),
    ...(record.team_id === undefined ? {} : { team_id: record.team_id }),
    ...(record.org_id === undefined ? {} : { org_id: record.org_id }),
    ...(record.findings.length === 0 ? {} : { credential_findings: findingRows(record.findings) }),
    ...(record.policy_doc_id === undefined ? {} : { policy_doc_id: record.policy_doc_id }),
  };
}

function decisionPayload(record: DecisionRecord): string {
  const lineage = record.lineage;
  const { shadow, runtime } = record;
  // Built by hand in alphabetical order: this runs for every decision.
  return `{"action":"${record.action.kind}","action_type":${record.action_type}` +
    `,"agent_id_claimed":${recurring(record.agent_id_claimed)}` +
    `,"agent_identity_assurance":${record.assurance}` +
    (record.anomaly === undefined
      ? ""
      : `,"anomaly":${recurring(`${record.anomaly.detector}:${record.anomaly.response}`)}`) +
    (record.approval_id === undefined ? "" : `,"approval_id":${text(record.approval_id)}`) +
    `,"callee_agent_id":${recurring(record.agent_id_claimed)}` +
    `,"caller_agent_id":${optional(record.caller_agent_id)}` +
    (runtime === undefined
      ? ""
      : `,"decided_at_ms":${runtime.decided_at_ms},"decided_because":${
        recurring(runtime.because)
      },"decided_by":"runtime"`) +
    `,"decision":${record.decision}` +
    `,"delegation_reason":${optional(lineage?.delegation_reason)}` +
    `,"depth":${lineage?.depth ?? null}` +
    (shadow === undefined ? "" : `,"dry_run":true`) +
    `,"latency_ms":${Math.floor(record.latency_us / 1000)},"latency_us":${record.latency_us}` +
    `,"org_id":${optional(record.org_id)}` +
    `,"parent_agent_id":${hexOrNull(lineage?.parent_key)}` +
    `,"policy_doc_id":${optional(record.policy_doc_id)}` +
    `,"policy_rule":${recurring(record.policy_rule)}` +
    `,"reason":${recurring(record.reason)}` +
    (runtime === undefined ? "" : `,"recheck":${recurring(runtime.recheck)}`) +
    (record.reservation === undefined ? "" : `,"reservation_id":${text(record.reservation.id)}` +
      `,"reserved_micro_usd":${record.reservation.micro_usd}`) +
    `,"resource":${recurring(resourceOf(record.action))}` +
    `,"root_agent_id":${hexOrNull(lineage?.root_key)}` +
    (record.rule === undefined ? "" : ruleKeys(record.rule)) +
    (shadow === undefined
      ? ""
      : `,"shadow_decision":${recurring(shadow.decision)},"shadow_reason":${
        recurring(shadow.reason)
      }`) +
    `,"span_id":${text(record.span_id)}` +
    `,"spawned_by_tool":${optional(lineage?.spawned_by_tool)}` +
    (runtime === undefined
      ? ""
      : `,"spool_id":${text(runtime.spool_id)},"spool_seq":${runtime.spool_seq}`) +
    `,"team_id":${optional(record.team_id)}` +
    `,"trace_id":${text(record.trace_id)}` +
    `,"verdict":"${record.verdict}"}`;
}

function ruleKeys(rule: RuleRef): string {
  return `,"rule":${recurring(rule.path)},"rule_at":${
    recurring(`${rule.file}:${rule.line}:${rule.column}`)
  }`;
}

/** What an action touches, in a few words that hold no payload: tool, path, host or program name. */
export function resourceOf(action: Action): string {
  switch (action.kind) {
    case "tool_call":
    case "tool_result":
      return action.tool;
    case "file_access":
      return `${action.mode} ${action.path}`;
    case "network_request":
      return hostOf(action.url);
    case "process_exec":
      return programOf(action.command);
    case "send_message":
      return action.channel_id ?? "";
  }
}

function hostOf(url: string): string {
  try {
    return new URL(url).host;
  } catch {
    return "(unparsable url)";
  }
}

function programOf(command: string): string {
  const end = command.indexOf(" ");
  return end < 0 ? command : command.slice(0, end);
}

/** The usual id: a short word in which no deterministic detector can find anything. Saves the scan. */
const PLAIN =
  /^(?!.*(?:gh[pousr]_|github_pat_|_[a-z0-9]{16}|:\/\/|\d[\d. ]{7}))[a-z0-9 _./:]{0,40}$/;
/** Texts whose JSON form is remembered; at the bound all are forgotten and made again. */
const REMEMBERED_MAX = 4_096;
const remembered = new Map<string, string>();

/** JSON of a text that is new each time, such as a trace id. */
function text(value: string): string {
  return PLAIN.test(value) ? `"${value}"` : JSON.stringify(clean(value));
}

/** JSON of a text that comes again and again: ids, reasons, rules, resources. */
function recurring(value: string): string {
  const known = remembered.get(value);
  if (known !== undefined) return known;
  const made = text(value);
  if (remembered.size >= REMEMBERED_MAX) remembered.clear();
  if (value.length <= CLEAN_TEXT_CHARS_MAX) remembered.set(value, made);
  return made;
}

function optional(value: string | undefined): string {
  return value === undefined ? "null" : recurring(value);
}

function findingRows(
  findings: readonly Finding[],
): { kind: string; offset: number; matched: string }[] {
  // The list is for people; a text with more findings than this is redacted whole anyway.
  return findings.slice(0, 100).map((finding) => ({
    kind: finding.source === "locale" ? finding.category : finding.kind,
    offset: finding.offset,
    matched: labelOf(finding),
  }));
}

function hexOrNull(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? "null" : `"${bytes.toHex()}"`;
}
