/**
 * The usual upper level of a quantity: the 99th percentile of what was seen, with forgetting and a
 * brake. Distribution-free, because calls, prices and findings follow none; robust, because one
 * value moves a percentile by one value's weight, however large it is.
 *
 * @module
 */
import { DAILY_DECAY, nextReference } from "./drift.ts";

/** Two steps of the histogram to an octave: a level is at most 42 % too high, never too low. */
const STEPS_PER_OCTAVE = 2;
/** Largest value told apart: 2^47 micro-dollars are 140 million dollars. */
const STEP_MAX = 47 * STEPS_PER_OCTAVE;
const QUANTILE = 0.99;
/** Weight below which an old bar of the histogram is forgotten. */
const WEIGHT_MIN = 1e-3;

/** A level as it is kept. */
export interface UsualLevelState {
  readonly weights: readonly number[];
  /** Absent until settled. */
  readonly reference?: number;
}

/** Learns values above zero; knows the usual upper level once it has settled. */
export class UsualLevel {
  readonly #samples_min: number;
  #weights: number[];
  #reference: number | undefined;

  /** @param samples_min Values needed before the level settles, at the end of a day. */
  constructor(samples_min: number, state: UsualLevelState = { weights: [] }) {
    this.#samples_min = samples_min;
    this.#weights = [...state.weights];
    this.#reference = state.reference;
  }

  /** The usual upper level; `undefined` before it has settled. Changes only from day to day. */
  get level(): number | undefined {
    return this.#reference;
  }

  /** Takes a value in; values of 0 and below say nothing about the upper level. */
  learn(value: number): void {
    if (!(value > 0)) return;
    const step = Math.min(STEP_MAX, Math.max(0, Math.ceil(Math.log2(value) * STEPS_PER_OCTAVE)));
    while (this.#weights.length <= step) this.#weights.push(0);
    this.#weights[step] = (this.#weights[step] ?? 0) + 1;
  }

  /** A day has passed: settle or move the level, then forget a little. */
  endDay(): void {
    const total = this.#weights.reduce((sum, weight) => sum + weight, 0);
    if (total >= this.#samples_min) {
      this.#reference = nextReference(this.#reference, this.#quantile(total));
    }
    this.#weights = this.#weights.map((weight) => weight < WEIGHT_MIN ? 0 : weight * DAILY_DECAY);
    while (this.#weights.length > 0 && this.#weights.at(-1) === 0) this.#weights.pop();
  }

  /** What has to be kept of it. */
  state(): UsualLevelState {
    return {
      weights: [...this.#weights],
      ...(this.#reference !== undefined && { reference: this.#reference }),
    };
  }

  #quantile(total: number): number {
    let above = total * (1 - QUANTILE);
    for (let step = this.#weights.length - 1; step > 0; step--) {
      above -= this.#weights[step] ?? 0;
      if (above < 0) return 2 ** (step / STEPS_PER_OCTAVE);
    }
    return 1;
  }
}
