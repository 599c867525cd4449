/**
 * The calls of a channel that have no stream: those that wait for a connection with room, in the
 * order they came, and those held back for another reason. Bounded together.
 *
 * @module
 */

import { CHANNEL_WAITING_CALLS_MAX } from "../bounds.ts";
import type { ClientCall } from "./call.ts";

/** Calls without a stream. */
export class CallQueue {
  readonly #waiting = new Set<ClientCall>();
  /** Held calls, and what gives up the reason they are held for. */
  readonly #held = new Map<ClientCall, () => void>();

  /** Whether there is none. */
  get isEmpty(): boolean {
    return this.#waiting.size === 0 && this.#held.size === 0;
  }

  /** Whether no call waits for a connection. */
  get noneWaits(): boolean {
    return this.#waiting.size === 0;
  }

  /** Whether no further call may be taken in. */
  get isFull(): boolean {
    return this.#waiting.size + this.#held.size >= CHANNEL_WAITING_CALLS_MAX;
  }

  /** Calls that wait for a connection; may change while it is walked. */
  waiting(): Iterable<ClientCall> {
    return this.#waiting;
  }

  /** Lets a call wait for a connection. */
  add(call: ClientCall): void {
    this.#waiting.add(call);
  }

  /** Holds a call back until {@linkcode release}; `giveUp` runs when it ends before. */
  hold(call: ClientCall, giveUp: () => void): void {
    this.#held.set(call, giveUp);
  }

  /** Ends {@linkcode hold}; false when the call has ended meanwhile. */
  release(call: ClientCall): boolean {
    return this.#held.delete(call);
  }

  /** Takes a call out that has ended, or waits no longer; false when it was not in. */
  remove(call: ClientCall): boolean {
    if (this.#waiting.delete(call)) return true;
    const giveUp = this.#held.get(call);
    if (giveUp === undefined) return false;
    this.#held.delete(call);
    giveUp();
    return true;
  }

  /** Every call, as they are now. */
  all(): ClientCall[] {
    return [...this.#waiting, ...this.#held.keys()];
  }
}
