/**
 * A bound on what runs at once; what is over it waits in order.
 *
 * @module
 */

/** Takes turns. */
export class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /** @param at_once How many may run. */
  constructor(at_once: number) {
    this.#free = at_once;
  }

  /**
   * Runs when it is its turn.
   *
   * @returns `undefined` when `signal` aborted before that.
   */
  async take<T>(run: () => Promise<T>, signal: AbortSignal): Promise<T | undefined> {
    if (this.#free > 0) this.#free -= 1;
    else await this.#turn();
    try {
      return signal.aborted ? undefined : await run();
    } finally {
      // A turn is handed on rather than freed, so that no newcomer overtakes.
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }

  #turn(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    return promise;
  }
}
