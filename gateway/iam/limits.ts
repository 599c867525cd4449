/**
 * Every bound of the API keys, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const IAM_LIMITS = {
  /** Keys that can sign in, of all operators; one more is refused. */
  keys: 1_000,
  /** Keys that can sign in, of one operator; one more is refused. */
  keys_of_operator: 50,
  /** Keys kept, ended ones included; at it the longest ended one is forgotten (the audit log keeps it). */
  keys_kept: 5_000,
  /** Length of a key's label in characters; longer ones are refused. */
  label_chars: 128,
  /** Life of a key when none is asked for, in seconds (90 days). */
  ttl_default_seconds: 90 * 86_400,
  /** Longest life of a key or of an operator with an end, in seconds (366 days); longer ones are refused. */
  ttl_seconds: 366 * 86_400,
  /** Longest time that a rotated secret stays good, in seconds (a day); longer ones are refused. */
  overlap_seconds: 86_400,
  /** How exactly the last use of a key is kept, in milliseconds (an hour). */
  last_used_ms: 3_600_000,
  /** Time between two looks at what is to be written of uses, in milliseconds. */
  flush_ms: 60_000,
} as const;
