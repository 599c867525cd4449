/**
 * Time, as an argument: programs pass this one, tests pass their own.
 *
 * @module
 */

/** The three readings a decision needs. */
export interface Clock {
  /** Wall clock, milliseconds since the epoch. */
  readonly now_ms: () => number;
  /** Wall clock, nanoseconds since the epoch (millisecond resolution at least). */
  readonly now_ns: () => bigint;
  /** Monotonic, microseconds since an arbitrary start. */
  readonly monotonic_us: () => number;
}

/** The machine's clocks. */
export const SYSTEM_CLOCK: Clock = {
  now_ms: () => Date.now(),
  now_ns: () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n,
  monotonic_us: () => Math.round(performance.now() * 1000),
};
