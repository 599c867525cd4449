/**
 * The JSON form of an entry, one line of the log file: written byte for byte as the reference
 * writes it, read without losing a digit (contract `wire` §5.4).
 *
 * @module
 */
import {
  type AuditEntry,
  type CredentialFinding,
  type EntryDraft,
  type EventType,
  HASH_BYTES,
  ID_BYTES,
  isEventType,
} from "./entry.ts";
import { integersFromBytes } from "./hex.ts";

/** A line that is not an audit entry. */
export class AuditLineError extends Error {
  override readonly name = "AuditLineError";
}

/** The line of an entry, without the newline. */
export function encodeLine(entry: AuditEntry): string {
  return lineOf(
    entry,
    entry.seq,
    integersFromBytes(entry.previous_hash),
    integersFromBytes(entry.entry_hash),
  );
}

/**
 * The line of a draft at a known place in the chain.
 *
 * @param previous Decimal bytes of the predecessor's hash, joined by commas.
 * @param own Decimal bytes of the entry's hash.
 */
export function lineOf(draft: EntryDraft, seq: bigint, previous: string, own: string): string {
  // Key order is part of the form: fixed keys first, optional ones after the hashes.
  let line =
    `{"seq":${seq},"timestamp_ns":${draft.timestamp_ns},"event_type":"${draft.event_type}"` +
    `,"agent_id":[${integersFromBytes(draft.agent_id)}]` +
    `,"session_id":[${integersFromBytes(draft.session_id)}]` +
    `,"payload":${JSON.stringify(draft.payload)}` +
    `,"previous_hash":[${previous}],"entry_hash":[${own}]`;
  if (draft.root_agent_id !== undefined) {
    line += `,"root_agent_id":[${integersFromBytes(draft.root_agent_id)}]`;
  }
  if (draft.parent_agent_id !== undefined) {
    line += `,"parent_agent_id":[${integersFromBytes(draft.parent_agent_id)}]`;
  }
  if (draft.team_id !== undefined) line += `,"team_id":${JSON.stringify(draft.team_id)}`;
  if (draft.org_id !== undefined) line += `,"org_id":${JSON.stringify(draft.org_id)}`;
  if (draft.delegation_reason !== undefined) {
    line += `,"delegation_reason":${JSON.stringify(draft.delegation_reason)}`;
  }
  if (draft.spawned_by_tool !== undefined) {
    line += `,"spawned_by_tool":${JSON.stringify(draft.spawned_by_tool)}`;
  }
  if (draft.depth !== undefined) line += `,"depth":${draft.depth}`;
  const findings = draft.credential_findings;
  if (findings !== undefined && findings.length > 0) {
    line += `,"credential_findings":[${findings.map(findingText).join(",")}]`;
  }
  if (draft.redacted_payload !== undefined) {
    line += `,"redacted_payload":${JSON.stringify(draft.redacted_payload)}`;
  }
  if (draft.policy_doc_id !== undefined) {
    line += `,"policy_doc_id":${JSON.stringify(draft.policy_doc_id)}`;
  }
  return line + "}";
}

function findingText(finding: CredentialFinding): string {
  return `{"kind":${JSON.stringify(finding.kind)},"offset":${finding.offset}` +
    `,"matched":${JSON.stringify(finding.matched)}}`;
}

/**
 * Reads one line. Integers keep every digit; the result written again is the same line.
 *
 * @param line Text without the newline.
 * @throws {AuditLineError} Saying which field is wrong, when the line is not exactly the form.
 */
export function parseLine(line: string): AuditEntry {
  const value = parseLossless(line);
  const entry = entryFrom(value);
  if (encodeLine(entry) !== line) {
    throw new AuditLineError(
      "line is not in the form the log writes: key order, spaces or unknown keys",
    );
  }
  return entry;
}

