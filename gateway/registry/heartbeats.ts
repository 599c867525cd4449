/**
 * Heartbeats on their way to the store: collected, and written together every few seconds.
 *
 * @module
 */
import type { StateStore } from "../../storage/sqlite/records.ts";
import { REGISTRY_LIMITS } from "./limits.ts";

/** Collects heartbeats; at most one entry an agent, so agents bound it. */
export class Heartbeats {
  readonly #store: Pick<StateStore, "commit">;
  #noted = new Map<string, number>();
  #written_ms: number;
  #writing: Promise<void> | undefined;
  #write_failures = 0;

  constructor(store: Pick<StateStore, "commit">, now_ms: number) {
    this.#store = store;
    this.#written_ms = now_ms;
  }

  /** Writes that failed; what they held is tried again with the next. */
  get write_failures(): number {
    return this.#write_failures;
  }

  /** Notes a heartbeat, and starts a write when the last one is long enough ago. */
  note(key: string, at_ms: number, now_ms: number): void {
    this.#noted.set(key, at_ms);
    if (now_ms - this.#written_ms < REGISTRY_LIMITS.heartbeat_flush_ms) return;
    this.#written_ms = now_ms;
    this.#start();
  }

  /** Writes what is noted; resolves when it is durable or has failed. */
  async flush(): Promise<void> {
    await this.#writing;
    this.#start();
    await this.#writing;
  }

  #start(): void {
    if (this.#noted.size === 0) return;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  async #write(): Promise<void> {
    const batch = this.#noted;
    this.#noted = new Map();
    try {
      await this.#store.commit(
        Array.from(batch, ([key, at_ms]) => ({ kind: "heartbeat", key, at_ms })),
      );
    } catch {
      this.#write_failures++;
      for (const [key, at_ms] of batch) {
        if (!this.#noted.has(key)) this.#noted.set(key, at_ms);
      }
    }
  }
}
