/**
 * The messages of a stream as their reader sees them: pulled one at a time, so that a slow reader
 * holds the sender back.
 *
 * @module
 */

import type { GrpcError } from "./grpc_error.ts";

/** What a pull found. */
export type Pulled = { message: unknown } | "end" | "wait";

interface Waiter {
  resolve(result: IteratorResult<unknown>): void;
  reject(reason: GrpcError): void;
}

/** Iterates received messages; ends when the sender does, throws when the call failed. */
export class MessageStream implements AsyncIterableIterator<unknown> {
  readonly #pull: () => Pulled;
  readonly #ended: () => GrpcError | undefined;
  readonly #onReturn: (() => void) | undefined;
  readonly #waiters: Waiter[] = [];
  #done = false;

  /**
   * @param pull takes the next message, if there is one
   * @param ended why no further message will come, once the call has failed
   * @param onReturn called when the reader leaves before the end
   */
  constructor(
    pull: () => Pulled,
    ended: () => GrpcError | undefined,
    onReturn?: () => void,
  ) {
    this.#pull = pull;
    this.#ended = ended;
    this.#onReturn = onReturn;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<unknown>> {
    const result = new Promise<IteratorResult<unknown>>((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
    });
    // A reader may drop this promise; the peer's cancelling must not then kill the process.
    result.catch(() => {});
    this.wake();
    return result;
  }

  return(): Promise<IteratorResult<unknown>> {
    if (!this.#done) this.#onReturn?.();
    this.#done = true;
    this.wake();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Serves waiting readers with what there is. */
  wake(): void {
    while (this.#waiters.length > 0) {
      const reason = this.#ended();
      if (this.#done || reason !== undefined) return this.#release(reason);
      const pulled = this.#pull();
      if (pulled === "wait") {
        // An unsound message ends the call while it is pulled.
        if (this.#ended() !== undefined) continue;
        return;
      }
      if (pulled === "end") {
        this.#done = true;
        continue;
      }
      this.#waiters.shift()?.resolve({ done: false, value: pulled.message });
    }
  }

  #release(reason: GrpcError | undefined): void {
    for (const waiter of this.#waiters.splice(0)) {
      if (this.#done || reason === undefined) waiter.resolve({ done: true, value: undefined });
      else waiter.reject(reason);
    }
  }
}