const HEAD = /^\{"seq":(\d{1,20}),"timestamp_ns":(\d{1,20}),/;

/** `JSON.parse` with the two 64-bit fields, and finding offsets, as bigint. */
function parseLossless(line: string): Record<string, unknown> {
  const head = HEAD.exec(line);
  if (head === null) {
    throw new AuditLineError("line does not start with the fields `seq` and `timestamp_ns`");
  }
  let value: unknown;
  try {
    // Offsets may pass 2^53 too, but only entries with findings pay for the slower reading.
    value = line.includes('"credential_findings":[')
      ? JSON.parse(line, offsetReviver)
      : JSON.parse(line);
  } catch {
    throw new AuditLineError("line is not JSON");
  }
  const record = asRecord(value);
  if (record === undefined) throw new AuditLineError("line is not a JSON object");
  record["seq"] = BigInt(head[1] ?? "");
  record["timestamp_ns"] = BigInt(head[2] ?? "");
  return record;
}

// ECMAScript's JSON.parse source text access: the third argument holds a number's own digits.
function offsetReviver(key: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  return key === "offset" && source !== undefined && /^\d{1,20}$/.test(source)
    ? BigInt(source)
    : value;
}

function asRecord(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as Record<string, unknown>
    : undefined;
}

function entryFrom(record: Record<string, unknown>): AuditEntry {
  const entry: AuditEntry = {
    seq: u64(record, "seq"),
    timestamp_ns: u64(record, "timestamp_ns"),
    event_type: eventType(record),
    agent_id: bytes(record, "agent_id", ID_BYTES),
    session_id: bytes(record, "session_id", ID_BYTES),
    payload: text(record, "payload"),
    previous_hash: bytes(record, "previous_hash", HASH_BYTES),
    entry_hash: bytes(record, "entry_hash", HASH_BYTES),
  };
  if (record["root_agent_id"] !== undefined) {
    entry.root_agent_id = bytes(record, "root_agent_id", ID_BYTES);
  }
  if (record["parent_agent_id"] !== undefined) {
    entry.parent_agent_id = bytes(record, "parent_agent_id", ID_BYTES);
  }
  for (const field of TEXT_FIELDS) {
    if (record[field] !== undefined) entry[field] = text(record, field);
  }
  if (record["depth"] !== undefined) entry.depth = u32(record, "depth");
  if (record["credential_findings"] !== undefined) entry.credential_findings = findings(record);
  return entry;
}

const TEXT_FIELDS = [
  "team_id",
  "org_id",
  "delegation_reason",
  "spawned_by_tool",
  "redacted_payload",
  "policy_doc_id",
] as const;

function fail(field: string, expected: string): never {
  throw new AuditLineError(`field \`${field}\` is not ${expected}`);
}

function u64(record: Record<string, unknown>, field: string): bigint {
  const value = record[field];
  if (typeof value !== "bigint" || value >= 1n << 64n) fail(field, "an unsigned 64-bit integer");
  return value;
}

function u32(record: Record<string, unknown>, field: string): number {
  const value = record[field];
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    fail(field, "an unsigned 32-bit integer");
  }
  return value;
}

function text(record: Record<string, unknown>, field: string): string {
  const value = record[field];
  if (typeof value !== "string" || !value.isWellFormed()) fail(field, "a text");
  return value;
}

function eventType(record: Record<string, unknown>): EventType {
  const value = record["event_type"];
  if (typeof value !== "string" || !isEventType(value)) fail("event_type", "a known event type");
  return value;
}

function bytes(record: Record<string, unknown>, field: string, length: number): Uint8Array {
  const value = record[field];
  if (!Array.isArray(value) || value.length !== length || !value.every(isByte)) {
    fail(field, `an array of ${length} bytes`);
  }
  return Uint8Array.from(value);
}

function isByte(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 255;
}

function findings(record: Record<string, unknown>): CredentialFinding[] {
  const list = record["credential_findings"];
  if (!Array.isArray(list)) fail("credential_findings", "a list");
  return list.map((item) => {
    const finding = asRecord(item);
    if (finding === undefined) fail("credential_findings", "a list of objects");
    return {
      kind: text(finding, "kind"),
      offset: u64(finding, "offset"),
      matched: text(finding, "matched"),
    };
  });
}
