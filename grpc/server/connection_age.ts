/**
 * When a connection is old enough to be ended, so that its peer connects anew, perhaps elsewhere
 * (gRFC A9).
 *
 * @module
 */

import type { Bounds } from "../bounds.ts";

/** Part of the age by which connections that began together end apart. */
const JITTER = 0.1;

/** The age of one connection. */
export class ConnectionAge {
  readonly #born_ms: number;
  readonly #limit_ms: number;
  readonly #grace_ms: number;
  #said: "nothing" | "drain" | "abort" = "nothing";

  constructor(bounds: Bounds, now_ms: number) {
    this.#born_ms = now_ms;
    this.#limit_ms = bounds.max_connection_age_ms * (1 + JITTER * (2 * Math.random() - 1));
    this.#grace_ms = bounds.max_connection_age_grace_ms;
  }

  /** What is due: each end once. */
  due(now_ms: number): "nothing" | "drain" | "abort" {
    const over_ms = now_ms - this.#born_ms - this.#limit_ms;
    if (!(over_ms >= 0)) return "nothing";
    const due = over_ms < this.#grace_ms || this.#said === "nothing" ? "drain" : "abort";
    if (due === this.#said) return "nothing";
    this.#said = due;
    return due;
  }
}
