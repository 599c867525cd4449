/**
 * Every bound of the room of runtimes, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const RUNTIME_ROOM_LIMITS = {
  /** Runtimes attached at once. One more is refused; it forwards what it is asked. */
  runtimes: 10_000,
  /** Runtimes attached for one agent. One more ends the stream of the oldest. */
  runtimes_per_agent: 8,
  /** Events waiting for one runtime. One more ends its stream, and with it its authority. */
  queued_events: 64,
  /** Policy of one snapshot, in bytes. Larger: that runtime decides nothing itself. */
  snapshot_policy_bytes: 3_145_728,
  /**
   * How long a runtime may decide after the sending of a ping that was answered, in milliseconds.
   * Then it decides nothing itself until another is answered.
   */
  authority_ms: 1_500,
  /**
   * How much longer than that the gateway takes a silent runtime to be deciding still, in
   * milliseconds: clocks run apart, by far less than this.
   */
  authority_margin_ms: 500,
  /** Length of a runtime's id, version and class names, in UTF-16 units. Longer: refused. */
  name_chars: 128,
  /** Asks, and returns, of one lease call. More: INVALID_ARGUMENT. */
  lease_asks: 256,
  /** Calls of one lease; who asks for more gets this many. */
  lease_calls: 10_000,
  /** Leases out of one agent. One more is refused; its runtime forwards such calls. */
  leases_per_agent: 128,
  /** Leases out in all: each is a reservation of the ledger. One more is refused. */
  leases: 4_096,
  /** How long a runtime may use a lease, counted from its asking, in milliseconds. */
  lease_lasts_ms: 15_000,
  /** When a lease that nobody returned is charged in full, in milliseconds. */
  lease_charged_after_ms: 60_000,
  /**
   * The part of a rate limit that one lease may take: one in this many tokens of the window. A limit
   * below it is never leased. What a lease took stays taken.
   */
  rate_share_divisor: 16,
  /** Records of one report. More: INVALID_ARGUMENT. */
  report_records: 1_024,
  /** One record of a report, in bytes. Larger: put on record as unreadable, without its content. */
  record_bytes: 65_536,
  /** Spools remembered; at it the one not heard of for longest is forgotten. */
  spools: 20_000,
  /** Spools of one agent remembered; at it that agent's oldest is forgotten. */
  spools_per_agent: 64,
  /** Reports of one spool under way or waiting. One more is refused: try again. */
  reports_under_way: 4,
  /** Policy sets remembered to look at reports again with; the oldest is forgotten. */
  policies_remembered: 16,
  /** Time between two looks for leases and runtimes that are gone, in milliseconds. */
  sweep_interval_ms: 1_000,
} as const;
