/**
 * The linear hash chain: canonical bytes of an entry and the step from one entry to the next
 * (contract `wire` §5.3).
 *
 * @module
 */
import { hash } from "node:crypto";
import { type AuditEntry, type EntryDraft, eventTypeNumber, HASH_BYTES } from "./entry.ts";
import { bytesFromHex, integersFromHex } from "./hex.ts";
import { lineOf } from "./line.ts";

/** What the chain step hashes: an entry without its own hash. */
export type HashedEntry = Omit<AuditEntry, "entry_hash">;

/** Where the chain stands: the next entry's number and its predecessor's hash. */
export interface ChainHead {
  readonly seq: bigint;
  /** 64 lower-case hex digits; zeros before the first entry. */
  readonly previous_hex: string;
  /** The same hash as comma-separated decimal bytes, as the JSON form wants it. */
  readonly previous_integers: string;
}

/** The head of an empty log. */
export const GENESIS: ChainHead = headAfter(-1n, "00".repeat(HASH_BYTES));

/** The head that follows an entry. */
export function headAfter(seq: bigint, entry_hash_hex: string): ChainHead {
  return {
    seq: seq + 1n,
    previous_hex: entry_hash_hex,
    previous_integers: integersFromHex(entry_hash_hex),
  };
}

/** An entry put in its place: its line, its hash, and the head that follows. */
export interface SealedEntry {
  /** JSON text without the newline. */
  readonly line: string;
  readonly next: ChainHead;
}

/**
 * Puts a checked draft at the head of the chain.
 *
 * @param draft A draft that passed `checkDraft`.
 * @returns The line to store and the next head; `next.previous_hex` is this entry's hash.
 */
export function seal(draft: EntryDraft, head: ChainHead): SealedEntry {
  const length = writeCanonical(draft, head.seq, head.previous_hex);
  const entry_hex = hash("sha256", scratch.subarray(0, length), "hex");
  const next = headAfter(head.seq, entry_hex);
  const line = lineOf(draft, head.seq, head.previous_integers, next.previous_integers);
  return { line, next };
}

/** Entry hash as 64 lower-case hex digits. */
export function entryHashHex(entry: HashedEntry): string {
  const length = writeCanonical(entry, entry.seq, entry.previous_hash.toHex());
  return hash("sha256", scratch.subarray(0, length), "hex");
}

/** Canonical bytes of an entry: what is hashed (wire §5.3). */
export function canonicalBytes(entry: HashedEntry): Uint8Array {
  const length = writeCanonical(entry, entry.seq, entry.previous_hash.toHex());
  return scratch.slice(0, length);
}

/** Why an entry does not continue the chain; `undefined` when it does. */
export function chainProblem(entry: AuditEntry, head: ChainHead): string | undefined {
  if (entry.seq !== head.seq) return `has seq \`${entry.seq}\`, expected \`${head.seq}\``;
  if (entry.previous_hash.toHex() !== head.previous_hex) {
    return "has a previous_hash that is not the hash of the entry before it";
  }
  if (entryHashHex(entry) !== entry.entry_hash.toHex()) {
    return "has an entry_hash that does not match its content";
  }
  return undefined;
}

// One buffer for the process: hashing is synchronous, so no two uses overlap.
let scratch = new Uint8Array(16_384);
let view = new DataView(scratch.buffer);
const encoder = new TextEncoder();
let at = 0;

function reserve(bytes: number): void {
  if (at + bytes <= scratch.length) return;
  const larger = new Uint8Array(2 ** Math.ceil(Math.log2(at + bytes)));
  larger.set(scratch.subarray(0, at));
  scratch = larger;
  view = new DataView(scratch.buffer);
}

function writeCanonical(entry: EntryDraft, seq: bigint, previous_hex: string): number {
  const number = eventTypeNumber(entry.event_type);
  if (number === undefined) throw new RangeError(`unknown event type \`${entry.event_type}\``);
  at = 0;
  reserve(84);
  view.setBigUint64(0, seq);
  view.setBigUint64(8, entry.timestamp_ns);
  view.setUint32(16, number);
  scratch.set(entry.agent_id, 20);
  scratch.set(entry.session_id, 36);
  bytesFromHex(previous_hex, scratch, 52);
  at = 84;
  writeText(entry.payload);
  writeLineage(entry);
  writeRedaction(entry);
  if (entry.policy_doc_id !== undefined) writePrefixed(entry.policy_doc_id);
  return at;
}

// No presence tags: the order alone carries meaning, and org comes after depth (wire §5.3).
function writeLineage(entry: EntryDraft): void {
  if (entry.root_agent_id !== undefined) writeBytes(entry.root_agent_id);
  if (entry.parent_agent_id !== undefined) writeBytes(entry.parent_agent_id);
  if (entry.team_id !== undefined) writePrefixed(entry.team_id);
  if (entry.delegation_reason !== undefined) writePrefixed(entry.delegation_reason);
  if (entry.spawned_by_tool !== undefined) writePrefixed(entry.spawned_by_tool);
  if (entry.depth !== undefined) writeU32(entry.depth);
  if (entry.org_id !== undefined) writePrefixed(entry.org_id);
}

function writeRedaction(entry: EntryDraft): void {
  const findings = entry.credential_findings ?? [];
  const redacted = entry.redacted_payload;
  if (findings.length === 0 && redacted === undefined) return;
  writeU32(findings.length);
  for (const finding of findings) {
    reserve(8);
    view.setBigUint64(at, BigInt(finding.offset));
    at += 8;
    writePrefixed(finding.matched);
  }
  reserve(1);
  scratch[at++] = redacted === undefined ? 0 : 1;
  if (redacted !== undefined) writePrefixed(redacted);
}

function writeBytes(bytes: Uint8Array): void {
  reserve(bytes.length);
  scratch.set(bytes, at);
  at += bytes.length;
}

function writeU32(value: number): void {
  reserve(4);
  view.setUint32(at, value);
  at += 4;
}

function writeText(text: string): number {
  reserve(text.length * 3);
  const { written } = encoder.encodeInto(text, scratch.subarray(at));
  at += written;
  return written;
}

function writePrefixed(text: string): void {
  writeU32(0);
  const length_at = at - 4;
  view.setUint32(length_at, writeText(text));
}
