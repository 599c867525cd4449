/**
 * What crosses between the spool and its writer thread.
 *
 * @module
 */
import type { SpoolFailureMessage } from "./failure.ts";

/** Where the spool is, whose it must be, who reads it. */
export interface DatabaseOptions {
  readonly path: string;
  /** User id that must own file and folder; `null` where the machine has none. */
  readonly uid: number | null;
  /** Identity and time of a file that is made anew. */
  readonly new_id: string;
  readonly now_ms: number;
  readonly readers: readonly ReaderName[];
  readonly lock_wait_ms: number;
  /** Bound of the file in 4,096-byte pages; for tests of a full disk. */
  readonly max_pages?: number;
}

/** One reader of the spool. */
export interface ReaderName {
  readonly name: string;
  /** `required`: nothing is forgotten before it has it. `mirror`: passed over before others are refused. */
  readonly role: "required" | "mirror";
}

/** One reader's place moved on. */
export interface Acknowledgement {
  readonly reader: string;
  readonly seq: number;
  readonly note: Uint8Array | null;
}

/** Records on their way, packed: one message is one copy. */
export interface PackedRecords {
  readonly kinds: Uint8Array;
  readonly lengths: Uint32Array;
  readonly bytes: Uint8Array;
}

/** Kept records as read, each with its position. */
export interface PackedRead extends PackedRecords {
  readonly first_seq: number;
  readonly note: Uint8Array | null;
}

/** How much is kept. */
export interface Kept {
  /** Position of the last record ever written. */
  readonly head_seq: number;
  readonly rows: number;
  readonly bytes: number;
  /** Records that mirrors alone hold back. */
  readonly mirrored_rows: number;
}

/** A question to the writer thread; `id` comes back with the answer. */
export type WriterRequest =
  & { readonly id: number }
  & (
    | { readonly kind: "open"; readonly options: DatabaseOptions }
    | {
      readonly kind: "commit";
      readonly records: PackedRecords;
      readonly acknowledgements: readonly Acknowledgement[];
      /** Pass over mirrors that hold back what every required reader has. */
      readonly release: boolean;
    }
    | { readonly kind: "read"; readonly reader: string; readonly limit: number }
    | { readonly kind: "close" }
  );

/** What an answer holds when all went well. */
export type WriterResult =
  | { readonly kind: "opened"; readonly spool_id: string; readonly kept: Kept }
  | {
    readonly kind: "committed";
    /** Position of the batch's first record. */
    readonly first_seq: number;
    readonly kept: Kept;
    /** Records each mirror was passed over for. */
    readonly passed_over: readonly { readonly reader: string; readonly rows: number }[];
  }
  | { readonly kind: "read"; readonly records: PackedRead }
  | { readonly kind: "closed" };

/** An answer of the writer thread. */
export type WriterResponse =
  & { readonly id: number }
  & (
    | { readonly ok: true; readonly result: WriterResult }
    | { readonly ok: false; readonly failure: SpoolFailureMessage }
  );
