/**
 * One after the other: changes that each start from what the one before left.
 *
 * @module
 */

/** More is waiting than may wait. */
export class TurnsBusy extends Error {
  override readonly name = "TurnsBusy";
}

/** Runs pieces of work in the order in which they come. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /** @param waiting_max Pieces of work running or waiting; one more is refused. */
  constructor(private readonly waiting_max: number) {}

  /**
   * Runs `work` when its turn comes; what became of the one before makes no difference.
   *
   * @throws {TurnsBusy} when too much is waiting.
   */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#waiting >= this.waiting_max) throw new TurnsBusy("too much is under way: try again");
    this.#waiting++;
    const mine = this.#last.then(work);
    this.#last = mine.catch(() => {});
    try {
      return await mine;
    } finally {
      this.#waiting--;
    }
  }

  /** Pieces of work running or waiting. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Resolves when nothing that was asked for is still running. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
