/**
 * Every bound of the room of anomaly detection, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const ANOMALY_ROOM_LIMITS = {
  /** Baselines in memory. Above it those not used for longest are written and let go. */
  resident_baselines: 20_000,
  /** Baselines in memory while the store does not keep up. At it a further agent is not watched, which `status` says. */
  resident_baselines_hard: 25_000,
  /** Baselines of agents that are not registered; never stored. One more forgets the oldest. */
  unregistered_baselines: 1_000,
  /** Actions of one agent that wait while its baseline is read. Further ones are not learned from. */
  waiting_actions: 64,
  /** Changed baselines written in one go; the rest waits for the next. */
  written_baselines: 200,
  /** Changed baselines are written this often, in milliseconds. A crash loses what was learned since. */
  write_interval_ms: 30_000,
  /** Length of one stored baseline in bytes. Longer: refused, and named in `status`. */
  baseline_bytes: 131_072,
} as const;
