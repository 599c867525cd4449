/**
 * A `node:net` or `node:tls` socket as a {@linkcode Transport}. Used where Deno's own sockets lack
 * something: client certificates on a server, SO_REUSEPORT without an unstable flag.
 *
 * @module
 */

import type { Socket } from "node:net";
import type { Transport } from "./http2/transport.ts";

/** Reads by pull, so a peer is held back by the socket's own buffer. */
export class NodeTransport implements Transport {
  readonly #socket: Socket;
  #rest: Uint8Array | undefined;
  #ended = false;
  #failure: unknown;
  #closed = false;
  #wakeReader: (() => void) | undefined;
  #rejectWriter: ((reason: unknown) => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("readable", () => this.#wake());
    socket.on("end", () => {
      this.#ended = true;
      this.#wake();
    });
    socket.on("error", (reason: unknown) => this.#fail(reason));
    socket.on("close", () => this.#fail(new Error("the socket is closed")));
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    for (;;) {
      if (this.#rest !== undefined) return this.#copyRest(this.#rest, buffer);
      if (this.#closed) throw this.#failure;
      const chunk: unknown = this.#socket.read();
      if (chunk instanceof Uint8Array && chunk.length > 0) {
        this.#rest = chunk;
        continue;
      }
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#wakeReader = resolve);
    }
  }

  write(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(this.#failure);
      this.#rejectWriter = reject;
      this.#socket.write(bytes, (reason?: Error | null) => {
        this.#rejectWriter = undefined;
        if (reason) reject(reason);
        else resolve(bytes.length);
      });
    });
  }

  closeWrite(): Promise<void> {
    this.#socket.end();
    return Promise.resolve();
  }

  close(): void {
    this.#fail(new Error("the socket is closed"));
    this.#socket.destroy();
  }

  #copyRest(rest: Uint8Array, buffer: Uint8Array): number {
    const count = Math.min(rest.length, buffer.length);
    buffer.set(rest.subarray(0, count));
    this.#rest = count === rest.length ? undefined : rest.subarray(count);
    return count;
  }

  #fail(reason: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#failure = reason;
    this.#rejectWriter?.(reason);
    this.#wake();
  }

  #wake(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = undefined;
    wake?.();
  }
}
