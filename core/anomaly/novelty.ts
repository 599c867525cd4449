/**
 * Things never seen before: tools, hosts, programs, argument shapes. How many new ones an hour is
 * usual follows from how many were new until now, and from how many were seen exactly once: the
 * unseen mass of Good and Turing is n1/N.
 *
 * @module
 */
import { ANOMALY_LIMITS } from "./limits.ts";
import { ONE_IN_100_000, surprise } from "./statistics.ts";
import { UsualShare, type UsualShareState } from "./usual_share.ts";

/** Days after which an item that was not seen again is new once more. */
const FORGET_DAYS = 90;

/** A set of things as it is kept: item hash, 1 when seen once else 2, day last seen. */
export interface NoveltyState {
  readonly items: readonly (readonly [item: number, times: number, day: number])[];
  readonly share: UsualShareState;
}

/** More new things in this hour than usual. */
export interface NoveltyBurst {
  readonly seen: number;
  readonly usual: number;
  readonly sightings: number;
}

/** The things one agent has used, of one kind. */
export class Novelty {
  readonly #items = new Map<number, { times: number; day: number }>();
  readonly #share: UsualShare;
  readonly #items_max: number;
  readonly #burst_min: number;
  #once = 0;
  #hour_new = 0;
  #hour_sightings = 0;

  /**
   * @param items_max Things remembered.
   * @param burst_min New things in an hour below which nothing is said.
   */
  constructor(items_max: number, burst_min: number, state?: NoveltyState) {
    this.#items_max = items_max;
    this.#burst_min = burst_min;
    this.#share = new UsualShare(ANOMALY_LIMITS.warm_up_actions, state?.share);
    for (const [item, times, day] of state?.items.slice(0, items_max) ?? []) {
      this.#items.set(item, { times, day });
      if (times === 1) this.#once++;
    }
  }

  /** Things remembered now. */
  get size(): number {
    return this.#items.size;
  }

  /** Sightings learned, old ones counting less. */
  get sightings(): number {
    return this.#share.total;
  }

  /**
   * One sighting of a thing.
   *
   * @param learns False for a refused action: it is judged, and teaches nothing.
   * @param day Of the agent's own count, for forgetting.
   * @returns Whether it was new.
   */
  see(item: number, learns: boolean, day: number): boolean {
    const known = this.#items.get(item);
    this.#hour_sightings++;
    if (known === undefined) this.#hour_new++;
    if (!learns) return known === undefined;
    this.#share.learn(known === undefined ? 1 : 0, 1);
    if (known === undefined) {
      if (this.#items.size >= this.#items_max) this.#forgetOldest();
      this.#items.set(item, { times: 1, day });
      this.#once++;
      return true;
    }
    if (known.times === 1) {
      known.times = 2;
      this.#once--;
    }
    known.day = day;
    return false;
  }

  /** The present hour against what is usual; `undefined` when it is usual, or nothing is settled. */
  burst(): NoveltyBurst | undefined {
    if (this.#hour_new < this.#burst_min) return undefined;
    const share = this.#share.share;
    if (share === undefined) return undefined;
    const usual = share * this.#hour_sightings;
    if (surprise(this.#hour_new, usual) < ONE_IN_100_000) return undefined;
    return { seen: this.#hour_new, usual, sightings: this.#hour_sightings };
  }

  /** The hour is over. */
  endHour(): void {
    this.#hour_new = 0;
    this.#hour_sightings = 0;
  }

  /** A day has passed. */
  endDay(day: number): void {
    this.#share.endDay(this.#once);
    for (const [item, { times, day: seen }] of this.#items) {
      if (day - seen <= FORGET_DAYS) continue;
      this.#items.delete(item);
      if (times === 1) this.#once--;
    }
  }

  /** What has to be kept of it. */
  state(): NoveltyState {
    return {
      items: [...this.#items].map(([item, { times, day }]) => [item, times, day] as const),
      share: this.#share.state(),
    };
  }

  #forgetOldest(): void {
    let oldest: number | undefined;
    let oldest_day = Infinity;
    for (const [item, { day }] of this.#items) {
      if (day < oldest_day) [oldest, oldest_day] = [item, day];
    }
    if (oldest === undefined) return;
    if (this.#items.get(oldest)?.times === 1) this.#once--;
    this.#items.delete(oldest);
  }
}
