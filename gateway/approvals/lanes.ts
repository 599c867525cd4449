/**
 * The order of changes: those of one request run one after another, those of different requests
 * together, so that their log entries share one write.
 *
 * @module
 */
import { QUEUE_LIMITS } from "./limits.ts";

/** Too many changes are under way. */
export class BusyError extends Error {
  override readonly name = "BusyError";

  constructor() {
    super(
      `\`${QUEUE_LIMITS.changes_under_way}\` changes of the approval queue are under way; retry`,
    );
  }
}

/** Serialises asynchronous changes by key. */
export class Lanes {
  readonly #tails = new Map<string, Promise<void>>();
  #under_way = 0;

  /**
   * Runs `change` after the changes of `key` that were asked for before it.
   *
   * @throws {BusyError} when too many changes are under way.
   */
  run<T>(key: string, change: () => Promise<T>): Promise<T> {
    if (this.#under_way >= QUEUE_LIMITS.changes_under_way) return Promise.reject(new BusyError());
    this.#under_way++;
    const result = (this.#tails.get(key) ?? Promise.resolve()).then(change);
    const settled = result.then(() => {}, () => {}).then(() => {
      this.#under_way--;
      if (this.#tails.get(key) === settled) this.#tails.delete(key);
    });
    this.#tails.set(key, settled);
    return result;
  }

  /** Resolves when nothing that is under way now is left. */
  async idle(): Promise<void> {
    await Promise.all(this.#tails.values());
  }
}
