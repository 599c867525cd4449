/**
 * Every bound of the embedded store, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const SQLITE_LIMITS = {
  /** Writes joined into one transaction; further ones wait for the next. */
  batch_writes: 256,
  /** Writes waiting for a transaction; one more is refused with `queue_full`. */
  queued_writes: 8_192,
  /** Mutations of one atomic write; more are refused with `too_large`. */
  write_mutations: 110_000,
  /** Size of the database file in pages of 4,096 bytes (4 GiB); at it writes fail with `disk_full`. */
  database_pages: 1_048_576,
  /** A database up to this size is checked for damage at every start, in bytes. */
  quick_check_bytes: 64 * 1024 * 1024,
  /** How long a start waits for a predecessor that still holds the database, in milliseconds. */
  lock_wait_ms: 2_000,
  /** One record of a collection, in UTF-16 units of its JSON; a longer one is refused. */
  record_chars: 4 * 1024 * 1024,
  /** Records returned by one read; readers page. */
  read_page_rows: 1_000,
} as const;
