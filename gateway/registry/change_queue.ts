/**
 * The order of changes: those of one agent run one after another, those of a whole family run
 * alone. Nothing waits while holding, so nothing can deadlock.
 *
 * @module
 */
import { RegistryError } from "./failure.ts";
import { REGISTRY_LIMITS } from "./limits.ts";

/** Serialises asynchronous changes by agent key. */
export class ChangeQueue {
  readonly #tails = new Map<string, Promise<void>>();
  #barrier: Promise<void> = Promise.resolve();
  #under_way = 0;

  /**
   * Runs `change` after the changes of `key` that were asked for before it.
   *
   * @throws {RegistryError} `busy` when too many changes are under way.
   */
  withAgent<T>(key: string, change: () => T | Promise<T>): Promise<T> {
    if (this.#under_way >= REGISTRY_LIMITS.changes_under_way) return Promise.reject(busy());
    const result = Promise.all([this.#barrier, this.#tails.get(key)]).then(change);
    const settled = this.#settled(result);
    this.#tails.set(key, settled);
    settled.then(() => {
      if (this.#tails.get(key) === settled) this.#tails.delete(key);
    });
    return result;
  }

  /**
   * Runs `change` while no other change runs.
   *
   * @throws {RegistryError} `busy` when too many changes are under way.
   */
  alone<T>(change: () => T | Promise<T>): Promise<T> {
    if (this.#under_way >= REGISTRY_LIMITS.changes_under_way) return Promise.reject(busy());
    const result = Promise.all([this.#barrier, ...this.#tails.values()]).then(change);
    this.#barrier = this.#settled(result);
    return result;
  }

  #settled(result: Promise<unknown>): Promise<void> {
    this.#under_way++;
    const done = () => {
      this.#under_way--;
    };
    return result.then(done, done);
  }
}

function busy(): RegistryError {
  const limit = REGISTRY_LIMITS.changes_under_way;
  return new RegistryError("busy", `\`${limit}\` changes of the registry are under way; retry`);
}
