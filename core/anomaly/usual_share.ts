/**
 * The usual share of actions that have some mark: that were refused, that went to a new host. With
 * forgetting and a brake, like `UsualLevel`.
 *
 * @module
 */
import { DAILY_DECAY, nextReference } from "./drift.ts";

/** A share as it is kept. */
export interface UsualShareState {
  readonly marked: number;
  readonly total: number;
  /** Absent until settled. */
  readonly reference?: number;
}

/** Learns how many of how many; knows the usual share once it has settled. */
export class UsualShare {
  readonly #samples_min: number;
  #marked: number;
  #total: number;
  #reference: number | undefined;

  /** @param samples_min Actions needed before the share settles, at the end of a day. */
  constructor(samples_min: number, state: UsualShareState = { marked: 0, total: 0 }) {
    this.#samples_min = samples_min;
    this.#marked = state.marked;
    this.#total = state.total;
    this.#reference = state.reference;
  }

  /** Actions seen, old ones counting less. */
  get total(): number {
    return this.#total;
  }

  /**
   * The usual share, never 0: one more mark in one more action is always thinkable (Laplace).
   * `undefined` before it has settled.
   */
  get share(): number | undefined {
    return this.#reference;
  }

  /** Takes actions in. */
  learn(marked: number, total: number): void {
    this.#marked += marked;
    this.#total += total;
  }

  /**
   * A day has passed: settle or move the share, then forget a little.
   *
   * @param also_marked Another estimate of the number of marks; the larger counts.
   */
  endDay(also_marked = 0): void {
    if (this.#total >= this.#samples_min) {
      const share = (Math.max(this.#marked, also_marked) + 1) / (this.#total + 1);
      this.#reference = nextReference(this.#reference, Math.min(1, share));
    }
    this.#marked *= DAILY_DECAY;
    this.#total *= DAILY_DECAY;
  }

  /** What has to be kept of it. */
  state(): UsualShareState {
    return {
      marked: this.#marked,
      total: this.#total,
      ...(this.#reference !== undefined && { reference: this.#reference }),
    };
  }
}
