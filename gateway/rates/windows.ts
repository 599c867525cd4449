/**
 * Rate windows over a restart: what was taken stays taken.
 *
 * @module
 */
import type { RateBuckets, RateBucketState } from "../../core/policy/rate_limit.ts";
import type { Mutation, StateStore } from "../../storage/sqlite/records.ts";
import { RATE_ROOM_LIMITS } from "./limits.ts";

const HOUR_MS = 3_600_000;

/** What keeping windows needs. */
export interface RateWindowsOptions {
  readonly store: Pick<StateStore, "commit" | "records">;
  readonly buckets: RateBuckets;
  readonly now_ms: () => number;
  /** Removes credentials: a name that it changes is not stored. */
  readonly redact: (text: string) => string;
}

/** Keeps the buckets of the engine in the store. */
export class RateWindows {
  readonly #on: RateWindowsOptions;
  /** What the store has, by record key. */
  readonly #stored = new Map<string, string>();
  readonly #damaged = new Map<string, string>();
  #failures = 0;
  #writing: Promise<void> = Promise.resolve();

  private constructor(on: RateWindowsOptions) {
    this.#on = on;
  }

  /**
   * Puts every stored window back into the buckets. One that cannot be read counts as used up and
   * fills again within an hour; one whose very name cannot be read is only named.
   */
  static async open(on: RateWindowsOptions): Promise<RateWindows> {
    const windows = new RateWindows(on);
    for await (const page of on.store.records("rate_windows")) {
      for (const { key, value } of page) windows.#restore(key, value);
    }
    return windows;
  }

  /** How they stand. */
  status(): {
    readonly stored: number;
    readonly failures: number;
    readonly damaged: ReadonlyMap<string, string>;
  } {
    return { stored: this.#stored.size, failures: this.#failures, damaged: this.#damaged };
  }

  /** Writes what changed, a bounded number of windows. */
  tick(): Promise<void> {
    return this.#write(RATE_ROOM_LIMITS.written_windows);
  }

  /** Writes all that changed. */
  close(): Promise<void> {
    return this.#write(Infinity);
  }

  #restore(key: string, value: string): void {
    const name = readName(key);
    if (name === undefined) {
      this.#damaged.set(key, "its name is none");
      return;
    }
    this.#stored.set(key, value);
    const numbers = readNumbers(value);
    try {
      if (numbers === undefined) throw new RangeError("not four whole numbers");
      const [limit, window_ms, units, at_ms] = numbers;
      this.#on.buckets.restore({ ...name, limit, window_ms, units, at_ms });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#damaged.set(key, error.message);
      const at_ms = this.#on.now_ms();
      this.#on.buckets.restore({ ...name, limit: 1, window_ms: HOUR_MS, units: 0, at_ms });
    }
  }

  #write(most: number): Promise<void> {
    const next = this.#writing.then(async () => {
      const mutations = this.#changes(most);
      if (mutations.length === 0) return;
      try {
        await this.#on.store.commit(mutations);
      } catch {
        this.#failures++;
        return;
      }
      for (const mutation of mutations) {
        if (mutation.kind === "put_record") this.#stored.set(mutation.key, mutation.value);
        else if (mutation.kind === "delete_record") this.#stored.delete(mutation.key);
      }
    });
    this.#writing = next;
    return next;
  }

  #changes(most: number): Mutation[] {
    const mutations: Mutation[] = [];
    const present = new Set<string>();
    for (const state of this.#on.buckets.states(this.#on.now_ms())) {
      const key = JSON.stringify([state.scope, state.bucket]);
      present.add(key);
      const value = textOf(state);
      if (mutations.length >= most || this.#stored.get(key) === value) continue;
      if (!this.#stored.has(key) && !this.#mayStore(key)) continue;
      mutations.push({ kind: "put_record", collection: "rate_windows", key, value });
    }
    // A full window equals none.
    for (const key of this.#stored.keys()) {
      if (mutations.length >= most) break;
      if (present.has(key)) continue;
      mutations.push({ kind: "delete_record", collection: "rate_windows", key });
    }
    return mutations;
  }

  #mayStore(key: string): boolean {
    return key.length <= RATE_ROOM_LIMITS.name_chars && this.#on.redact(key) === key;
  }
}

function textOf({ limit, window_ms, units, at_ms }: RateBucketState): string {
  return JSON.stringify([limit, window_ms, units, at_ms]);
}

function readName(key: string): { readonly scope: string; readonly bucket: string } | undefined {
  const [scope, bucket, ...more] = readList(key) ?? [];
  if (typeof scope !== "string" || typeof bucket !== "string" || more.length > 0) return undefined;
  return { scope, bucket };
}

function readNumbers(text: string): readonly [number, number, number, number] | undefined {
  const [limit, window_ms, units, at_ms, ...more] = readList(text) ?? [];
  if (
    typeof limit !== "number" || typeof window_ms !== "number" || typeof units !== "number" ||
    typeof at_ms !== "number" || more.length > 0
  ) return undefined;
  return [limit, window_ms, units, at_ms];
}

function readList(text: string): readonly unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
