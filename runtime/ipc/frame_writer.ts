/**
 * Writes to one connection: whatever is ready goes into one buffer and one write, and a write that
 * the kernel took only in part is continued.
 *
 * @module
 */
import { encodeFrame, frameBytes, putFrame } from "../../proto/ipc/mod.ts";
import { IPC_ROOM_LIMITS } from "./limits.ts";
import type { OutFrame } from "./reply_queue.ts";

/** The part of a connection that is written to. */
export interface Writable {
  write(bytes: Uint8Array): Promise<number>;
}

/** One writer a connection; one write at a time. */
export class FrameWriter {
  readonly #connection: Writable;
  readonly #next: () => OutFrame | undefined;
  readonly #written: () => void;
  readonly #failed: () => void;
  readonly #now_us: () => number;
  /** Made when several frames are ready at once: a peer that never asks needs none. */
  #buffer: Uint8Array | undefined;
  #busy = false;
  #scheduled = false;
  /** When the write in flight began; absent while there is none. */
  writing_since_us: number | undefined;

  /**
   * @param parts `next` gives the next ready frame; `written` is told after each write and
   * when nothing more is ready, `failed` when the connection takes no more.
   */
  constructor(parts: {
    readonly connection: Writable;
    readonly next: () => OutFrame | undefined;
    readonly written: () => void;
    readonly failed: () => void;
    readonly now_us: () => number;
  }) {
    this.#connection = parts.connection;
    this.#next = parts.next;
    this.#written = parts.written;
    this.#failed = parts.failed;
    this.#now_us = parts.now_us;
  }

  /** Whether a write is in flight or about to begin. */
  get busy(): boolean {
    return this.#busy || this.#scheduled;
  }

  /** Something may be ready. What becomes ready in the same turn goes into the same write. */
  wake(): void {
    if (this.#busy || this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#busy) this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#busy = true;
    try {
      for (let frame = this.#next(); frame !== undefined;) {
        frame = await this.#writeFrom(frame);
        this.#written();
        frame ??= this.#next();
      }
    } catch {
      this.#failed();
    } finally {
      this.#busy = false;
      this.writing_since_us = undefined;
      this.#written();
    }
  }

  /** Writes a frame and what fits behind it. Returns the first that did not fit. */
  async #writeFrom(first: OutFrame): Promise<OutFrame | undefined> {
    let frame = this.#next();
    if (frame === undefined || frameBytes(first.body.length) > IPC_ROOM_LIMITS.write_bytes) {
      await this.#writeAll(encodeFrame(first.tag, first.body));
      return frame;
    }
    const buffer = this.#buffer ??= new Uint8Array(IPC_ROOM_LIMITS.write_bytes);
    let at = putFrame(buffer, 0, first.tag, first.body);
    while (frame !== undefined && at + frameBytes(frame.body.length) <= buffer.length) {
      at = putFrame(buffer, at, frame.tag, frame.body);
      frame = this.#next();
    }
    await this.#writeAll(buffer.subarray(0, at));
    return frame;
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      this.writing_since_us = this.#now_us();
      const taken = await this.#connection.write(rest);
      if (taken === 0) throw new Error("the connection took no byte");
      rest = rest.subarray(taken);
    }
    this.writing_since_us = undefined;
  }
}
