/**
 * Every bound of outgoing notifications, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const NOTIFY_LIMITS = {
  /** Notifications waiting for delivery; one more is dropped and counted as `notifications_dropped`. */
  queued_notifications: 10_000,
  /** Deliveries under way at once; further ones wait for their turn. */
  deliveries: 4,
  /** Attempts for one notification; after the last it is given up, counted and recorded. */
  attempts: 8,
  /** Longest first pause between two attempts, in milliseconds; it doubles with each (full jitter). */
  backoff_first_ms: 1_000,
  /** Longest pause between two attempts, in milliseconds. */
  backoff_ms: 300_000,
  /** Time for one attempt from name lookup to status line, in milliseconds; then it has failed. */
  attempt_ms: 10_000,
  /** Body of one notification, in bytes. Larger: not sent, counted as dropped. */
  body_bytes: 16_384,
  /** Head of an answer, in bytes. Larger: the attempt has failed. Bodies of answers are not read. */
  answer_head_bytes: 8_192,
  /** Addresses of one name that are looked at; more: the attempt has failed. */
  addresses: 32,
  /** Signing secret: least and most bytes. Outside: the gateway does not start. */
  secret_least_bytes: 16,
  secret_bytes: 4_096,
  /** Time between two looks at the queue, in milliseconds. */
  tick_ms: 500,
} as const;
