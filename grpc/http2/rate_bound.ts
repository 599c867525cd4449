/**
 * A token bucket for frames that cost us work and the peer nothing (RFC 9113 section 10.5).
 *
 * @module
 */

/**
 * Allows `burst` events at once and `per_second` after that. The clock is read only when the bucket
 * runs empty, so the common case costs one decrement.
 */
export class RateBound {
  readonly #burst: number;
  readonly #per_second: number;
  readonly #now_ms: () => number;
  #tokens: number;
  #refilled_ms: number;

  constructor(burst: number, per_second: number, now_ms: () => number) {
    this.#burst = burst;
    this.#per_second = per_second;
    this.#now_ms = now_ms;
    this.#tokens = burst;
    this.#refilled_ms = now_ms();
  }

  /** Takes one token; false when none is left. */
  take(): boolean {
    if (this.#tokens < 1) this.#refill();
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** Takes as many tokens as something has cost; false when there were not so many. */
  spend(tokens: number): boolean {
    if (this.#tokens < tokens) this.#refill();
    this.#tokens -= tokens;
    return this.#tokens >= 0;
  }

  /** Whether more was spent than there was, and time has not made up for it. */
  get inDebt(): boolean {
    if (this.#tokens < 0) this.#refill();
    return this.#tokens < 0;
  }

  /** Gives tokens back for work that explains the peer's frames; never above the burst. */
  earn(tokens: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + tokens);
  }

  #refill(): void {
    const now_ms = this.#now_ms();
    const earned = ((now_ms - this.#refilled_ms) / 1000) * this.#per_second;
    this.#tokens = Math.min(this.#burst, this.#tokens + earned);
    this.#refilled_ms = now_ms;
  }
}
