/**
 * Ids of reported events, in the form of the reference's clients (contract `wire` §3.6).
 *
 * @module
 */

/** Makes ids `<16 hex unix-nanos>-<8 hex process>-<4+ hex counter>`. */
export class EventIds {
  readonly #now_ms: () => number;
  readonly #process: string;
  #count = 0;

  /**
   * @param now_ms Wall clock.
   * @param process Tells processes apart; random, because not every runtime names its own.
   */
  constructor(
    now_ms: () => number = Date.now,
    process: number = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
  ) {
    this.#now_ms = now_ms;
    this.#process = (process >>> 0).toString(16).padStart(8, "0");
  }

  /** The next id; unique in this process whatever the clock does. */
  next(): string {
    const nanos = BigInt(Math.max(0, Math.trunc(this.#now_ms()))) * 1_000_000n;
    const count = (++this.#count).toString(16).padStart(4, "0");
    return `${nanos.toString(16).padStart(16, "0")}-${this.#process}-${count}`;
  }
}
