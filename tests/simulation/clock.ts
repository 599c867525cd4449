/**
 * The gateway's clocks: the monotonic one follows simulated time, the wall clock may be set to
 * anything by its owner, backwards too, and starts near a change of daylight saving time.
 *
 * @module
 */
import type { Clock } from "../../gateway/clock.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";

const HOUR_MS = 3_600_000;
/** Changes of New York, Berlin and Sydney, the end of a month and of a year. */
const STARTS = [
  "2026-03-08T07:00:00Z",
  "2026-11-01T06:00:00Z",
  "2026-03-29T01:00:00Z",
  "2026-10-25T01:00:00Z",
  "2026-10-03T16:00:00Z",
  "2026-02-28T23:59:00Z",
  "2026-12-31T23:59:00Z",
  "2028-02-29T12:00:00Z",
];

/** One wall clock and one monotonic clock. */
export class SimulatedClock implements Clock {
  #offset_ms: number;
  readonly #random: Random;
  readonly #scheduler: Scheduler;

  constructor(random: Random, scheduler: Scheduler) {
    this.#random = random;
    this.#scheduler = scheduler;
    this.#offset_ms = Date.parse(random.pick(STARTS)) - random.below(2 * HOUR_MS);
  }

  readonly now_ms = (): number => this.#offset_ms + Math.floor(this.#scheduler.now_us / 1000);

  readonly now_ns = (): bigint =>
    BigInt(this.#offset_ms) * 1_000_000n + BigInt(this.#scheduler.now_us) * 1_000n;

  readonly monotonic_us = (): number => this.#scheduler.now_us;

  /** Sets the wall clock wrong, or right again; returns by how much. */
  jump(): number {
    const by = this.#random.pick([1, 60, 3_600, 90_000]) * this.#random.between(1, 1_000);
    const jump_ms = this.#random.chance(0.5) ? by : -by;
    this.#offset_ms += jump_ms;
    return jump_ms;
  }
}
