/**
 * Every bound of operator control, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const OPERATION_LIMITS = {
  /** Operations listed; one more drops the one that was asked about longest ago from the list. */
  listed_ops: 50_000,
  /** Operations listed of one agent; one more drops that agent's oldest from the list. */
  listed_ops_per_agent: 5_000,
  /** Length of an operation id in UTF-16 units; a call with a longer one is not listed. */
  op_id_chars: 2_049,
  /** An ended operation leaves the list after this time (contract `policy-and-gateway` §12). */
  ended_kept_ms: 60_000,
  /** A running operation that asks nothing for this long is completing. */
  idle_ms: 15 * 60 * 1000,
  /** A completing operation that asks nothing for this long has ended. */
  completing_ms: 60_000,
  /** Time between two sweeps of the list (contract `surface` §1.10). */
  sweep_interval_ms: 10_000,
  /**
   * Standing orders for single operations. At it, terminations older than `op_order_kept_ms` are
   * forgotten to make room; with none, the order is refused: give it to the whole agent.
   */
  op_orders: 10_000,
  /** Standing orders for whole agents; one more is refused. */
  agent_orders: 100_000,
  /** A termination of one operation is never forgotten before this age. */
  op_order_kept_ms: 24 * 60 * 60 * 1000,
  /** Orders being carried out or waiting for their turn; one more is refused with `busy`. */
  orders_under_way: 1_000,
  /** A reason given by an operator, in UTF-16 units; the rest is cut. */
  reason_chars: 1_024,
  /** Subscribers of operator control; one more is refused. */
  subscribers: 10_000,
  /** Subscribers of operator control for one agent; one more ends the oldest. */
  subscribers_per_agent: 16,
  /** Messages waiting for one subscriber; one more ends its stream, and the next one tells how things stand. */
  queued_messages: 256,
  /** Page size of a listing: default and bound. */
  page_default_ops: 100,
  page_ops: 1_000,
} as const;
