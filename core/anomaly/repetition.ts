/**
 * The same call again and again: a few counters for the calls repeated most. Each counter ends
 * after its window, unlike the reference's, which never expire while an agent is active.
 *
 * @module
 */
import { ANOMALY_LIMITS } from "./limits.ts";

const WINDOW_MS = 300_000;

interface Repeated {
  call: number;
  times: number;
  started_ms: number;
}

/** Counts identical calls of one agent. Nothing of it is kept over a restart. */
export class Repetition {
  readonly #calls: Repeated[] = [];

  /**
   * One call.
   *
   * @param call Hash of tool and arguments.
   * @returns How often this very call was made in its running window.
   */
  see(call: number, now_ms: number): number {
    let spare: Repeated | undefined;
    for (const one of this.#calls) {
      const runs = now_ms - one.started_ms;
      const ended = runs >= WINDOW_MS || runs < 0;
      if (one.call === call) {
        if (ended) [one.times, one.started_ms] = [0, now_ms];
        return ++one.times;
      }
      if (ended) one.times = 0;
      if (spare === undefined || one.times < spare.times) spare = one;
    }
    if (spare === undefined || this.#calls.length < ANOMALY_LIMITS.repeated_calls) {
      this.#calls.push({ call, times: 1, started_ms: now_ms });
    } else {
      [spare.call, spare.times, spare.started_ms] = [call, 1, now_ms];
    }
    return 1;
  }
}
