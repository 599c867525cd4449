/**
 * Every bound of the spool and of what empties it, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const SPOOL_LIMITS = {
  /** Records kept; one more is refused with `full` until a reader acknowledges (interception §1.8). */
  kept_rows: 100_000,
  /** Bytes of all kept records; one record more is refused with `full`. */
  kept_bytes: 64 * 1024 * 1024,
  /** One record in bytes; a larger one is refused with `too_large`. */
  record_bytes: 256 * 1024,
  /** Records of one transaction; further ones wait for the next. */
  batch_rows: 1_024,
  /** Bytes of one transaction; further records wait for the next. */
  batch_bytes: 4 * 1024 * 1024,
  /** Records waiting for the disk; one more is refused with `queue_full`. */
  queued_rows: 16_384,
  /** Bytes waiting for the disk; a record more is refused with `queue_full`. */
  queued_bytes: 32 * 1024 * 1024,
  /** Records of one read; readers page. */
  read_rows: 1_000,
  /** Bytes of one read, except that one record always fits; readers page. */
  read_bytes: 2 * 1024 * 1024,
  /** Readers of one spool; opening it with more is refused. */
  readers: 8,
  /** Bytes a reader may keep with its place; more are refused. */
  note_bytes: 256,
  /** A spool file larger than this is not ours to read: it is refused unopened. */
  file_bytes: 512 * 1024 * 1024,
  /** Damaged files set aside beside the spool; at the bound none is copied, the original stays. */
  quarantined_files: 8,
  /** Waits of `writable` while the disk has no room, in milliseconds. */
  disk_full_retry_ms: 1_000,
  /** How long a start waits for another holder of the file, in milliseconds. */
  lock_wait_ms: 2_000,
  /** Share of the caps, in percent, from which mirrors that lag are passed over. */
  mirror_release_percent: 90,
} as const;

/** Bounds of a forwarder. */
export const FORWARD_LIMITS = {
  /** Records handed over at once. */
  deliver_rows: 500,
  /**
   * Records that arrive within this time of a delivery to the gateway go with the next one, in
   * milliseconds: each delivery costs a sync at both ends, beside which answers wait for theirs.
   */
  gather_ms: 25,
  /** One delivery may take this long, in milliseconds; then it is given up and tried again. */
  deliver_timeout_ms: 30_000,
  /** First wait after a failure, in milliseconds; doubles up to `backoff_max_ms`, with jitter. */
  backoff_first_ms: 1_000,
  /** Longest wait between two tries, in milliseconds (half of it at least: the rest is jitter). */
  backoff_max_ms: 32_000,
} as const;
