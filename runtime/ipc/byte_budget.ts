/**
 * Memory that several connections share.
 *
 * @module
 */

/** A count of bytes with a limit. */
export class ByteBudget {
  readonly #limit_bytes: number;
  #used_bytes = 0;

  constructor(limit_bytes: number) {
    this.#limit_bytes = limit_bytes;
  }

  get used_bytes(): number {
    return this.#used_bytes;
  }

  /** @returns `false`, and takes nothing, when so much is not left. */
  take(bytes: number): boolean {
    if (this.#used_bytes + bytes > this.#limit_bytes) return false;
    this.#used_bytes += bytes;
    return true;
  }

  /** Gives back what was taken. */
  give(bytes: number): void {
    this.#used_bytes -= bytes;
  }
}
