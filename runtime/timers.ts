/**
 * Time, as an argument of the rooms that wait: programs pass the machine's, tests their own.
 *
 * @module
 */

/** What a room may know of time, and how it may wait. */
export interface Timers {
  /** Wall clock, milliseconds since the epoch; may jump both ways. */
  readonly now_ms: () => number;
  /** Microseconds since an arbitrary start; never goes back. */
  readonly monotonic_us: () => number;
  /** Resolves after `ms`, or at once when the signal is aborted; never rejects. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** The machine's clocks. */
export const SYSTEM_TIMERS: Timers = {
  now_ms: () => Date.now(),
  monotonic_us: () => Math.round(performance.now() * 1000),
  sleep: (ms, signal) => {
    if (signal.aborted) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
    return promise;
  },
};
