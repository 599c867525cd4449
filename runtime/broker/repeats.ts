/**
 * Answers that were given again without a record of their own are counted, and the counts are put
 * on record: after an interval, when there are many, and at the end. While that fails, nothing is
 * given again.
 *
 * @module
 */
import { BROKER_LIMITS } from "./limits.ts";

/** How often one answer was given again. */
export interface Repeat {
  /** The question, as {@linkcode Act.key} names it, or a refusal no policy was asked about. */
  readonly key: string;
  readonly result: "allow" | "deny";
  readonly count: number;
}

/** Counts of one stretch of time. */
export interface Repeats {
  readonly from_ms: number;
  readonly until_ms: number;
  readonly repeats: readonly Repeat[];
}

/** The clock and timer that counting needs. */
export interface RepeatClock {
  readonly now_ms: () => number;
  /** @returns Cancels. */
  readonly after: (delay_ms: number, run: () => void) => () => void;
}

/** Counts repeats and has them recorded. */
export class RepeatCounter {
  readonly #record: (repeats: Repeats) => Promise<void>;
  readonly #clock: RepeatClock;
  #counts = new Map<string, { key: string; result: Repeat["result"]; count: number }>();
  #from_ms = 0;
  #cancel: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();
  #failed = false;

  /** @param record Resolves once the counts are durable. */
  constructor(record: (repeats: Repeats) => Promise<void>, clock: RepeatClock) {
    this.#record = record;
    this.#clock = clock;
  }

  /** Whether counts can be put on record; while not, no answer may be given again. */
  get usable(): boolean {
    return !this.#failed;
  }

  /** Counts one repeat. */
  count(key: string, result: Repeat["result"]): void {
    const id = `${result}\0${key}`;
    const known = this.#counts.get(id);
    if (known !== undefined) {
      known.count += 1;
      return;
    }
    if (this.#counts.size === 0) this.#start();
    this.#counts.set(id, { key, result, count: 1 });
    if (this.#counts.size >= BROKER_LIMITS.counted_questions) void this.flush();
  }

  /** Puts what was counted on record. Never rejects: a failure shows in {@linkcode usable}. */
  flush(): Promise<void> {
    this.#cancel?.();
    this.#cancel = undefined;
    const repeats = [...this.#counts.values()];
    this.#counts = new Map();
    if (repeats.length === 0 && !this.#failed) return this.#writing;
    const from_ms = this.#from_ms;
    this.#writing = this.#writing.then(() => this.#write(from_ms, repeats));
    return this.#writing;
  }

  #start(): void {
    this.#from_ms = this.#clock.now_ms();
    this.#cancel = this.#clock.after(BROKER_LIMITS.count_interval_ms, () => void this.flush());
  }

  async #write(from_ms: number, repeats: readonly Repeat[]): Promise<void> {
    try {
      const until_ms = this.#clock.now_ms();
      if (repeats.length > 0) await this.#record({ from_ms, until_ms, repeats });
      this.#failed = false;
    } catch {
      this.#failed = true;
      // Not lost: counted again for the next try.
      for (const { key, result, count } of repeats) this.#putBack(key, result, count);
    }
  }

  #putBack(key: string, result: Repeat["result"], count: number): void {
    const id = `${result}\0${key}`;
    const known = this.#counts.get(id);
    if (known !== undefined) {
      known.count += count;
      return;
    }
    if (this.#counts.size === 0) this.#start();
    this.#counts.set(id, { key, result, count });
  }
}
