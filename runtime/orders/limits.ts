/**
 * Bounds of local orders.
 *
 * @module
 */

/** Bounds of the file in which an operator gives orders at one runtime. */
export const LOCAL_ORDER_LIMITS = {
  /** Bytes of the file. Larger: it counts as damaged, and everything waits. */
  file_bytes_max: 65_536,
  /** Orders in the file. More: it counts as damaged, and everything waits. */
  orders_max: 256,
  /** How often the file is looked at; an order takes effect within this time. */
  interval_ms: 500,
} as const;
