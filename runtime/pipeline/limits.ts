/**
 * Every bound of the pipeline, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. Contract defaults: `interception` §1.2. */
export const PIPELINE_LIMITS = {
  /** Events accepted and not yet durable, default of AA_PIPELINE_INPUT_BUFFER; at it reporters wait. */
  input_buffer_rows: 10_000,
  /** Bytes of events accepted and not yet durable; at it reporters wait. */
  input_buffer_bytes: 32 * 1024 * 1024,
  /** Reporters that wait for room; one more is refused with `overloaded`. */
  waiting_reporters: 4_096,
  /** Events passed on together, default of AA_PIPELINE_BATCH_SIZE. */
  batch_rows: 100,
  /** Longest an event waits for its batch, default of AA_PIPELINE_FLUSH_INTERVAL_MS. */
  flush_interval_ms: 100,
  /** Events kept for a slow subscriber, default of AA_PIPELINE_BROADCAST_CAPACITY; then it loses its oldest. */
  subscriber_rows: 1_024,
  /** Subscribers at once; one more is refused. */
  subscribers: 16,
  /** One scanned field, default of AA_ENFORCEMENT_MAX_FIELD_BYTES; a longer one is replaced unread. */
  field_bytes: 65_536,
  /** All scanned fields of one event; what comes after is replaced unread. */
  event_scan_bytes: 1024 * 1024,
  /** Texts and list elements of one event; further list elements and labels are left out. */
  event_elements: 4_096,
  /** Wait before a record is offered again to a spool whose queue is full, in milliseconds. */
  spool_retry_ms: 10,
} as const;
