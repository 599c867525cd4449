/**
 * Time that passes only when the fuzzer says so: timers fire in order, sessions repeat exactly, and
 * a timer left behind is seen.
 *
 * @module
 */

import { setImmediate } from "node:timers";

const EPOCH_MS = 1_700_000_000_000;

interface Timer {
  readonly fire: () => void;
  readonly every_ms: number | undefined;
  due_ms: number;
}

/** Lets every microtask run; nothing in a session waits for anything else but the clock. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Replaces the global timers and clocks. */
export class VirtualClock {
  readonly #timers = new Map<number, Timer>();
  readonly #real = {
    setTimeout: globalThis.setTimeout,
    setInterval: globalThis.setInterval,
    clearTimeout: globalThis.clearTimeout,
    clearInterval: globalThis.clearInterval,
    dateNow: Date.now,
    performanceNow: performance.now,
  };
  #next_id = 1;
  #now_ms = 0;

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size;
  }

  get now_ms(): number {
    return this.#now_ms;
  }

  /** Real milliseconds, for budgets of the fuzzer itself. */
  wall_ms(): number {
    return this.#real.performanceNow.call(performance);
  }

  install(): void {
    const start = (every: boolean) => (fire: () => void, wait_ms = 0) => {
      const id = this.#next_id++;
      // Whole milliseconds and at least one, as the platform's own.
      const whole_ms = Math.max(1, Math.trunc(wait_ms) || 0);
      const due_ms = this.#now_ms + whole_ms;
      this.#timers.set(id, { fire, due_ms, every_ms: every ? whole_ms : undefined });
      return id;
    };
    const clear = (id: number | undefined) => void this.#timers.delete(id ?? 0);
    Object.assign(globalThis, {
      setTimeout: start(false),
      setInterval: start(true),
      clearTimeout: clear,
      clearInterval: clear,
    });
    Date.now = () => EPOCH_MS + Math.floor(this.#now_ms);
    performance.now = () => this.#now_ms;
  }

  uninstall(): void {
    const { dateNow, performanceNow, ...timers } = this.#real;
    Object.assign(globalThis, timers);
    Date.now = dateNow;
    performance.now = performanceNow;
  }

  /** Forgets every timer; a new session begins. */
  reset(): void {
    this.#timers.clear();
    this.#now_ms = 0;
    this.#next_id = 1;
  }

  /** Lets `ms` pass; stops early when `until` is met. */
  async advance(ms: number, until: () => boolean = () => false): Promise<void> {
    const end_ms = this.#now_ms + ms;
    while (!until()) {
      const next = this.#nextDue(end_ms);
      if (next === undefined) {
        this.#now_ms = end_ms;
        return;
      }
      const [id, timer] = next;
      this.#now_ms = Math.max(this.#now_ms, timer.due_ms);
      if (timer.every_ms === undefined) this.#timers.delete(id);
      else timer.due_ms = this.#now_ms + timer.every_ms;
      timer.fire();
      await settle();
    }
  }

  #nextDue(end_ms: number): [number, Timer] | undefined {
    let found: [number, Timer] | undefined;
    for (const entry of this.#timers) {
      if (entry[1].due_ms > end_ms) continue;
      if (found === undefined || entry[1].due_ms < found[1].due_ms) found = entry;
    }
    return found;
  }
}
