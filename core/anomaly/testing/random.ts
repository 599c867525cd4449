/**
 * Seeded randomness for replays: the same seed gives the same days.
 *
 * @module
 */

/** A generator of numbers (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Whole, from `low` to `high` inclusive. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of a list that is not empty; the first ones are likelier, as real tools are (Zipf). */
  oneOf<T>(items: readonly T[]): T {
    const at = Math.floor(items.length ** this.next()) - 1;
    const item = items[Math.min(items.length - 1, Math.max(0, at))];
    if (item === undefined) throw new RangeError("nothing to choose from");
    return item;
  }

  /** Poisson-distributed count, for means up to a few hundred. */
  poisson(mean: number): number {
    if (mean <= 0) return 0;
    if (mean > 60) return this.poisson(mean / 2) + this.poisson(mean / 2);
    const limit = Math.exp(-mean);
    let count = 0;
    for (let product = this.next(); product > limit; product *= this.next()) count++;
    return count;
  }
}
