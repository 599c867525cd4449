/**
 * Audit entries as rows, as data and as one line each.
 *
 * @module
 */
import type { AuditEntry } from "../../core/audit/entry.ts";
import { AuditLineError, parseLine } from "../../core/audit/line.ts";
import { decisionWord } from "../../proto/mapping.ts";
import type { Terminal } from "../terminal.ts";
import { utcText } from "./moment.ts";
import type { Data } from "./report.ts";
import { type Column, table } from "./table.ts";

/** What the payload of a decision entry says; anything may be missing in other entries. */
export interface EntryFacts {
  readonly agent: string;
  readonly action: string;
  readonly resource: string;
  readonly decision: string;
  readonly reason: string;
  readonly rule: string;
  readonly rule_at: string;
  readonly trace_id: string;
}

/** One entry, read for showing. */
export interface ShownEntry {
  readonly seq: bigint;
  /** The entry's JSON, byte for byte as logged. */
  readonly json: string;
  /** `undefined` when the line is not an entry. */
  readonly entry: AuditEntry | undefined;
  readonly facts: EntryFacts;
  readonly data: Data;
}

/** Reads one entry. A line that is no entry is shown as such, never dropped. */
export function readEntry(seq: bigint, json: string): ShownEntry {
  let entry: AuditEntry;
  try {
    entry = parseLine(json);
  } catch (error) {
    const problem = error instanceof AuditLineError ? error.message : String(error);
    const facts = { ...NO_FACTS, reason: `not an audit entry: ${problem}` };
    return { seq, json, entry: undefined, facts, data: { seq, problem, text: json } };
  }
  const payload = payloadOf(entry);
  return { seq, json, entry, facts: factsOf(entry, payload), data: dataOf(entry, payload) };
}

const NO_FACTS: EntryFacts = {
  agent: "",
  action: "",
  resource: "",
  decision: "",
  reason: "",
  rule: "",
  rule_at: "",
  trace_id: "",
};

type Payload = { readonly [key: string]: Data };

function payloadOf(entry: AuditEntry): Payload | undefined {
  try {
    const value: unknown = JSON.parse(entry.payload);
    const is_object = typeof value === "object" && value !== null && !Array.isArray(value);
    return is_object ? value as Payload : undefined;
  } catch {
    return undefined;
  }
}

function factsOf(entry: AuditEntry, payload: Payload | undefined): EntryFacts {
  const text = (key: string) => {
    const value = payload !== undefined && Object.hasOwn(payload, key) ? payload[key] : undefined;
    return typeof value === "string" ? value : "";
  };
  const decision = payload?.["decision"];
  return {
    agent: text("agent_id_claimed") || text("agent_id") || agentKey(entry),
    action: text("action"),
    resource: text("resource"),
    decision: typeof decision === "number" ? decisionWord(decision) ?? "" : text("decision"),
    reason: text("reason"),
    rule: text("rule") || text("policy_rule"),
    rule_at: text("rule_at"),
    trace_id: text("trace_id"),
  };
}

/** Zeros stand for nobody (contract `policy-and-gateway` §4.1). */
function agentKey(entry: AuditEntry): string {
  return entry.agent_id.some((byte) => byte !== 0) ? entry.agent_id.toHex() : "";
}

function dataOf(entry: AuditEntry, payload: Payload | undefined): Data {
  return {
    seq: entry.seq,
    time: entryTime(entry),
    timestamp_ns: entry.timestamp_ns,
    event_type: entry.event_type,
    agent_id: entry.agent_id.toHex(),
    session_id: entry.session_id.toHex(),
    org_id: entry.org_id ?? null,
    team_id: entry.team_id ?? null,
    policy_doc_id: entry.policy_doc_id ?? null,
    payload: payload ?? entry.payload,
    credential_findings: (entry.credential_findings ?? []).map((finding) => ({
      kind: finding.kind,
      offset: BigInt(finding.offset),
      matched: finding.matched,
    })),
    previous_hash: entry.previous_hash.toHex(),
    entry_hash: entry.entry_hash.toHex(),
  };
}

/** The entry's moment in UTC, milliseconds. */
export function entryTime(entry: AuditEntry): string {
  return utcText(entry.timestamp_ns / 1_000_000n);
}

const COLUMNS: readonly Column[] = [
  { title: "SEQ", align: "right" },
  { title: "TIME" },
  { title: "EVENT" },
  { title: "AGENT" },
  { title: "ACTION" },
  { title: "RESOURCE" },
  { title: "DECISION", toned: true },
  { title: "WHY" },
];

/** Entries as a table, in the order given. */
export function entryRowsTable(entries: readonly ShownEntry[], terminal: Terminal): string {
  return table(COLUMNS, entries.map(rowOf), terminal);
}

function rowOf({ seq, entry, facts }: ShownEntry): string[] {
  return [
    String(seq),
    entry === undefined ? "" : entryTime(entry),
    entry?.event_type ?? "",
    facts.agent,
    facts.action,
    facts.resource,
    facts.decision,
    [facts.reason, facts.rule_at].filter((text) => text !== "").join("  "),
  ];
}

/** One entry in one line, for a stream of them. */
export function entryLine(shown: ShownEntry): string[] {
  return rowOf(shown).map((cell) => cell === "" ? "-" : cell);
}
