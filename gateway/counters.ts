/**
 * Named counters of one process, shown in `status`.
 *
 * @module
 */

/** Counts events by name. Names come from the code, never from a peer, so the set is bounded. */
export class Counters {
  readonly #values = new Map<string, number>();

  /** Adds one. */
  add(name: string): void {
    this.#values.set(name, (this.#values.get(name) ?? 0) + 1);
  }

  /** Every counter, as unsigned 64-bit values. */
  snapshot(): Record<string, bigint> {
    return Object.fromEntries([...this.#values].map(([name, value]) => [name, BigInt(value)]));
  }
}
