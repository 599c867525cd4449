/**
 * The baselines of all agents: those in use in memory, the others in the store.
 *
 * A baseline that is not in memory is read when its agent acts; what the agent does meanwhile waits
 * and is judged when it is there. Decisions never wait for a baseline.
 *
 * @module
 */
import { Baseline } from "../../core/anomaly/baseline.ts";
import type { Mutation, StateStore } from "../../storage/sqlite/records.ts";
import { ANOMALY_ROOM_LIMITS } from "./limits.ts";
import { baselineText, readBaseline } from "./stored.ts";

/** What the baselines need. */
export interface BaselinesOptions {
  readonly store: Pick<StateStore, "commit" | "records">;
  /** A 32-bit number nobody can guess. */
  readonly seed: () => number;
}

/** What is done with a baseline, now or as soon as it is read. */
export type BaselineUse = (baseline: Baseline, late: boolean) => void;

type Entry =
  | { readonly state: "reading"; readonly waiting: BaselineUse[]; readonly done: Promise<void> }
  | {
    readonly state: "here";
    readonly baseline: Baseline;
    /** Changed since it was written. */
    changed: boolean;
    /** False for a baseline whose record cannot be read: it is left as it is. */
    readonly kept: boolean;
  };

/** Baselines by agent. */
export class Baselines {
  readonly #on: BaselinesOptions;
  /** Least recently used first. */
  readonly #agents = new Map<string, Entry>();
  readonly #unregistered = new Map<string, Baseline>();
  readonly #damaged = new Map<string, string>();
  /** Where the next look for baselines of unknown agents begins. */
  #pruned: string | undefined;
  #unwatched = 0;
  #skipped = 0;
  #failures = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(on: BaselinesOptions) {
    this.#on = on;
  }

  /** How they stand. `unwatched` counts actions nobody looked at. */
  status(): {
    readonly resident: number;
    readonly unwatched: number;
    readonly skipped: number;
    readonly failures: number;
    readonly damaged: ReadonlyMap<string, string>;
  } {
    return {
      resident: this.#agents.size,
      unwatched: this.#unwatched,
      skipped: this.#skipped,
      failures: this.#failures,
      damaged: this.#damaged,
    };
  }

  /** Uses the baseline of a registered agent: at once when it is here, else when it was read. */
  use(key: string, use: BaselineUse): void {
    const entry = this.#agents.get(key);
    if (entry?.state === "here") {
      // To the end of the order: used last.
      this.#agents.delete(key);
      this.#agents.set(key, entry);
      entry.changed = true;
      use(entry.baseline, false);
      return;
    }
    if (entry !== undefined) {
      if (entry.waiting.length < ANOMALY_ROOM_LIMITS.waiting_actions) entry.waiting.push(use);
      else this.#skipped++;
      return;
    }
    if (this.#agents.size >= ANOMALY_ROOM_LIMITS.resident_baselines_hard) {
      this.#unwatched++;
      return;
    }
    const waiting = [use];
    this.#agents.set(key, { state: "reading", waiting, done: this.#read(key, waiting) });
  }

  /** Uses the baseline of an agent that is not registered; it lives in memory alone. */
  useUnregistered(key: string, use: BaselineUse): void {
    const known = this.#unregistered.get(key);
    const baseline = known ?? new Baseline({ seed: this.#on.seed() });
    this.#unregistered.delete(key);
    this.#unregistered.set(key, baseline);
    if (this.#unregistered.size > ANOMALY_ROOM_LIMITS.unregistered_baselines) {
      const [oldest = ""] = this.#unregistered.keys();
      this.#unregistered.delete(oldest);
    }
    use(baseline, false);
  }

  /** The baseline of an agent, from memory or store, for looking at; `undefined` when there is none. */
  async look(key: string): Promise<Baseline | undefined> {
    const entry = this.#agents.get(key);
    if (entry?.state === "reading") await entry.done;
    const now = this.#agents.get(key);
    if (now?.state === "here") return now.baseline;
    const stored = await this.#stored(key);
    if (stored === undefined) return undefined;
    const state = readBaseline(stored);
    return typeof state === "string" ? undefined : new Baseline(state);
  }

  /** Forgets what was learned of an agent, also a record that cannot be read. */
  async forget(key: string): Promise<void> {
    const entry = this.#agents.get(key);
    if (entry?.state === "reading") await entry.done;
    await this.#write(async () => {
      await this.#on.store.commit([{
        kind: "delete_record",
        collection: "anomaly_baselines",
        key,
      }]);
      this.#agents.delete(key);
      this.#damaged.delete(key);
    });
  }

  /** Writes changed baselines, a bounded number of them, and lets go of those not in use. */
  async tick(): Promise<void> {
    await this.#flush(ANOMALY_ROOM_LIMITS.written_baselines);
    this.#letGo();
  }

  /**
   * Deletes stored baselines of agents that are known no more, one page of the store at a time:
   * what is kept stays bounded by the agents there are.
   */
  async prune(isKnown: (key: string) => boolean): Promise<void> {
    const range = this.#pruned === undefined ? {} : { after: this.#pruned };
    this.#pruned = undefined;
    for await (const page of this.#on.store.records("anomaly_baselines", range)) {
      this.#pruned = page.at(-1)?.key;
      for (const { key } of page) if (!isKnown(key)) await this.forget(key);
      return;
    }
  }

  /** Resolves once every baseline that is being read is there. */
  async settled(): Promise<void> {
    for (const entry of [...this.#agents.values()]) {
      if (entry.state === "reading") await entry.done;
    }
  }

  /** Writes all that changed. */
  async close(): Promise<void> {
    await this.settled();
    while (await this.#flush(ANOMALY_ROOM_LIMITS.written_baselines) > 0);
  }

  async #read(key: string, waiting: BaselineUse[]): Promise<void> {
    let baseline: Baseline | undefined;
    let kept = true;
    try {
      const text = await this.#stored(key);
      const state = text === undefined ? undefined : readBaseline(text);
      if (typeof state === "string") {
        this.#damaged.set(key, state);
        kept = false;
      } else if (state !== undefined) baseline = new Baseline(state);
    } catch {
      // The record may be sound: it must not be written over by what is learned meanwhile.
      this.#failures++;
      kept = false;
    }
    baseline ??= new Baseline({ seed: this.#on.seed() });
    this.#agents.set(key, { state: "here", baseline, changed: true, kept });
    for (const use of waiting) use(baseline, true);
  }

  /** The stored text of one agent. Keys are 32 hex digits; a range of sixteen holds it. */
  async #stored(key: string): Promise<string | undefined> {
    const range = { after: key.slice(0, -1), through: key };
    for await (const page of this.#on.store.records("anomaly_baselines", range)) {
      const found = page.find((record) => record.key === key);
      if (found !== undefined) return found.value;
    }
    return undefined;
  }

  /** @returns How many are written. */
  async #flush(most: number): Promise<number> {
    let written = 0;
    await this.#write(async () => {
      const mutations: Mutation[] = [];
      const entries: Extract<Entry, { state: "here" }>[] = [];
      for (const [key, entry] of this.#agents) {
        if (mutations.length >= most) break;
        if (entry.state !== "here" || !entry.changed || !entry.kept) continue;
        const value = baselineText(entry.baseline.state());
        mutations.push({ kind: "put_record", collection: "anomaly_baselines", key, value });
        entries.push(entry);
        entry.changed = false;
      }
      if (mutations.length === 0) return;
      try {
        await this.#on.store.commit(mutations);
        written = mutations.length;
      } catch {
        this.#failures++;
        for (const entry of entries) entry.changed = true;
      }
    });
    return written;
  }

  #letGo(): void {
    let over = this.#agents.size - ANOMALY_ROOM_LIMITS.resident_baselines;
    for (const [key, entry] of this.#agents) {
      if (over <= 0) return;
      if (entry.state !== "here" || (entry.changed && entry.kept)) continue;
      this.#agents.delete(key);
      over--;
    }
  }

  /** One write after the other. */
  #write(write: () => Promise<void>): Promise<void> {
    const next = this.#writing.then(write);
    this.#writing = next.catch(() => {
      // Whoever asked for the write hears of it.
    });
    return next;
  }
}
