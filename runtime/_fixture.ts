/**
 * Doubles for the tests of the runtime's rooms: time that moves when it is told, metrics that
 * remember, folders that go away.
 *
 * @module
 */
import type { MetricsPart } from "./parts.ts";
import type { Timers } from "./timers.ts";

/** Time that passes when a test says so. */
export class ManualTimers implements Timers {
  #now_ms = 1_700_000_000_000;
  readonly #sleepers = new Set<{ readonly until_ms: number; readonly end: () => void }>();

  /** @inheritdoc */
  now_ms = (): number => this.#now_ms;
  /** @inheritdoc */
  monotonic_us = (): number => this.#now_ms * 1_000;
  /** @inheritdoc */
  sleep = (ms: number, signal: AbortSignal): Promise<void> => {
    if (signal.aborted) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const sleeper = {
      until_ms: this.#now_ms + ms,
      end: () => {
        this.#sleepers.delete(sleeper);
        resolve();
      },
    };
    this.#sleepers.add(sleeper);
    signal.addEventListener("abort", sleeper.end, { once: true });
    return promise;
  };

  /** Lets time pass and wakes whoever's wait is over. */
  async pass(ms: number): Promise<void> {
    this.#now_ms += ms;
    for (const sleeper of [...this.#sleepers]) {
      if (sleeper.until_ms <= this.#now_ms) sleeper.end();
    }
    await turns();
  }

  /** How long each sleeper still waits, shortest first. */
  waits_ms(): number[] {
    return [...this.#sleepers].map((one) => one.until_ms - this.#now_ms).sort((a, b) => a - b);
  }
}

/** Lets everything run that is ready to. */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((done) => setTimeout(done, 0));
}

/** Polls until a condition holds. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let round = 0; round < 6_000; round++) {
    if (await holds()) return;
    await new Promise((done) => setTimeout(done, 5));
  }
  throw new Error(`still waiting for: ${what}`);
}

/** Metrics that remember what was told. */
export class SeenMetrics implements MetricsPart {
  readonly counters = new Map<string, number>();
  readonly observed = new Map<string, number[]>();

  /** @inheritdoc */
  add = (name: string, by = 1, labels: Readonly<Record<string, string>> = {}): void => {
    const key = name +
      Object.entries(labels).map(([label, value]) => `{${label}=${value}}`).join("");
    this.counters.set(key, (this.counters.get(key) ?? 0) + by);
  };
  /** @inheritdoc */
  set = (name: string, value: number): void => {
    this.counters.set(name, value);
  };
  /** @inheritdoc */
  observe = (name: string, value: number): void => {
    this.observed.set(name, [...(this.observed.get(name) ?? []), value]);
  };
  /** A counter's value; 0 while nobody told it. */
  count(key: string): number {
    return this.counters.get(key) ?? 0;
  }
}

/** A folder for its owner alone, removed at the end. */
export async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.chmod(folder, 0o700);
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
