/**
 * Every bound of the ledger, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const LEDGER_LIMITS = {
  /**
   * One reservation or settlement in one dimension (a million US dollars, 10^12 tokens). More: the
   * call is refused by name. Sums stay below 2^53, and a sum that would not is refused too.
   */
  amount_units: 1_000_000_000_000,
  /** How long a settling caller may hold a reservation; then it is charged in full. */
  reservation_ms: 600_000,
  /** Reservations open at once. One more: the call is denied, `budget ledger unavailable`. */
  open_reservations: 10_000,
  /** Closed reservations remembered, to answer a repeated settlement; older ones are unknown. */
  closed_reservations: 32_768,
  /** Agents that never registered with an account of their own; all further ones share one. */
  stranger_accounts: 10_000,
  /** Accounts in memory (agents, subtrees, teams, organisations). One more: the call is denied. */
  accounts: 85_000,
  /** Days kept of one account and time zone; older ones are only in the lifetime totals. */
  day_buckets: 100,
  /** Months kept of one account and time zone; older ones are only in the lifetime totals. */
  month_buckets: 24,
  /** Time zones in which days are counted. A budget in one more zone denies what it would limit. */
  time_zones: 64,
  /** Distinct `window` lengths counted. A budget with one more denies what it would limit. */
  window_lengths: 64,
  /** Prompt tokens of a model call that states none, or less than one (contract §6.1). */
  assumed_prompt_tokens: 1_000,
  /** Output tokens reserved for a settling caller when neither it nor a policy states a number. */
  assumed_output_tokens: 4_096,
  /** Wall time charged for a call under a wall time limit when nobody states one. */
  assumed_wall_ms: 60_000,
  /** Models of one pricing file. More: the file is refused. */
  pricing_models: 10_000,
  /** A pricing file, in bytes. Larger: refused unread, the gateway does not start. */
  pricing_file_bytes: 4_194_304,
} as const;
