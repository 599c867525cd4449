/**
 * Every bound of the room that runs the ledger, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const LEDGER_ROOM_LIMITS = {
  /** Transactions of one journal record; further ones go into the next. */
  group_transactions: 1_024,
  /** Transactions waiting for the disk. At it a priced call is denied, `budget ledger unavailable`. */
  queued_transactions: 16_384,
  /** Transactions after which the accounts are written and the journal may be cut. */
  checkpoint_transactions: 8_192,
  /** Transactions kept in the journal after their effect is in the accounts; older ones are cut. */
  kept_transactions: 65_536,
  /** How often reservations are looked through for ones to expire, in milliseconds. */
  tick_ms: 1_000,
  /** Reservations expired by one look; further ones wait for the next. */
  tick_reservations: 4_096,
  /** Rows of one answer about budgets; callers page. */
  page_rows: 500,
  /** Nodes of one budget tree; more are counted, not shown. */
  tree_nodes: 10_000,
} as const;
