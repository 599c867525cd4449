/**
 * Every bound of the room that decides, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const DECISION_LIMITS = {
  /** Calls under way at the gateway. Further ones wait, as long as their client does. */
  forwarded_queries: 1_024,
  /** Queries waiting for one of those. One more is denied by name. */
  waiting_queries: 16_384,
  /** Queries that wait for an operator's pause to end. One more is denied by name. */
  paused_queries: 4_096,
  /** Operators' orders for single operations that are kept. One more halts everything. */
  orders: 10_000,
  /** How often one query is decided anew because something changed meanwhile; then it is forwarded. */
  local_attempts: 2,
  /** Time between two pings to the gateway, in milliseconds. */
  ping_interval_ms: 500,
  /** Pings without an answer. One more ends the stream. */
  pings_unanswered: 8,
  /** The longest authority that is taken from the gateway, whatever it says, in milliseconds. */
  authority_max_ms: 5_000,
  /** The part of an authority that is not used, in percent: clocks run apart. */
  authority_margin_pct: 10,
  /** How much further than the monotonic clock the wall clock may go before an authority ends. */
  authority_wall_step_ms: 1_000,
  /** How far off the gateway's clock is taken to be, in milliseconds: inside it no hour is certain. */
  clock_uncertainty_ms: 2_000,
  /** First and longest pause between two attempts to follow or subscribe, in milliseconds. */
  backoff_first_ms: 1_000,
  backoff_longest_ms: 32_000,
  /** Pause after the gateway said that it has no such service, in milliseconds. */
  unimplemented_pause_ms: 60_000,
  /** Documents of one snapshot. More: the snapshot is refused, and everything is denied by name. */
  snapshot_documents: 10_000,
  /** Kinds of calls for which leases are kept. At it the one used longest ago is given back. */
  lease_classes: 128,
  /** Calls of one kind within `lease_hot_window_ms` from which on they are leased. */
  lease_hot_calls: 3,
  lease_hot_window_ms: 5_000,
  /** Calls asked for by the first lease of a kind, and at most. */
  lease_first_calls: 16,
  lease_most_calls: 4_096,
  /** The longest that a lease is used, whatever the gateway says, in milliseconds. */
  lease_lasts_max_ms: 30_000,
  /** How long an ended lease waits, so that its calls are reported first, in milliseconds. */
  lease_return_after_ms: 2_000,
  /** How long nothing is asked for a kind of call that was refused a lease, in milliseconds. */
  lease_refused_pause_ms: 10_000,
  /** Leases that wait to be given back. One more is not: it is charged in full. */
  lease_returns: 1_024,
  /** Approvals whose resume token is remembered. At it the oldest is forgotten: ask anew. */
  approvals: 4_096,
  /** How long one is remembered, in milliseconds. */
  approval_remembered_ms: 3_600_000,
  /** Time between two looks at an approval that somebody waits on, in milliseconds. */
  approval_look_ms: 10_000,
  /** Approvals by local rules that wait for their timeout. One more is denied by name. */
  local_approvals: 1_024,
  /** A local policy file, in bytes. Larger: refused, the runtime does not start. */
  local_policy_bytes: 1_048_576,
  /** Rules of a local policy file. More: refused, the runtime does not start. */
  local_rules: 10_000,
  /** Records, and bytes of records, of one report to the gateway; further ones go into the next. */
  report_records: 512,
  report_bytes: 1_048_576,
} as const;
