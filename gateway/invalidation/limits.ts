/**
 * Every bound of invalidation, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const INVALIDATION_LIMITS = {
  /** Events kept for one subscriber until it acknowledges them; beyond it the oldest is lost, and a subscriber that missed it must resync. */
  ring_events: 1_024,
  /** Events waiting for one open stream; one more ends the stream, and the next one replays. */
  live_events: 1_024,
  /** Subscribers remembered, connected or not; one more is refused. */
  subscribers: 10_000,
  /** Subscribers remembered of one tenant; one more is refused. */
  subscribers_per_tenant: 1_000,
  /** A subscriber without a stream is forgotten after this time, and must resync when it returns. */
  disconnected_kept_ms: 15 * 60 * 1000,
  /** Time between two looks for subscribers to forget. */
  sweep_interval_ms: 10_000,
  /** Length of an assembly id in UTF-16 units; a longer one is refused. */
  assembly_id_chars: 256,
} as const;
