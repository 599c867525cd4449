/**
 * Every bound of correlation, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const CORRELATION_LIMITS = {
  /** Longest time from an intent to its act, default of AA_CORRELATION_WINDOW_MS. */
  window_ms: 5_000,
  /** Time between two looks, default of AA_CORRELATION_INTERVAL_MS. */
  interval_ms: 1_000,
  /** Intents kept; the oldest is forgotten, counted, and its outcome is never told. */
  intents: 4_096,
  /** Acts that wait to be judged; beyond it the oldest is judged early. */
  actions: 4_096,
  /** Parents looked at from one process upwards; a longer line ends there. */
  ancestors: 64,
  /** Processes whose parent is remembered; the one not told of for longest is forgotten. */
  processes: 8_192,
  /** Outcomes told as events at one look; further ones are counted only. */
  outcomes_told: 100,
  /** Without an act seen by the kernel for so long, an intent without one says nothing. */
  kernel_silence_ms: 60_000,
} as const;
