/**
 * Holds back every connection of a server at once, while what is behind the server cannot take more.
 *
 * @module
 */

/** Open or closed; connections look before each read. */
export class ReadGate {
  #waiting: PromiseWithResolvers<void> | undefined;

  /** Resolves when reading may go on; undefined when it may now. */
  wait(): Promise<void> | undefined {
    return this.#waiting?.promise;
  }

  close(): void {
    this.#waiting ??= Promise.withResolvers<void>();
  }

  open(): void {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }
}
