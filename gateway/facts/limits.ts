/**
 * Every bound of recording decision facts, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const FACTS_LIMITS = {
  /** Facts waiting to be written. More: dropped and counted; the decision itself is not held up. */
  pending_facts: 16_384,
  /** An answered decision is written within this time, unless the disk is slower. */
  flush_ms: 250,
  /** Facts made ready in one piece of work before other work has its turn. */
  slice_facts: 128,
  /** All segments together, in bytes; past it the oldest are dropped whole. */
  directory_bytes: 2 * 1024 * 1024 * 1024,
  /** Time between two looks at what retention no longer covers. */
  retention_check_ms: 60_000,
  /** Cleaned names remembered; at the bound all are forgotten and made again. */
  remembered_names: 4_096,
} as const;
