/**
 * Time between attempts to connect.
 *
 * @module
 */
import { TRANSPORT_LIMITS } from "./limits.ts";

/**
 * Wait before an attempt, milliseconds: doubling, bounded, and between half and all of that by
 * chance, so that many agents do not come back at once.
 *
 * @param failures Failed attempts in a row, from 1.
 * @param random From 0 to below 1.
 */
export function backoff_ms(failures: number, random: number): number {
  const { reconnect_ms, reconnect_max_ms } = TRANSPORT_LIMITS;
  const full_ms = Math.min(reconnect_max_ms, reconnect_ms * 2 ** Math.min(failures - 1, 20));
  return full_ms * (0.5 + random / 2);
}
