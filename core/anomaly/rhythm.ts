/**
 * The time of day at which an agent works: a circular histogram of active days by hour. An hour is
 * taken together with its neighbours, so that summer time moves nothing out of place.
 *
 * @module
 */
import { DAILY_DECAY } from "./drift.ts";

const HOURS = 24;
/** Actions in one hour below which its time of day is not judged. */
export const NOTICED_ACTIONS = 10;
/** Days of work that must be known. */
const DAYS_MIN = 14;
/** Share of days below which an hour counts as never worked in. */
const RARE_SHARE = 0.05;

/** A rhythm as it is kept. */
export interface RhythmState {
  readonly hours: readonly number[];
  readonly days: number;
  /** Number of the last day counted, since the Unix epoch. */
  readonly last_day: number;
}

/** Work at an unusual hour. */
export interface OffHours {
  readonly hour: number;
  /** Days on which it worked around that hour, and days it worked at all; old days count less. */
  readonly worked_days: number;
  readonly days: number;
}

/** Learns in which hours of which days an agent was active. */
export class Rhythm {
  readonly #hours: number[];
  #days: number;
  #last_day: number;
  #hour_actions = 0;

  constructor(state: RhythmState = { hours: [], days: 0, last_day: -1 }) {
    this.#hours = Array.from({ length: HOURS }, (_, hour) => state.hours[hour] ?? 0);
    this.#days = state.days;
    this.#last_day = state.last_day;
  }

  /** One action; `undefined` when the hour is usual, too quiet, or too little is known. */
  see(at_ms: number): OffHours | undefined {
    this.#hour_actions++;
    if (this.#hour_actions < NOTICED_ACTIONS || this.#days < DAYS_MIN) return undefined;
    const hour = hourOf(at_ms);
    const worked_days = Math.max(
      this.#hours[(hour + HOURS - 1) % HOURS] ?? 0,
      this.#hours[hour] ?? 0,
      this.#hours[(hour + 1) % HOURS] ?? 0,
    );
    if (worked_days >= RARE_SHARE * this.#days) return undefined;
    return { hour, worked_days, days: this.#days };
  }

  /** The hour that began at `started_ms` is over: it counts in full from the noticed number on. */
  endHour(started_ms: number): void {
    if (this.#hour_actions === 0) return;
    const day = Math.floor(started_ms / 86_400_000);
    // A clock that steps back counts no day twice.
    if (day > this.#last_day) {
      // Fourteen days must be able to gather, so days fade at half the speed of other things.
      const fade = Math.sqrt(DAILY_DECAY);
      for (const hour of this.#hours.keys()) this.#hours[hour] = (this.#hours[hour] ?? 0) * fade;
      this.#days = this.#days * fade + 1;
      this.#last_day = day;
    }
    const hour = hourOf(started_ms);
    const weight = Math.min(1, this.#hour_actions / NOTICED_ACTIONS);
    this.#hours[hour] = Math.min(this.#days, (this.#hours[hour] ?? 0) + weight);
    this.#hour_actions = 0;
  }

  /** What has to be kept of it. */
  state(): RhythmState {
    return { hours: [...this.#hours], days: this.#days, last_day: this.#last_day };
  }
}

function hourOf(at_ms: number): number {
  return Math.floor(at_ms / 3_600_000) % HOURS;
}
