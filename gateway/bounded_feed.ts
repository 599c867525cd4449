/**
 * A feed for one reader: what stood when it was opened, then what happens. A reader that does not
 * read is cut off at a bound rather than left ignorant of what it missed.
 *
 * @module
 */

/** Ends that every feed has, beside its own. */
export type FeedEnd = "cancelled" | "lagging";

/** Items in, an asynchronous sequence out. */
export abstract class BoundedFeed<Item, End extends string> implements AsyncIterable<Item> {
  readonly #bound: number;
  /** Reversed. */
  readonly #first: Item[];
  readonly #queue: Item[] = [];
  #end: End | FeedEnd | undefined;
  #wake: () => void = () => {};

  /**
   * @param bound Items that may wait, beside the first ones.
   * @param first What the reader is given before anything else.
   */
  constructor(bound: number, first: readonly Item[] = []) {
    this.#bound = bound;
    this.#first = first.toReversed();
  }

  /** Called once, when it ends. */
  protected abstract gone(): void;

  /** Why it ended; `undefined` while it has not. */
  get ended(): End | FeedEnd | undefined {
    return this.#end;
  }

  /**
   * Queues an item; at the bound the feed ends as `lagging` instead.
   *
   * @returns Whether it was queued.
   */
  push(item: Item): boolean {
    if (this.#end !== undefined) return false;
    if (this.#queue.length >= this.#bound) {
      this.end("lagging");
      return false;
    }
    this.#queue.push(item);
    this.#wake();
    return true;
  }

  /** Ends it; what is queued is still given to the reader. */
  end(why: End | FeedEnd): void {
    if (this.#end !== undefined) return;
    this.#end = why;
    this.gone();
    this.#wake();
  }

  /** Drops what is queued. */
  protected forget(): void {
    this.#queue.length = 0;
  }

  /** The first items, then the others, until the end. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Item> {
    try {
      while (true) {
        const item = this.#first.pop() ?? this.#queue.shift();
        if (item !== undefined) {
          yield item;
          continue;
        }
        if (this.#end !== undefined) return;
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await promise;
      }
    } finally {
      this.end("cancelled");
    }
  }
}
