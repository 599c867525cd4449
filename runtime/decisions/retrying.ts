/**
 * A stream that is opened again whenever it ends (contract `interception` §1.7): 1, 2, 4 … 32 s after
 * failures, at once after a clean close.
 *
 * @module
 */
import { Code, GrpcError } from "../../grpc/mod.ts";
import type { Timers } from "../timers.ts";
import { DECISION_LIMITS } from "./limits.ts";

/** How an attempt ended. */
export interface AttemptEnd {
  /** The stream had brought something: the next failure waits as little as the first. */
  readonly worked: boolean;
  /** Absent: it was closed cleanly. */
  readonly error?: unknown;
}

/** What keeps a stream open. */
export interface RetryingOptions {
  readonly timers: Timers;
  readonly signal: AbortSignal;
  /** Opens the stream and reads it to its end; never rejects. */
  readonly attempt: (signal: AbortSignal) => Promise<AttemptEnd>;
  /** Is told of each reconnect. */
  readonly onRetry?: () => void;
  /** Something that makes waiting pointless, e.g. a new credential. */
  readonly wanted?: () => Promise<void>;
}

/** Clean closes in a row that are followed at once; a server that only closes is a failing one. */
const CLEAN_CLOSES_MAX = 3;

/** Runs until the signal fires. Never rejects. */
export async function keepOpen(options: RetryingOptions): Promise<void> {
  const { timers, signal, attempt, onRetry, wanted } = options;
  const { backoff_first_ms, backoff_longest_ms, unimplemented_pause_ms } = DECISION_LIMITS;
  let wait_ms: number = backoff_first_ms;
  let clean = 0;
  while (!signal.aborted) {
    const { worked, error } = await attempt(signal);
    if (signal.aborted) return;
    if (worked) wait_ms = backoff_first_ms;
    onRetry?.();
    clean = error === undefined ? clean + 1 : 0;
    if (error === undefined && clean <= CLEAN_CLOSES_MAX) continue;
    const pause_ms = isUnimplemented(error) ? unimplemented_pause_ms : wait_ms;
    wait_ms = Math.min(wait_ms * 2, backoff_longest_ms);
    const early = new AbortController();
    const either = AbortSignal.any([signal, early.signal]);
    wanted?.().then(() => early.abort());
    await timers.sleep(pause_ms, either);
  }
}

/** Whether the other side has no such service. */
export function isUnimplemented(error: unknown): boolean {
  return error instanceof GrpcError && error.code === Code.UNIMPLEMENTED;
}

/** Requests that are sent as they come; for one reader. */
export class RequestQueue<T> implements AsyncIterable<T> {
  readonly #queue: T[] = [];
  #wake: () => void = () => {};
  #ended = false;

  /** Sends one. */
  push(request: T): void {
    if (this.#ended) return;
    this.#queue.push(request);
    this.#wake();
  }

  /** Half-closes. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** What is sent. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    while (true) {
      const next = this.#queue.shift();
      if (next !== undefined) yield next;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}
