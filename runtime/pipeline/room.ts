/**
 * How much may be on its way at once. Who finds no room waits its turn: nothing is lost, and a
 * socket that awaits its turn stops reading.
 *
 * @module
 */

/** Why the pipeline takes no event. */
export type PipelineFailure = "overloaded" | "closed";

/** An event that was not taken; nothing of it was kept. */
export class PipelineError extends Error {
  override readonly name = "PipelineError";
  readonly code: PipelineFailure;

  constructor(code: PipelineFailure, message: string) {
    super(message);
    this.code = code;
  }
}

/** Bounds of a {@linkcode Room}. */
export interface RoomBounds {
  readonly rows_max: number;
  readonly bytes_max: number;
  readonly waiting_max: number;
}

/** A counted room, first come, first served. */
export class Room {
  readonly #bounds: RoomBounds;
  #rows = 0;
  #bytes = 0;
  #waiting: PromiseWithResolvers<void>[] = [];
  #closed = false;
  #empty: PromiseWithResolvers<void> | undefined;

  constructor(bounds: RoomBounds) {
    this.#bounds = bounds;
  }

  /** Share that is taken, 0 to 1. */
  get utilisation(): number {
    return Math.min(1, this.#rows / this.#bounds.rows_max);
  }

  /**
   * Takes one place; `undefined` when that took no wait.
   *
   * @throws {PipelineError} `overloaded`, `closed`.
   */
  enter(): Promise<void> | undefined {
    if (this.#closed) throw closed();
    if (this.#waiting.length === 0 && this.#hasRoom()) {
      this.#rows++;
      return undefined;
    }
    if (this.#waiting.length >= this.#bounds.waiting_max) {
      throw new PipelineError(
        "overloaded",
        `cannot take an event: \`${this.#waiting.length}\` reporters wait for room; retry later`,
      );
    }
    const turn = Promise.withResolvers<void>();
    this.#waiting.push(turn);
    return turn.promise;
  }

  /** Says how large what came in is. */
  hold(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Gives the place back, and what it held. */
  leave(bytes: number): void {
    this.#rows--;
    this.#bytes -= bytes;
    while (this.#waiting.length > 0 && this.#hasRoom()) {
      this.#rows++;
      this.#waiting.shift()?.resolve();
    }
    if (this.#rows === 0) this.#empty?.resolve();
  }

  /** Lets nobody in any more; resolves once everybody is out. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const turn of this.#waiting) turn.reject(closed());
    this.#waiting = [];
    if (this.#rows === 0) return;
    this.#empty ??= Promise.withResolvers();
    await this.#empty.promise;
  }

  #hasRoom(): boolean {
    return this.#rows < this.#bounds.rows_max && this.#bytes < this.#bounds.bytes_max;
  }
}

function closed(): PipelineError {
  return new PipelineError("closed", "cannot take an event: the runtime is stopping");
}
