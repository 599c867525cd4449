/**
 * Stored events as entries of one hash chain (trap R13): each names the hash of the one before it,
 * over restarts too, so that a reader of the subject sees what is missing.
 *
 * @module
 */
import { fromBinary } from "@bufbuild/protobuf";
import { type ChainHead, GENESIS, headAfter, seal } from "../../core/audit/chain.ts";
import { checkDraft, type EntryDraft } from "../../core/audit/entry.ts";
import { prepareDraft } from "../../core/audit/prepare.ts";
import { audit } from "../../proto/mod.ts";
import type { SpoolRecord } from "../parts.ts";
import { type AgentIdentity, enrichmentOf } from "../pipeline/enrichment.ts";
import { entryOf, subjectOf } from "./entry.ts";

/** One entry ready to be published. */
export interface ChainedEntry {
  readonly subject: string;
  /** JSON text of the entry. */
  readonly line: string;
  /** Position of its record in the spool. */
  readonly spool_seq: number;
}

/** Entries of a run of records, and where the chain stands after them. */
export interface ChainedRun {
  readonly entries: readonly ChainedEntry[];
  readonly head: ChainHead;
  /** Records that are no event: passed over, so that they hold up nobody behind them. */
  readonly unreadable: number;
}

/** Chains records from a head on; the same records from the same head give the same entries. */
export function chainEntries(
  records: readonly SpoolRecord[],
  from: ChainHead,
  agent: AgentIdentity,
): ChainedRun {
  let head = from;
  const entries: ChainedEntry[] = [];
  let unreadable = 0;
  for (const { kind, bytes, seq } of records) {
    if (kind !== "event") continue;
    const draft = draftOf(bytes, agent);
    if (draft === undefined) {
      unreadable++;
      continue;
    }
    const { line, next } = seal(draft.draft, head);
    head = next;
    entries.push({ subject: draft.subject, line, spool_seq: seq });
  }
  return { entries, head, unreadable };
}

function draftOf(
  bytes: Uint8Array,
  agent: AgentIdentity,
): { readonly draft: EntryDraft; readonly subject: string } | undefined {
  try {
    const event = fromBinary(audit.AuditEventSchema, bytes);
    const checked = checkDraft(entryOf(event, enrichmentOf(event), agent));
    const { draft } = prepareDraft(checked, { store_redacted_payload: false });
    return { draft, subject: subjectOf(event, draft.agent_id) };
  } catch {
    return undefined;
  }
}

const NOTE_BYTES = 40;

/** The head as a reader's note in the spool: next number (8, big-endian), previous hash (32). */
export function noteOf(head: ChainHead): Uint8Array {
  const note = new Uint8Array(NOTE_BYTES);
  new DataView(note.buffer).setBigUint64(0, head.seq);
  note.set(Uint8Array.fromHex(head.previous_hex), 8);
  return note;
}

/** The head that a note holds; the beginning of a chain without one. */
export function headOf(note: Uint8Array | null): ChainHead {
  if (note === null || note.length !== NOTE_BYTES) return GENESIS;
  const seq = new DataView(note.buffer, note.byteOffset).getBigUint64(0);
  return headAfter(seq - 1n, note.subarray(8).toHex());
}
