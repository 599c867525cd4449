/**
 * Bounds of the permission broker. Each says what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const BROKER_LIMITS = {
  /** Processes connected at once. One more: its connection is closed, so it does not start. */
  connections: 64,
  /** One request line. Longer: the connection is closed, which ends the process. */
  request_bytes: 65_536,
  /** A value that is judged, in UTF-16 units; Linux opens no longer path. Longer: refused by name. */
  value_chars: 4_096,
  /** Questions with the decisions room at once, over all connections. One more waits its turn. */
  questions_in_flight: 64,
  /** Answers kept within one policy epoch. At it the least recently used is forgotten. */
  cached_answers: 10_000,
  /** A refusal's text as the agent's exception shows it, in UTF-16 units. Longer: cut, marked by `…`. */
  reason_chars: 600,
  /** Denials of one question that are each decided and recorded anew. More: counted, recorded in sums. */
  denials_recorded_each: 16,
  /** Kinds of repeats counted between two records. At it the record is written at once. */
  counted_questions: 1_000,
  /** Repeated questions that one record names; the further ones are summed by their answer. */
  repeats_named: 100,
  /** Milliseconds between two records of repeats; nothing repeated: no record. */
  count_interval_ms: 10_000,
  /** Directories a process may be in, as far as its requests tell. More: relative paths are refused. */
  working_directories: 64,
  /** Links followed while one path is resolved, as in Linux. More: refused by name. */
  links_followed: 40,
  /** Longest wait for a person, in milliseconds, whatever a policy says. Then: refused by name. */
  approval_wait_ms: 3_600_000,
} as const;
