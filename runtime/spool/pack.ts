/**
 * Records packed into one buffer, to cross a thread boundary in one copy, and unpacked again.
 *
 * @module
 */
import type { SpoolRecord } from "../parts.ts";
import type { PackedRead, PackedRecords } from "./protocol.ts";

/** Number of a kind in the file; never changes. */
export const KIND_NUMBER: Readonly<Record<SpoolRecord["kind"], number>> = { event: 1, decision: 2 };

/** A record on its way in. */
export interface Incoming {
  readonly kind: SpoolRecord["kind"];
  readonly bytes: Uint8Array;
}

/** Packs records in order. */
export function pack(records: readonly Incoming[]): PackedRecords {
  const kinds = new Uint8Array(records.length);
  const lengths = new Uint32Array(records.length);
  let total = 0;
  for (const [index, { kind, bytes }] of records.entries()) {
    kinds[index] = KIND_NUMBER[kind];
    lengths[index] = bytes.length;
    total += bytes.length;
  }
  const joined = new Uint8Array(total);
  let at = 0;
  for (const { bytes } of records) {
    joined.set(bytes, at);
    at += bytes.length;
  }
  return { kinds, lengths, bytes: joined };
}

/** The records of a read, each a view of one buffer. */
export function unpack(read: PackedRead): SpoolRecord[] {
  let at = 0;
  return Array.from(read.lengths, (length, index) => {
    const bytes = read.bytes.subarray(at, at + length);
    at += length;
    const kind = read.kinds[index] === KIND_NUMBER.event ? "event" : "decision";
    return { seq: read.first_seq + index, kind, bytes };
  });
}

/** One record as the file holds it. */
export interface Row {
  readonly seq: number;
  readonly kind: number;
  readonly bytes: Uint8Array;
  readonly hash: Uint8Array;
}

/** Packs rows of the file, in order. */
export function packRows(
  rows: readonly Row[],
  first_seq: number,
  total: number,
  note: Uint8Array | null,
): PackedRead {
  const bytes = new Uint8Array(total);
  let at = 0;
  for (const row of rows) {
    bytes.set(row.bytes, at);
    at += row.bytes.length;
  }
  return {
    first_seq,
    note,
    kinds: Uint8Array.from(rows, ({ kind }) => kind),
    lengths: Uint32Array.from(rows, (row) => row.bytes.length),
    bytes,
  };
}
