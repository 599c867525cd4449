/**
 * Frames waiting for the socket: everything written during one batch leaves in one write, and
 * whatever is written while a write is under way leaves in the next.
 *
 * @module
 */

import { FRAME_HEADER_BYTES, putFrameHeader, putUint32 } from "./frames.ts";
import type { Transport } from "./transport.ts";

const INITIAL_BYTES = 16 * 1024;
/** A buffer grown beyond this is given back to the collector once it is written. */
const KEPT_BYTES = 1024 * 1024;

/** The outgoing half of a connection. */
export class Output {
  /** Bytes not yet handed to the socket; valid up to {@linkcode length}. */
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(INITIAL_BYTES);
  length = 0;
  /** Grows with every byte the socket takes: a watcher sees a stall by its standing still. */
  progress = 0;

  readonly #transport: Transport;
  readonly #onDrained: () => void;
  readonly #onFailure: (reason: unknown) => void;
  #spare: Uint8Array<ArrayBuffer> | undefined;
  #in_flight_bytes = 0;
  #trimmed_at = 0;
  #writing = false;
  #scheduled = false;
  #held = false;
  #closed = false;
  #idle_waiters: (() => void)[] = [];

  /**
   * @param onDrained called after each completed write, with room for more
   * @param onFailure called once when the socket refuses
   */
  constructor(
    transport: Transport,
    onDrained: () => void,
    onFailure: (reason: unknown) => void,
  ) {
    this.#transport = transport;
    this.#onDrained = onDrained;
    this.#onFailure = onFailure;
  }

  /** Whether a write is under way. */
  get writing(): boolean {
    return this.#writing;
  }

  /** Bytes waiting, with those of the write under way. */
  get waiting_bytes(): number {
    return this.length + this.#in_flight_bytes;
  }

  /** Makes room for `count` bytes and returns where they go; the caller fills all of them. */
  reserve(count: number): number {
    // After close, what is written goes nowhere and must not pile up.
    const offset = this.#closed ? 0 : this.length;
    if (offset + count > this.bytes.length) {
      const grown = new Uint8Array(Math.max(this.bytes.length * 2, offset + count));
      grown.set(this.bytes.subarray(0, offset));
      this.bytes = grown;
    }
    this.length = offset + count;
    if (!this.#scheduled && !this.#held && !this.#closed) this.#schedule();
    return offset;
  }

  /** Appends a frame. */
  frame(type: number, flags: number, stream_id: number, payload: Uint8Array): void {
    const offset = this.reserve(FRAME_HEADER_BYTES + payload.length);
    putFrameHeader(this.bytes, offset, payload.length, type, flags, stream_id);
    this.bytes.set(payload, offset + FRAME_HEADER_BYTES);
  }

  /** Appends a frame whose payload is one 32-bit number. */
  frameOfUint32(type: number, stream_id: number, value: number): void {
    const offset = this.reserve(FRAME_HEADER_BYTES + 4);
    putFrameHeader(this.bytes, offset, 4, type, 0, stream_id);
    putUint32(this.bytes, offset + FRAME_HEADER_BYTES, value);
  }

  /** Collects what is appended until {@linkcode release}: one write for a batch of frames. */
  hold(): void {
    this.#held = true;
  }

  /** Ends {@linkcode hold} and starts writing what was collected. */
  release(): void {
    this.#held = false;
    if (this.length > 0 && !this.#writing) this.#write();
  }

  /** Resolves when nothing waits any more, or the output is closed. */
  whenIdle(): Promise<void> {
    if (this.#closed || (this.length === 0 && !this.#writing)) return Promise.resolve();
    return new Promise((resolve) => this.#idle_waiters.push(resolve));
  }

  /**
   * Gives back buffers that have grown, once nothing was written since the last time; called at a
   * steady pace.
   */
  trim(): void {
    const idle = this.progress === this.#trimmed_at && this.length === 0 && !this.#writing;
    this.#trimmed_at = this.progress;
    if (!idle) return;
    this.#spare = undefined;
    if (this.bytes.length > INITIAL_BYTES) this.bytes = new Uint8Array(INITIAL_BYTES);
  }

  /** Drops what waits and writes nothing any more. */
  close(): void {
    this.#closed = true;
    this.length = 0;
    this.#wakeIdle();
  }

  #schedule(): void {
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#held && !this.#writing && this.length > 0) this.#write();
    });
  }

  async #write(): Promise<void> {
    this.#writing = true;
    try {
      while (this.length > 0 && !this.#closed) {
        const bytes = this.bytes;
        const length = this.length;
        this.bytes = this.#spare ?? new Uint8Array(INITIAL_BYTES);
        this.#spare = undefined;
        this.length = 0;
        this.#in_flight_bytes = length;
        for (let written = 0; written < length;) {
          const count = await this.#transport.write(bytes.subarray(written, length));
          written += count;
          this.progress += count;
          this.#in_flight_bytes = length - written;
        }
        if (bytes.length <= KEPT_BYTES) this.#spare = bytes;
        this.#onDrained();
      }
    } catch (reason) {
      this.close();
      this.#onFailure(reason);
    } finally {
      this.#writing = false;
      this.#in_flight_bytes = 0;
      if (this.length === 0 || this.#closed) this.#wakeIdle();
    }
  }

  #wakeIdle(): void {
    const waiters = this.#idle_waiters;
    if (waiters.length === 0) return;
    this.#idle_waiters = [];
    for (const wake of waiters) wake();
  }
}
