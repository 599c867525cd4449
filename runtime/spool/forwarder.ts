/**
 * Empties one reader's part of the spool into a sink: in order, again after a failure, from where
 * it stood after a restart. The other side drops what it has already by (spool id, seq), so that
 * each record counts once there.
 *
 * @module
 */
import type { MetricsPart, SpoolReader, SpoolRecord, SpoolSink } from "../parts.ts";
import type { Timers } from "../timers.ts";
import { FORWARD_LIMITS } from "./limits.ts";

/** What a forwarder works with. */
export interface ForwarderOptions {
  /** Reader's name, for status and metrics. */
  readonly name: string;
  readonly spool_id: string;
  readonly reader: SpoolReader;
  readonly sink: SpoolSink;
  readonly timers: Timers;
  /** In [0, 1): jitter of the waits. */
  readonly random: () => number;
  readonly metrics: MetricsPart;
  /** Kept with the reader's place after a delivery. */
  readonly note?: () => Uint8Array;
  /** Records handed over at once; default `FORWARD_LIMITS.deliver_rows`. */
  readonly deliver_rows?: number;
  /**
   * Time after a delivery in which further records gather; a flush does not wait for it.
   * @default 0
   */
  readonly gather_ms?: number;
  /** Longest wait between two tries; default `FORWARD_LIMITS.backoff_max_ms`. */
  readonly backoff_max_ms?: number;
}

/** Where a forwarder stands. */
export interface ForwarderStatus {
  readonly state: "idle" | "delivering" | "waiting" | "stopped";
  /** Records delivered since the start. */
  readonly delivered_rows: number;
  readonly failures: number;
  /** What the last failure said; empty after a success. */
  readonly detail: string;
}

/** One reader's way out of the spool. Starts at once; call {@linkcode Forwarder.wake} on appends. */
export class Forwarder implements AsyncDisposable {
  readonly #options: ForwarderOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #state: ForwarderStatus["state"] = "idle";
  #delivered_rows = 0;
  #failures = 0;
  #failures_in_a_row = 0;
  #detail = "";
  #wanted = Promise.withResolvers<void>();
  #empty = Promise.withResolvers<void>();
  /** Aborted when somebody waits for everything to be delivered. */
  #hurry = new AbortController();

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** There may be something to deliver. Does not shorten a wait after a failure. */
  wake(): void {
    this.#wanted.resolve();
  }

  /** Where it stands. */
  get status(): ForwarderStatus {
    return {
      state: this.#state,
      delivered_rows: this.#delivered_rows,
      failures: this.#failures,
      detail: this.#detail,
    };
  }

  /**
   * Resolves once nothing is left to deliver, a delivery failed (what is left stays on disk), or
   * the signal is aborted.
   */
  async flush(signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#stop.signal.aborted || this.#state === "waiting") return;
    const { promise, resolve } = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => resolve(), { once: true });
    this.#empty = Promise.withResolvers();
    this.#hurry.abort();
    this.wake();
    await Promise.race([this.#empty.promise, promise]);
  }

  /** Stops; a delivery under way is given up and repeated after the next start. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#wanted.resolve();
    await this.#running;
  }

  /** @inheritdoc */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(): Promise<void> {
    const { timers } = this.#options;
    while (!this.#stop.signal.aborted) {
      const outcome = await this.#once();
      if (outcome === "more") continue;
      if (outcome === "drained") {
        await this.#gather();
        continue;
      }
      this.#empty.resolve();
      this.#hurry = new AbortController();
      if (this.#stop.signal.aborted) break;
      if (outcome === "failed") {
        this.#state = "waiting";
        await timers.sleep(this.#backoff_ms(), this.#stop.signal);
      } else {
        this.#state = "idle";
        await this.#wanted.promise;
      }
    }
    this.#state = "stopped";
    this.#empty.resolve();
  }

  async #gather(): Promise<void> {
    const { gather_ms = 0, timers } = this.#options;
    if (gather_ms === 0) return;
    this.#state = "idle";
    await timers.sleep(gather_ms, AbortSignal.any([this.#stop.signal, this.#hurry.signal]));
  }

  async #once(): Promise<"more" | "drained" | "nothing" | "failed"> {
    const { reader } = this.#options;
    // Before the look, so that what is appended after it wakes the next round.
    this.#wanted = Promise.withResolvers();
    try {
      const most = this.#options.deliver_rows ?? FORWARD_LIMITS.deliver_rows;
      const records = await reader.pending(most);
      const first = records[0];
      const last = records.at(-1);
      if (first === undefined || last === undefined) return "nothing";
      this.#state = "delivering";
      const through = await this.#deliver(records);
      if (!Number.isSafeInteger(through) || through < first.seq - 1 || through > last.seq) {
        throw new Error(
          `it says it has records up to \`${through}\`, it was given \`${first.seq}\` to ` +
            `\`${last.seq}\``,
        );
      }
      if (through < first.seq) throw new Error("it took nothing");
      await reader.acknowledge(through, this.#options.note?.());
      this.#delivered_rows += through - first.seq + 1;
      this.#failures_in_a_row = 0;
      this.#detail = "";
      return records.length < most ? "drained" : "more";
    } catch (error) {
      this.#failed(error);
      return "failed";
    }
  }

  async #deliver(records: readonly SpoolRecord[]): Promise<number> {
    const { sink, spool_id, timers } = this.#options;
    const attempt = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, attempt.signal]);
    const late = timers.sleep(FORWARD_LIMITS.deliver_timeout_ms, signal).then((): never => {
      attempt.abort();
      throw new Error(`no answer within \`${FORWARD_LIMITS.deliver_timeout_ms}\` ms`);
    });
    try {
      // A sink that ignores its signal is left behind: the records are handed over again later.
      return await Promise.race([sink.deliver(spool_id, records, signal), late]);
    } finally {
      late.catch(() => {});
      attempt.abort();
    }
  }

  #failed(error: unknown): void {
    if (this.#stop.signal.aborted) return;
    this.#failures++;
    this.#failures_in_a_row++;
    const reason = error instanceof Error ? error.message : String(error);
    this.#detail = `cannot deliver to \`${this.#options.name}\`: ${reason}`;
    this.#options.metrics.add("aa_spool_delivery_failures_total", 1, {
      reader: this.#options.name,
    });
  }

  /** Half the step is certain, half is chance, so that many runtimes do not return as one. */
  #backoff_ms(): number {
    const doublings = Math.min(this.#failures_in_a_row - 1, 30);
    const step = Math.min(
      this.#options.backoff_max_ms ?? FORWARD_LIMITS.backoff_max_ms,
      FORWARD_LIMITS.backoff_first_ms * 2 ** Math.max(0, doublings),
    );
    return step / 2 + this.#options.random() * step / 2;
  }
}
