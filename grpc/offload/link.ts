/**
 * Carries batches between two threads. Frames written in one turn of the event loop leave together,
 * and while the other side has not taken the last batches the next one only grows: the busier it
 * is, the more calls share the cost of one crossing.
 *
 * @module
 */

import { BatchError, BatchReader, BatchWriter, emptyBatch } from "./batch.ts";

/**
 * Batches under way to a side that has not taken them. At it: frames wait for the next batch.
 * Two would leave that side idle for one crossing.
 */
export const BATCHES_UNREAD_MAX = 4;

/**
 * Time a side that has nothing to say lets the other wait to hear that its batches were taken, in
 * milliseconds: an answer is mostly sooner there, and saves a crossing of its own.
 */
const ACKNOWLEDGE_AFTER_MS = 1;

/** The end of a thread's port that this side holds. */
export interface OffloadPort {
  postMessage(message: unknown, transfer: Transferable[]): void;
}

/** What a link tells its owner. */
export interface LinkEvents {
  /** Handles one batch's frames; what it throws ends the link. */
  onFrames(reader: BatchReader): void;
  /** Everything written so far is under way. */
  onFlushed(): void;
  /** The other side sent what is no batch. */
  onBroken(reason: unknown): void;
}

/** One side of a link. */
export class BatchLink {
  readonly #port: OffloadPort;
  readonly #events: LinkEvents;
  readonly #writer = new BatchWriter();
  #unread = 0;
  #owed = 0;
  #scheduled = false;
  #acknowledging: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(port: OffloadPort, events: LinkEvents) {
    this.#port = port;
    this.#events = events;
  }

  /** Bytes that wait because the other side is behind. */
  get waiting_bytes(): number {
    return this.#writer.empty ? 0 : this.#writer.length;
  }

  /** Where the next frame is written; it leaves at the end of this turn, or when it may. */
  frames(): BatchWriter {
    this.#schedule();
    return this.#writer;
  }

  /** A batch of the other side has come. */
  receive(bytes: Uint8Array): void {
    if (this.#closed) return;
    try {
      const reader = new BatchReader(bytes);
      const acknowledged = reader.u32();
      if (acknowledged > this.#unread) throw new BatchError("more was taken than was sent");
      this.#unread -= acknowledged;
      if (!reader.atEnd) {
        this.#owed++;
        this.#events.onFrames(reader);
      }
    } catch (reason) {
      this.close();
      return this.#events.onBroken(reason);
    }
    if (!this.#writer.empty) this.#schedule();
    // The other side may not send until it hears of us, even when we may not send either.
    if (this.#owed >= BATCHES_UNREAD_MAX) this.#acknowledgeLater();
  }

  /** Sends and receives nothing any more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#acknowledging);
  }

  #acknowledgeLater(): void {
    this.#acknowledging ??= setTimeout(() => {
      this.#acknowledging = undefined;
      if (!this.#closed && this.#owed >= BATCHES_UNREAD_MAX) this.#post(emptyBatch(this.#owed));
    }, ACKNOWLEDGE_AFTER_MS);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#closed || this.#writer.empty) return;
    if (this.#unread >= BATCHES_UNREAD_MAX) return;
    this.#unread++;
    this.#post(this.#writer.take(this.#owed));
    this.#events.onFlushed();
  }

  #post(batch: Uint8Array<ArrayBuffer>): void {
    this.#owed = 0;
    this.#port.postMessage(batch, [batch.buffer]);
  }
}
