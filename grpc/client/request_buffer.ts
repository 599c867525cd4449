/**
 * The requests of a streamed call: those still to be sent, and those sent as long as the call may
 * have to be sent anew.
 *
 * @module
 */

import { CALL_RETRY_BUFFER_BYTES } from "../bounds.ts";
import type { OutgoingMessage } from "../compression.ts";

/** Requests of one call, in order. */
export class RequestBuffer {
  readonly #messages: OutgoingMessage[] = [];
  /** Index of the first message not sent on the current stream. */
  #next = 0;
  #kept_bytes = 0;
  #keeps = true;
  #complete = false;

  /** Whether some message waits to be sent. */
  get hasUnsent(): boolean {
    return this.#next < this.#messages.length;
  }

  /** Whether no message follows those that are there. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Adds a message; false when more than the bound would have to be kept for another attempt. */
  add(message: OutgoingMessage): boolean {
    this.#messages.push(message);
    if (this.#keeps) this.#kept_bytes += message.length;
    return this.#kept_bytes <= CALL_RETRY_BUFFER_BYTES;
  }

  /** No message follows. */
  end(): void {
    this.#complete = true;
  }

  /** The next message for the current stream. */
  take(): OutgoingMessage | undefined {
    const message = this.#messages[this.#next];
    if (message === undefined) return undefined;
    if (this.#keeps) this.#next++;
    else this.#messages.shift();
    return message;
  }

  /** Begins again with the first message, for a new stream. */
  rewind(): void {
    this.#next = 0;
  }

  /** There will be no further attempt: drops what was kept for one. */
  release(): void {
    if (!this.#keeps) return;
    this.#keeps = false;
    this.#kept_bytes = 0;
    this.#messages.splice(0, this.#next);
    this.#next = 0;
  }
}
