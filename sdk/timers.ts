/**
 * Time as the transports see it: passed in, so that tests need not wait.
 *
 * @module
 */

/** Clock and timers. */
export interface Timers {
  /** Monotonic, milliseconds. */
  readonly now_ms: () => number;
  /** Runs `work` once after a time; the returned function cancels it. */
  readonly after: (delay_ms: number, work: () => void) => () => void;
}

/** The process's own. */
export const SYSTEM_TIMERS: Timers = {
  now_ms: () => performance.now(),
  after: (delay_ms, work) => {
    const timer = setTimeout(work, delay_ms);
    return () => clearTimeout(timer);
  },
};
