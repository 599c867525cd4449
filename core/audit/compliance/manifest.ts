/**
 * How an export ends: what it covers, and what a stranger needs to check it.
 *
 * @module
 */
import type { Framework } from "./controls.ts";

/** The last line of every export. */
export interface Manifest {
  readonly framework: Framework;
  readonly format: string;
  /** Program and version that wrote the export. */
  readonly generator: string;
  /** ISO 8601, UTC. */
  readonly generated_at: string;
  /** First moment asked for, and the moment after the last; empty when there was no bound. */
  readonly from: string;
  readonly to: string;
  /** Entries in this export. */
  readonly exported: number;
  /** Of the log's entries, those that are not audit entries; each has a line of its own. */
  readonly unreadable: number;
  /** Audit index of the first and last exported entry; -1 when there are none. */
  readonly first_index: bigint;
  readonly last_index: bigint;
  /** Times that each requirement is cited; 0 is shown, because absence is a finding. */
  readonly citations: Readonly<Record<string, number>>;
  readonly not_evidenced: readonly string[];
  /** SHA-256 of every byte before this manifest, hex. */
  readonly body_sha256: string;
  readonly log: {
    readonly origin: string;
    /** Entries under the checkpoint; all of them were read. */
    readonly size: number;
    readonly root_hex: string;
    /** The signed checkpoint, verbatim. */
    readonly checkpoint: string;
    /** C2SP verifier key. Compare it with one you got from elsewhere. */
    readonly verifier_key: string;
    /** The entries read have exactly the checkpoint's root, and its signature is the key's. */
    readonly verified: true;
  };
  readonly how_to_verify: string;
}

/** Next steps for someone who trusts nobody here. */
export const HOW_TO_VERIFY =
  "compare log.verifier_key with a key from the operator; check one entry with `aasm audit prove " +
  "<audit_index> --key <verifier_key>`, the whole log with `aasm audit verify --key <verifier_key>` " +
  "or any C2SP tlog-tiles client; body_sha256 covers the bytes before this manifest";

/** A manifest as one line of JSON, whole numbers with all their digits. */
export function manifestJson(manifest: Manifest): string {
  const { first_index, last_index, ...rest } = manifest;
  // Indexes go beyond 2^53 in principle, so they are texts wherever JSON is read with floats.
  return JSON.stringify({
    ...rest,
    first_index: String(first_index),
    last_index: String(last_index),
  });
}
