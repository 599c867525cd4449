/**
 * Until when this runtime may decide itself. Counted on its own monotonic clock from the moment a
 * ping was *sent*, while the gateway counts from the moment it arrived and adds a margin: whatever
 * the wall clocks do, the runtime stops first. The monotonic clock stands still while a machine is
 * suspended; the wall clock shows that, and ends it, too.
 *
 * @module
 */
import { DECISION_LIMITS } from "./limits.ts";

/** The pings of one stream, and what their answers gave. */
export class Authority {
  readonly #sent = new Map<bigint, { readonly us: number; readonly wall_ms: number }>();
  #number = 0n;
  #until_us = -Infinity;
  #wall_until_ms = -Infinity;
  #clock: { readonly gateway_ms: number; readonly at_us: number } | undefined;

  /** Pings that are not answered yet. */
  get unanswered(): number {
    return this.#sent.size;
  }

  /** Notes that a ping leaves now. @returns Its number. */
  ping(now_us: number, wall_ms: number): bigint {
    const number = ++this.#number;
    this.#sent.set(number, { us: now_us, wall_ms });
    return number;
  }

  /**
   * Takes an answer.
   *
   * @returns `false` when it answers nothing that was asked.
   */
  answered(number: bigint, authority_ms: number, gateway_ms: number, now_us: number): boolean {
    const sent = this.#sent.get(number);
    if (sent === undefined) return false;
    for (const earlier of [...this.#sent.keys()]) {
      if (earlier <= number) this.#sent.delete(earlier);
    }
    const { authority_max_ms, authority_margin_pct, authority_wall_step_ms } = DECISION_LIMITS;
    const granted_ms = Math.min(authority_ms, authority_max_ms);
    const used_ms = granted_ms * (100 - authority_margin_pct) / 100;
    const until_us = sent.us + used_ms * 1_000;
    if (until_us > this.#until_us) {
      this.#until_us = until_us;
      // A second's step of the wall clock is a correction, not a sleep.
      this.#wall_until_ms = sent.wall_ms + used_ms + authority_wall_step_ms;
    }
    this.#clock = { gateway_ms, at_us: now_us };
    return true;
  }

  /** Ends it at once: the stream is gone. */
  end(): void {
    this.#until_us = -Infinity;
    this.#sent.clear();
    this.#clock = undefined;
  }

  /** Whether this runtime may decide now. */
  holds(now_us: number, wall_ms: number): boolean {
    return now_us < this.#until_us && wall_ms < this.#wall_until_ms;
  }

  /** The gateway's wall clock as far as it is known; `undefined` before the first answer. */
  gatewayNow(now_us: number): number | undefined {
    const known = this.#clock;
    return known && Math.round(known.gateway_ms + (now_us - known.at_us) / 1_000);
  }
}
