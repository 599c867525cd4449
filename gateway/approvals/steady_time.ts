/**
 * Time that never goes back, for what expires: the wall clock, except that a step back is answered by
 * going on at the machine's pace. A step forward is believed; it can only end a permission early.
 *
 * @module
 */
import type { Clock } from "../clock.ts";

/** A clock for expiry. */
export class SteadyTime {
  readonly #clock: Pick<Clock, "now_ms" | "monotonic_us">;
  #last_ms: number;
  #last_us: number;

  /** @param floor_ms The latest moment known from before the start: time begins no earlier. */
  constructor(clock: Pick<Clock, "now_ms" | "monotonic_us">, floor_ms = 0) {
    this.#clock = clock;
    this.#last_us = clock.monotonic_us();
    this.#last_ms = Math.max(floor_ms, clock.now_ms());
  }

  /** Milliseconds since the epoch; never less than an earlier answer. */
  now_ms(): number {
    const us = this.#clock.monotonic_us();
    const passed_ms = Math.max(0, us - this.#last_us) / 1_000;
    const wall_ms = this.#clock.now_ms();
    const least_ms = this.#last_ms + passed_ms;
    this.#last_ms = Number.isFinite(wall_ms) ? Math.max(wall_ms, least_ms) : least_ms;
    this.#last_us = us;
    return Math.floor(this.#last_ms);
  }
}
