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
  /** The same, without keeping the process from ending. */
  readonly background: (delay_ms: number, work: () => void) => () => void;
}

/** The process's own. */
export const SYSTEM_TIMERS: Timers = {
  now_ms: () => performance.now(),
  after: (delay_ms, work) => {
    const timer = setTimeout(work, delay_ms);
    return () => clearTimeout(timer);
  },
  background: (delay_ms, work) => {
    const timer: unknown = setTimeout(work, delay_ms);
    unref(timer);
    return () => clearTimeout(timer as number);
  },
};

/** Node and Bun have objects for timers, Deno has numbers, a browser ends when its page does. */
function unref(timer: unknown): void {
  if (typeof timer === "object" && timer !== null) {
    const method: unknown = Reflect.get(timer, "unref");
    if (typeof method === "function") method.call(timer);
    return;
  }
  const deno: unknown = Reflect.get(globalThis, "Deno");
  if (typeof deno !== "object" || deno === null) return;
  const method: unknown = Reflect.get(deno, "unrefTimer");
  if (typeof method === "function") method(timer);
}
