/**
 * How long something has stood still, by looking at it now and then.
 *
 * @module
 */

/** Watches one growing number. */
export class Stillness {
  #seen: number | undefined;
  #since_ms = 0;

  /** Milliseconds since a look found another value; 0 when this one does. */
  look(value: number, now_ms: number): number {
    if (value !== this.#seen) {
      this.#seen = value;
      this.#since_ms = now_ms;
    }
    return now_ms - this.#since_ms;
  }

  /** Begins anew: there is nothing that should move. */
  reset(): void {
    this.#seen = undefined;
  }
}
