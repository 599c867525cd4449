/**
 * Reservations that nobody ended in time: they are charged in full, never given back (a call that
 * happened and was not reported must not be free).
 *
 * @module
 */
import type { Ledger } from "./ledger.ts";
import { LEDGER_ROOM_LIMITS } from "./limits.ts";

/**
 * Charges what has expired.
 *
 * @returns Agents whose reservations were charged, each once.
 */
export function expireReservations(ledger: Ledger, now_ms: number): ReadonlySet<string> {
  const charged = new Set<string>();
  let ended = 0;
  for (const [id, { call, expires_at_ms }] of ledger.state.open) {
    if (ended >= LEDGER_ROOM_LIMITS.tick_reservations) break;
    if (expires_at_ms > now_ms) continue;
    ended++;
    if (ledger.book({ kind: "expire", id, at_ms: now_ms }).ok) charged.add(call.agent_key);
  }
  return charged;
}
