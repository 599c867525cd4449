/**
 * Until when this runtime may decide itself. Counted on its own monotonic clock from the moment a
 * ping was *sent*, while the gateway counts from the moment it arrived and adds a margin: whatever
 * the wall clocks do, the runtime stops first.
 *
 * @module
 */
import { DECISION_LIMITS } from "./limits.ts";

/** The pings of one stream, and what their answers gave. */
export class Authority {
  readonly #sent_us = new Map<bigint, number>();
  #number = 0n;
  #until_us = -Infinity;
  #clock: { readonly gateway_ms: number; readonly at_us: number } | undefined;

  /** Pings that are not answered yet. */
  get unanswered(): number {
    return this.#sent_us.size;
  }

  /** Notes that a ping leaves now. @returns Its number. */
  ping(now_us: number): bigint {
    const number = ++this.#number;
    this.#sent_us.set(number, now_us);
    return number;
  }

  /**
   * Takes an answer.
   *
   * @returns `false` when it answers nothing that was asked.
   */
  answered(number: bigint, authority_ms: number, gateway_ms: number, now_us: number): boolean {
    const sent_us = this.#sent_us.get(number);
    if (sent_us === undefined) return false;
    for (const earlier of [...this.#sent_us.keys()]) {
      if (earlier <= number) this.#sent_us.delete(earlier);
    }
    const { authority_max_ms, authority_margin_pct } = DECISION_LIMITS;
    const granted_ms = Math.min(authority_ms, authority_max_ms);
    const used_ms = granted_ms * (100 - authority_margin_pct) / 100;
    this.#until_us = Math.max(this.#until_us, sent_us + used_ms * 1_000);
    this.#clock = { gateway_ms, at_us: now_us };
    return true;
  }

  /** Ends it at once: the stream is gone. */
  end(): void {
    this.#until_us = -Infinity;
    this.#sent_us.clear();
    this.#clock = undefined;
  }

  /** Whether this runtime may decide now. */
  holds(now_us: number): boolean {
    return now_us < this.#until_us;
  }

  /** The gateway's wall clock as far as it is known; `undefined` before the first answer. */
  gatewayNow(now_us: number): number | undefined {
    const known = this.#clock;
    return known && Math.round(known.gateway_ms + (now_us - known.at_us) / 1_000);
  }
}
