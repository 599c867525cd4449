/**
 * How an audit log is opened, and what it says of itself.
 *
 * @module
 */
import type { KeyObject } from "node:crypto";
import type { DurableFile } from "./durable_file.ts";
import type { AuditHost } from "./host.ts";

/** How to open a log. */
export interface AuditLogOptions {
  /** Directory of the log; made when missing. */
  readonly directory: string;
  /** Ed25519 PKCS#8 PEM, mode 0600; made at first open. */
  readonly signing_key_file: string;
  /** The key itself, in place of the file. */
  readonly signing_key?: KeyObject;
  /** Origin line of checkpoints. @default agent-assembly/<8 hex of the key> */
  readonly origin?: string;
  /** Milliseconds from a new entry to the checkpoint over it. @default 1000 */
  readonly checkpoint_interval_ms?: number;
  /** Clock of the entries the log itself writes. */
  readonly now_ns?: () => bigint;
  /** Appends waiting for the disk at most. @default 65536 */
  readonly max_pending?: number;
  /** Keep `redacted_payload` of entries. @default false */
  readonly store_redacted_payload?: boolean;
  /** Check the whole log at open, not only what is new since the last checkpoint. @default false */
  readonly full_verification?: boolean;
  /** Milliseconds after a full disk before an append is tried again. @default 1000 */
  readonly probe_interval_ms?: number;
  /**
   * Hash and write tiles on a thread of their own. It needs permission to read this program's own
   * source files; without it the work is done on the calling thread, between appends.
   *
   * @default true when that permission is there
   */
  readonly tree_thread?: boolean;
  /**
   * The machine. Another one than this cannot be reached by a thread, so the tree then stays on
   * the calling thread.
   *
   * @default {@linkcode SYSTEM_HOST}
   */
  readonly host?: AuditHost;
  /** Opens the log file in place of the host's disk: the seam where tests break one file. */
  readonly open_file?: (path: string) => Promise<DurableFile>;
}

/** What the log says of itself. */
export interface AuditLogStatus {
  /**
   * `open`: records and signs. `degraded`: records, but checkpoints cannot be written. `failed`:
   * refuses every append. `closed`: closed.
   */
  readonly state: "open" | "degraded" | "failed" | "closed";
  /** Why it is not `open`. */
  readonly failure?: string;
  /** Durable entries. */
  readonly entries: bigint;
  readonly size_bytes: number;
  readonly origin: string;
  /** Key text that verifiers take, `<origin>+<id>+<key>`. */
  readonly verifier_key: string;
  readonly directory: string;
  readonly checkpoint?: { readonly size: number; readonly time_ms: number };
  /** Appends waiting for the disk. */
  readonly pending: number;
  /** Members that cleaning removed from payloads since the start. */
  readonly removed_members: number;
  /** Credentials that were about to be written in clear since the start. */
  readonly redacted_credentials: number;
}
