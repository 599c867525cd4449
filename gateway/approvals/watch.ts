/**
 * Who watches the queue. Listeners are told at once; streams have a bounded queue each and are ended,
 * not skipped, when they do not keep up.
 *
 * @module
 */
import type { ApprovalRequest } from "../../core/approval/mod.ts";
import { QUEUE_LIMITS } from "./limits.ts";

/** What happened to a request. */
export type ApprovalChange =
  | "submitted"
  | "voted"
  | "forwarded"
  | "escalated"
  | "approved"
  | "rejected"
  | "expired"
  | "revoked"
  | "used";

/** One change, after it was made. */
export interface ApprovalNotice {
  readonly change: ApprovalChange;
  readonly request: ApprovalRequest;
}

/** A watcher did not read: its stream was ended so that it lists again instead of missing something. */
export class WatchOverflow extends Error {
  override readonly name = "WatchOverflow";

  constructor() {
    const limit = QUEUE_LIMITS.watch_queue_events;
    super(`${limit} events were waiting unread: list the requests and watch again`);
  }
}

/** There are as many watchers as there may be. */
export class TooManyWatchers extends Error {
  override readonly name = "TooManyWatchers";

  constructor() {
    super(`\`${QUEUE_LIMITS.watchers}\` streams watch the queue: close one, then retry`);
  }
}

/** Tells listeners and streams. */
export class Watchers {
  readonly #listeners = new Set<(notice: ApprovalNotice) => void>();
  readonly #streams = new Set<WatchStream>();
  #stopped = false;

  /** Calls `listener` after each change; the result ends it. A listener that throws harms nobody. */
  listen(listener: (notice: ApprovalNotice) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * A stream of changes from now on.
   *
   * @param wanted Which ones.
   * @param signal Ends it.
   * @throws {TooManyWatchers} at once.
   */
  stream(
    wanted: (notice: ApprovalNotice) => boolean,
    signal: AbortSignal,
  ): AsyncIterable<ApprovalNotice> {
    if (this.#streams.size >= QUEUE_LIMITS.watchers) throw new TooManyWatchers();
    const stream: WatchStream = new WatchStream(wanted, () => this.#streams.delete(stream));
    this.#streams.add(stream);
    const cancel = () => stream.end();
    if (signal.aborted || this.#stopped) cancel();
    else signal.addEventListener("abort", cancel, { once: true });
    return stream;
  }

  /** Tells everyone, apart from this call: no listener can make a change look as if it failed. */
  announce(notice: ApprovalNotice): void {
    for (const listener of this.#listeners) {
      queueMicrotask(() => {
        try {
          listener(notice);
        } catch {
          // The change stands whatever a listener makes of it.
        }
      });
    }
    for (const stream of this.#streams) stream.offer(notice);
  }

  /** Ends every stream. */
  stop(): void {
    this.#stopped = true;
    for (const stream of [...this.#streams]) stream.end();
  }
}

class WatchStream implements AsyncIterable<ApprovalNotice> {
  readonly #queue: ApprovalNotice[] = [];
  readonly #wanted: (notice: ApprovalNotice) => boolean;
  readonly #gone: () => unknown;
  #over: "no" | "ended" | "overflowed" = "no";
  #wake: () => void = () => {};

  constructor(wanted: (notice: ApprovalNotice) => boolean, gone: () => unknown) {
    this.#wanted = wanted;
    this.#gone = gone;
  }

  offer(notice: ApprovalNotice): void {
    if (this.#over !== "no" || !this.#wanted(notice)) return;
    if (this.#queue.length >= QUEUE_LIMITS.watch_queue_events) return this.#close("overflowed");
    this.#queue.push(notice);
    this.#wake();
  }

  end(): void {
    this.#close("ended");
  }

  #close(how: "ended" | "overflowed"): void {
    if (this.#over !== "no") return;
    this.#over = how;
    this.#gone();
    this.#wake();
  }

  /** @throws {WatchOverflow} after the last event that had room. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ApprovalNotice> {
    try {
      while (true) {
        const notice = this.#queue.shift();
        if (notice !== undefined) {
          yield notice;
          continue;
        }
        if (this.#over === "overflowed") throw new WatchOverflow();
        if (this.#over === "ended") return;
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await promise;
      }
    } finally {
      this.end();
    }
  }
}
