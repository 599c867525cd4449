/**
 * A byte stream in memory that behaves as badly as a socket may: short reads, partial writes,
 * writes that hang or fail, ends and resets at any point.
 *
 * @module
 */

import type { Random } from "../random.ts";
import { InvariantError } from "./invariant.ts";
import type { Session } from "./session.ts";

/** Reads of a few bytes each; later ones are whole, or large sessions would take for ever. */
const SMALL_READS_MAX = 600;

/** Who watches what passes. */
export interface SocketWatcher {
  /** Bytes the endpoint has taken, valid during the call; it handles them before its next read. */
  onTaken(bytes: Uint8Array): void;
  /** Bytes the endpoint has sent, valid during the call. */
  onSent(bytes: Uint8Array): void;
  /** The endpoint broke a rule of the byte stream itself. */
  onMisuse(error: InvariantError): void;
}

/** The endpoint's side offers what `Deno.Conn` does; the other side is the fuzzer's. */
export class SimulatedSocket {
  readonly remoteAddr: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 2 };
  readonly localAddr: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
  /** The endpoint closed it. */
  closed = false;
  /** The endpoint ended its direction. */
  writeEnded = false;
  /** The peer ended its direction, or the connection broke. */
  peerGone = false;

  readonly #watcher: SocketWatcher;
  readonly #random: Random;
  readonly #reads: Session["reads"];
  readonly #writes: Session["writes"];
  #chunks: Uint8Array[] = [];
  #head = 0;
  #small_reads = 0;
  #broken = false;
  #stalled = false;
  #write_fails = false;
  #reading = false;
  #writing = false;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  constructor(watcher: SocketWatcher, random: Random, session: Session) {
    this.#watcher = watcher;
    this.#random = random;
    this.#reads = session.reads;
    this.#writes = session.writes;
  }

  // The endpoint's side

  setNoDelay(): void {}

  async read(buffer: Uint8Array): Promise<number | null> {
    if (this.#reading) this.#misuse("two reads at once");
    if (buffer.length === 0) this.#misuse("a read into an empty buffer");
    this.#reading = true;
    try {
      for (;;) {
        if (this.closed) throw new Deno.errors.BadResource("closed");
        if (this.#broken) throw new Deno.errors.ConnectionReset("reset");
        const chunk = this.#chunks[0];
        if (chunk !== undefined) return this.#take(chunk, buffer);
        if (this.peerGone) return null;
        await new Promise<void>((resolve) => this.#wakeReader = resolve);
      }
    } finally {
      this.#reading = false;
    }
  }

  async write(bytes: Uint8Array): Promise<number> {
    if (this.#writing) this.#misuse("two writes at once");
    if (this.writeEnded) this.#misuse("a write after the end");
    if (bytes.length === 0) this.#misuse("a write of nothing");
    this.#writing = true;
    try {
      await undefined;
      while (this.#stalled && !this.closed && !this.#broken) {
        await new Promise<void>((resolve) => this.#wakeWriter = resolve);
      }
      if (this.closed) throw new Deno.errors.BadResource("closed");
      if (this.#broken || this.#write_fails) throw new Deno.errors.BrokenPipe("broken");
      const count = this.#writes === "whole" || this.#random.chance(0.5)
        ? bytes.length
        : this.#random.between(1, bytes.length);
      // Looked at only now: whoever changes bytes under a write in flight is found out.
      this.#watcher.onSent(bytes.subarray(0, count));
      return count;
    } finally {
      this.#writing = false;
    }
  }

  closeWrite(): Promise<void> {
    if (this.closed) return Promise.reject(new Deno.errors.BadResource("closed"));
    this.writeEnded = true;
    return Promise.resolve();
  }

  close(): void {
    if (this.closed) throw new Deno.errors.BadResource("closed");
    this.closed = true;
    this.#wake();
  }

  // The fuzzer's side

  feed(bytes: Uint8Array): void {
    if (!this.peerGone && bytes.length > 0) this.#chunks.push(bytes);
    this.#wakeReader?.();
  }

  end(): void {
    this.peerGone = true;
    this.#wake();
  }

  break(): void {
    this.#broken = true;
    this.peerGone = true;
    this.#wake();
  }

  stall(): void {
    this.#stalled = true;
  }

  flow(): void {
    this.#stalled = false;
    this.#wake();
  }

  failWrite(): void {
    this.#write_fails = true;
  }

  /** Whether bytes were fed that the endpoint has not taken. */
  get hasUnread(): boolean {
    return this.#chunks.length > 0;
  }

  #take(chunk: Uint8Array, buffer: Uint8Array): number {
    let count = Math.min(chunk.length - this.#head, buffer.length);
    if (this.#reads === "bytes" && this.#small_reads++ < SMALL_READS_MAX) {
      count = Math.min(count, this.#random.between(1, 3));
    } else if (this.#reads !== "whole" && this.#random.chance(0.5)) {
      count = this.#random.between(1, count);
    }
    buffer.set(chunk.subarray(this.#head, this.#head + count));
    this.#head += count;
    if (this.#head === chunk.length) {
      this.#chunks.shift();
      this.#head = 0;
    }
    this.#watcher.onTaken(buffer.subarray(0, count));
    return count;
  }

  #misuse(text: string): never {
    const error = new InvariantError(text);
    this.#watcher.onMisuse(error);
    throw error;
  }

  #wake(): void {
    this.#wakeReader?.();
    this.#wakeWriter?.();
  }
}
