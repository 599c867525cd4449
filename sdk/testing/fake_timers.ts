/**
 * Time that moves when a test says so.
 *
 * @module
 */
import type { Timers } from "../timers.ts";

/** Timers that run on {@linkcode FakeTimers.advance}. */
export class FakeTimers implements Timers {
  #now_ms = 0;
  #due: { at_ms: number; work: () => void }[] = [];

  readonly now_ms = (): number => this.#now_ms;

  readonly after = (delay_ms: number, work: () => void): () => void => {
    const entry = { at_ms: this.#now_ms + delay_ms, work };
    this.#due.push(entry);
    return () => this.#due = this.#due.filter((one) => one !== entry);
  };

  readonly background = this.after;

  /** Timers that wait. */
  get waiting(): number {
    return this.#due.length;
  }

  /** Runs what is due by then, in order. */
  advance(ms: number): void {
    this.#now_ms += ms;
    const due = this.#due.filter(({ at_ms }) => at_ms <= this.#now_ms)
      .sort((a, b) => a.at_ms - b.at_ms);
    this.#due = this.#due.filter(({ at_ms }) => at_ms > this.#now_ms);
    for (const { work } of due) work();
  }
}
