/**
 * How often a client may ask whether the server is there (gRFC A8, "Server-side").
 *
 * @module
 */

import type { Bounds } from "../bounds.ts";

/** Counts the PING frames of one connection that came too soon. */
export class PingPolicy {
  readonly #bounds: Bounds;
  #last_ms = Number.NEGATIVE_INFINITY;
  #frames_at_last = 0;
  #strikes = 0;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  /**
   * Judges a PING.
   *
   * @param frames_sent HEADERS and DATA we have sent so far
   * @returns whether the peer has had its last strike
   */
  isTooMany(now_ms: number, frames_sent: number, has_calls: boolean): boolean {
    const since_ms = now_ms - this.#last_ms;
    this.#last_ms = now_ms;
    // What we sent may be what the peer asks about: a measure of bandwidth, or a call just ended.
    if (frames_sent !== this.#frames_at_last) {
      this.#frames_at_last = frames_sent;
      this.#strikes = 0;
      return false;
    }
    const { min_ping_interval_ms, min_ping_interval_without_calls_ms, ping_strikes } = this.#bounds;
    const interval_ms = has_calls ? min_ping_interval_ms : min_ping_interval_without_calls_ms;
    return since_ms < interval_ms && ++this.#strikes > ping_strikes;
  }
}
