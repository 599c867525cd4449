/**
 * Answers that may be given again: within one policy epoch, least recently used first out.
 *
 * @module
 */
import { BROKER_LIMITS } from "./limits.ts";
import type { Verdict } from "./protocol.ts";

/** One kept answer. */
export interface KeptAnswer {
  readonly verdict: Verdict;
  /** Times this was decided and recorded on its own, within the epoch. */
  recorded: number;
}

/** A bounded cache, emptied whenever the epoch changes or there is none. */
export class AnswerCache {
  #epoch: number | undefined;
  readonly #kept = new Map<string, KeptAnswer>();

  /** Answers kept now. */
  get size(): number {
    return this.#kept.size;
  }

  /** The answer of `key` within `epoch`. */
  get(epoch: number | undefined, key: string): KeptAnswer | undefined {
    this.#enter(epoch);
    const answer = this.#kept.get(key);
    if (answer === undefined) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, answer);
    return answer;
  }

  /** Keeps an answer that was decided within `epoch`; counts how often it was. */
  set(epoch: number | undefined, key: string, verdict: Verdict): void {
    this.#enter(epoch);
    if (epoch === undefined) return;
    const recorded = (this.#kept.get(key)?.recorded ?? 0) + 1;
    this.#kept.delete(key);
    this.#kept.set(key, { verdict, recorded });
    if (this.#kept.size <= BROKER_LIMITS.cached_answers) return;
    for (const oldest of this.#kept.keys()) {
      this.#kept.delete(oldest);
      break;
    }
  }

  #enter(epoch: number | undefined): void {
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    this.#kept.clear();
  }
}
