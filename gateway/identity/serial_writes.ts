/**
 * Writes about one thing, one after the other: what is decided last is what stays on disk.
 *
 * @module
 */

/** Runs the writes of each key in the order in which they were asked for. */
export class SerialWrites {
  readonly #last = new Map<string, Promise<void>>();

  /** Whether a write about `key` is under way or waits. */
  isBusy(key: string): boolean {
    return this.#last.has(key);
  }

  /** Runs `write` once every earlier one of the same key has ended, whatever became of them. */
  async run<T>(key: string, write: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const outcome = before.then(write);
    const settled = outcome.then(() => {}, () => {});
    this.#last.set(key, settled);
    try {
      return await outcome;
    } finally {
      if (this.#last.get(key) === settled) this.#last.delete(key);
    }
  }
}
