/**
 * Bounds of the ways to an answer.
 *
 * @module
 */

/** Named limits of the transports; units are the last word of each name. */
export const TRANSPORT_LIMITS = {
  /** Time for a connection and its handshake, milliseconds. At it: the attempt failed. */
  connect_timeout_ms: 5_000,
  /** Wait before the second attempt to connect; doubles with each further one. */
  reconnect_ms: 50,
  /** Longest wait between two attempts to connect. */
  reconnect_max_ms: 5_000,
  /**
   * Questions on one connection without an answer, given up ones included. More: refused with
   * `overloaded`.
   */
  questions_in_flight: 1_024,
  /** Answers in a row that did not come in time, with nothing else arriving: the connection is replaced. */
  silent_timeouts: 3,
  /** Events reported and not yet taken by the runtime. More: `report` waits, then fails by name. */
  events_kept: 10_000,
  /** Bytes of those events. More: `report` waits, then fails by name. */
  events_kept_bytes: 16_777_216,
  /**
   * Reports that wait for room, as many bytes as events kept. More: `event_spool_full` at once.
   */
  reports_waiting: 1_000,
  /** How long `report` waits for room, milliseconds. At it: `event_spool_full`. */
  report_wait_ms: 5_000,
  /** Events on one connection whose acknowledgement is awaited; more wait in the spool. */
  events_unacknowledged: 128,
  /** Approval decisions that came before anybody waited for them; the oldest is forgotten. */
  decisions_kept: 256,
  /** How often a held act is asked about anew, should its decision have been lost, milliseconds. */
  approval_poll_ms: 15_000,
  /** Bytes of one HTTP answer. More: no answer. */
  http_answer_bytes: 4_194_304,
} as const;
