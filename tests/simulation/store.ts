/**
 * The state store under simulation: transactions take time, are refused now and then, and a crash
 * leaves any beginning of those that were under way, whole or not at all.
 *
 * @module
 */
import { MemoryStore } from "../../storage/memory/store.ts";
import { StoreError } from "../../storage/sqlite/failure.ts";
import type { Mutation, StateStore } from "../../storage/sqlite/records.ts";
import type { Faults } from "./faults.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";

interface Commit {
  readonly mutations: readonly Mutation[];
  readonly done: PromiseWithResolvers<void>;
}

/** What the simulation decides about the store. */
export interface StoreOptions {
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly note: (what: string) => void;
}

/** The database file. Outlives the programs that use it. */
export class SimulatedDatabase {
  readonly #options: StoreOptions;
  readonly #kept = new MemoryStore();
  #queue: Commit[] = [];
  #boot = 0;
  #busy = false;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  /** What is durable now. */
  get kept(): StateStore {
    return this.#kept;
  }

  /** Ends the program that uses it. Some of what was under way is stored, in order, unheard of. */
  crash(): void {
    this.#boot++;
    const survived = this.#options.random.below(this.#queue.length + 1);
    for (const { mutations } of this.#queue.slice(0, survived)) this.#apply(mutations);
    this.#queue = [];
    this.#busy = false;
  }

  /** The store as the program that starts now has it. */
  mount(): StateStore {
    const boot = this.#boot;
    const kept = this.#kept;
    return {
      agents: () => kept.agents(),
      operators: () => kept.operators(),
      meta: (key) => kept.meta(key),
      records: (collection, range) => kept.records(collection, range),
      commit: (mutations) => {
        const done = Promise.withResolvers<void>();
        if (boot !== this.#boot) return done.promise;
        // A writer thread gets a copy: what the caller changes later is not stored.
        this.#queue.push({ mutations: structuredClone(mutations), done });
        this.#next(boot);
        return done.promise;
      },
    };
  }

  #next(boot: number): void {
    if (this.#busy || this.#queue.length === 0) return;
    this.#busy = true;
    const { random, scheduler, faults } = this.#options;
    scheduler.after(random.wait(1_000, 30_000, 0.03), "store commit", () => {
      if (boot !== this.#boot) return;
      this.#busy = false;
      const commit = this.#queue.shift();
      if (commit !== undefined) {
        if (random.chance(faults.store_error)) {
          this.#options.note("store: commit refused");
          commit.done.reject(new StoreError("disk_full", "the state database has no room"));
        } else {
          this.#apply(commit.mutations);
          commit.done.resolve();
        }
      }
      this.#next(boot);
    });
  }

  #apply(mutations: readonly Mutation[]): void {
    // Applied before its promise is made: the memory store works at once.
    void this.#kept.commit(mutations);
  }
}
