/**
 * Every bound and threshold of the detectors, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const ANOMALY_LIMITS = {
  /** Actions of an agent before any detector that compares with its past may speak. */
  warm_up_actions: 200,
  /** Time an agent must have been watched before such a detector may speak, in hours. */
  warm_up_hours: 24,
  /** A pause between two actions counts for at most this long, in hours: a clock that jumps ahead warms nothing up. */
  gap_credit_hours: 6,
  /** A clock that steps back by more than this, in milliseconds, ends the running windows unjudged. */
  step_back_ms: 60_000,
  /** What is usual may rise by at most this many percent a day, whatever an agent does. */
  drift_percent_per_day: 10,
  /** Half-life of what was learned, in days the agent was active. */
  half_life_days: 14,
  /** Tools remembered for one agent; at it the one not seen for longest is forgotten. */
  tools: 256,
  /** Hosts remembered for one agent; at it the one not seen for longest is forgotten. */
  hosts: 512,
  /** Argument shapes remembered for one agent; at it the one not seen for longest is forgotten. */
  shapes: 512,
  /** Programs remembered for one agent; at it the one not seen for longest is forgotten. */
  programs: 128,
  /** Different calls watched for repetition at once; at it the least repeated is forgotten. */
  repeated_calls: 8,
  /** Length of arguments whose shape is looked at, in UTF-16 units. Longer: one shape per size. */
  shape_chars: 16_384,
  /** Keys of one argument that take part in its shape; further ones only count. */
  shape_keys: 128,
  /** Depth of one argument that takes part in its shape; deeper values count as one kind. */
  shape_depth: 8,
  /** Characters of arguments, at each end, by which two calls are taken for identical. */
  identity_chars: 4_096,
} as const;
