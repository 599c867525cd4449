/**
 * What the main thread and the writer thread say to each other.
 *
 * @module
 */
import type { DatabaseOptions } from "./database.ts";
import type { StoreFailureMessage } from "./failure.ts";
import type { AgentRecord, Collection, Mutation, OperatorRecord, StoredRecord } from "./records.ts";

/** One question to the writer. `id` comes back in the answer. */
export type WriterRequest =
  & { readonly id: number }
  & (
    | { readonly kind: "open"; readonly options: DatabaseOptions }
    /** Atomic writes to be made durable together. */
    | { readonly kind: "commit"; readonly writes: readonly (readonly Mutation[])[] }
    | { readonly kind: "agents"; readonly after: string }
    | { readonly kind: "operators" }
    | { readonly kind: "meta"; readonly key: string }
    | {
      readonly kind: "records";
      readonly collection: Collection;
      readonly after: string;
      readonly through: string | undefined;
    }
    | { readonly kind: "close" }
  );

/** What a request is answered with when it worked. */
export type WriterResult =
  | { readonly kind: "done" }
  /** One item a write, in order: the failure of that write, or `null` when it is durable. */
  | { readonly kind: "committed"; readonly failures: readonly (StoreFailureMessage | null)[] }
  | { readonly kind: "agents"; readonly agents: readonly AgentRecord[] }
  | { readonly kind: "operators"; readonly operators: readonly OperatorRecord[] }
  | { readonly kind: "meta"; readonly value: string | undefined }
  | { readonly kind: "records"; readonly records: readonly StoredRecord[] };

/** One answer of the writer. */
export type WriterResponse =
  & { readonly id: number }
  & (
    | { readonly ok: true; readonly result: WriterResult }
    | { readonly ok: false; readonly failure: StoreFailureMessage }
  );
