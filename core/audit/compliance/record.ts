/**
 * One audit entry as a compliance export shows it: named facts only, never a payload as a whole.
 *
 * @module
 */
import type { AuditEntry } from "../entry.ts";

/** How a decision came out. Empty for entries that decide nothing. */
export type DecisionWord = "" | "allow" | "deny" | "pending" | "redact";

/** The facts of one entry. Texts are empty when the entry does not have them. */
export interface ComplianceRecord {
  /** Place in the log, from 0: what a proof of inclusion is asked for. */
  readonly audit_index: bigint;
  readonly timestamp_ns: bigint;
  readonly event_type: AuditEntry["event_type"];
  /** Agent id as it was claimed; the audit agent id in hex where the entry has only that. */
  readonly agent: string;
  /** Who did it, for what operators and the gateway do: `operator:<name>`, `gateway`, `agent:<id>`. */
  readonly actor: string;
  readonly org_id: string;
  readonly team_id: string;
  /** Kind of action, or of change. */
  readonly action: string;
  readonly resource: string;
  readonly decision: DecisionWord;
  readonly reason: string;
  readonly rule: string;
  readonly policy_doc_id: string;
  readonly trace_id: string;
  /** An enforcing gateway would have decided otherwise: the agent was observed only. */
  readonly dry_run: boolean;
  /** Kinds of credentials that were found, each once. */
  readonly finding_kinds: readonly string[];
  readonly agent_id_hex: string;
  readonly session_id_hex: string;
  /** -1 when the entry has none. */
  readonly depth: number;
  readonly previous_hash_hex: string;
  readonly entry_hash_hex: string;
}

const DECISIONS: Readonly<Record<number, DecisionWord>> = {
  1: "allow",
  2: "deny",
  3: "pending",
  4: "redact",
};

/** Reads the facts of an entry. A payload that is not an object has none. */
export function complianceRecord(entry: AuditEntry): ComplianceRecord {
  const payload = objectOf(entry.payload);
  const text = (name: string): string => {
    const value = payload.get(name);
    return typeof value === "string" ? value : "";
  };
  const agent_id_hex = entry.agent_id.toHex();
  const decision = payload.get("decision");
  return {
    audit_index: entry.seq,
    timestamp_ns: entry.timestamp_ns,
    event_type: entry.event_type,
    agent: text("agent_id_claimed") || text("agent_id") ||
      (/^0+$/.test(agent_id_hex) ? "" : agent_id_hex),
    actor: text("actor"),
    org_id: entry.org_id ?? (text("org_id") || text("org")),
    team_id: entry.team_id ?? (text("team_id") || text("team")),
    action: text("action"),
    resource: text("resource"),
    decision: typeof decision === "number" ? DECISIONS[decision] ?? "" : "",
    reason: text("reason"),
    rule: text("rule") || text("policy_rule"),
    policy_doc_id: entry.policy_doc_id ?? text("policy_doc_id"),
    trace_id: text("trace_id"),
    dry_run: payload.get("dry_run") === true,
    finding_kinds: [...new Set((entry.credential_findings ?? []).map(({ kind }) => kind))],
    agent_id_hex,
    session_id_hex: entry.session_id.toHex(),
    depth: entry.depth ?? -1,
    previous_hash_hex: entry.previous_hash.toHex(),
    entry_hash_hex: entry.entry_hash.toHex(),
  };
}

/** Milliseconds since the Unix epoch; a number, because 2^53 ms are 285,000 years. */
export function timeMs({ timestamp_ns }: ComplianceRecord): number {
  return Number(timestamp_ns / 1_000_000n);
}

/** ISO 8601 in UTC; the nanoseconds as text where a date cannot hold them. */
export function timeText(record: ComplianceRecord): string {
  const date = new Date(timeMs(record));
  return Number.isNaN(date.getTime()) ? `${record.timestamp_ns} ns` : date.toISOString();
}

function objectOf(text: string): ReadonlyMap<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    const is_object = typeof value === "object" && value !== null && !Array.isArray(value);
    return new Map(is_object ? Object.entries(value) : []);
  } catch {
    return new Map();
  }
}
