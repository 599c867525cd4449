/**
 * Who listens: each has a bounded queue of its own, so that a slow one holds nobody up. It loses its
 * oldest events and is told how many; the stored copy is never lost.
 *
 * @module
 */
import type { audit } from "../../proto/mod.ts";
import type { MetricsPart } from "../parts.ts";
import type { Enrichment } from "./enrichment.ts";
import { PIPELINE_LIMITS } from "./limits.ts";

/** One event as it left the pipeline: redacted, and on disk. Not to be changed. */
export interface PipelineItem {
  readonly event: audit.AuditEvent;
  readonly enrichment: Enrichment;
  /** When it came, in microseconds of a clock that never goes back. */
  readonly received_us: number;
  /** Position of its stored copy in the spool. */
  readonly spool_seq: number;
}

/** One listener's end. */
export class Subscription implements AsyncIterable<readonly PipelineItem[]> {
  /** Who listens; a few fixed words, for metrics. */
  readonly name: string;
  readonly #capacity: number;
  readonly #onLost: (count: number) => void;
  readonly #onClose: (self: Subscription) => void;
  #queue: PipelineItem[] = [];
  #lost = 0;
  #closed = false;
  #wanted = Promise.withResolvers<void>();

  /** @private Use `Pipeline.subscribe`. */
  constructor(
    name: string,
    capacity: number,
    onLost: (count: number) => void,
    onClose: (self: Subscription) => void,
  ) {
    this.name = name;
    this.#capacity = capacity;
    this.#onLost = onLost;
    this.#onClose = onClose;
  }

  /** Events this listener lost so far, because it did not take them in time. */
  get lost(): number {
    return this.#lost;
  }

  /** @private Gives events; drops the oldest that find no room. */
  give(items: readonly PipelineItem[]): void {
    if (this.#closed) return;
    this.#queue.push(...items);
    const excess = this.#queue.length - this.#capacity;
    if (excess > 0) {
      this.#queue = this.#queue.slice(excess);
      this.#lost += excess;
      this.#onLost(excess);
    }
    this.#wanted.resolve();
  }

  /** Everything that waits; `undefined` once closed and empty. Waits while there is nothing. */
  async next(): Promise<readonly PipelineItem[] | undefined> {
    while (this.#queue.length === 0) {
      if (this.#closed) return undefined;
      this.#wanted = Promise.withResolvers();
      await this.#wanted.promise;
    }
    const taken = this.#queue;
    this.#queue = [];
    return taken;
  }

  /** Stops listening; what waits can still be taken. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose(this);
    this.#wanted.resolve();
  }

  /** @inheritdoc */
  async *[Symbol.asyncIterator](): AsyncGenerator<readonly PipelineItem[]> {
    for (let items = await this.next(); items !== undefined; items = await this.next()) {
      yield items;
    }
  }
}

/** All listeners of one pipeline. */
export class Subscribers {
  readonly #capacity: number;
  readonly #metrics: MetricsPart;
  readonly #all = new Set<Subscription>();

  constructor(capacity: number, metrics: MetricsPart) {
    this.#capacity = capacity;
    this.#metrics = metrics;
  }

  /**
   * Adds a listener.
   *
   * @throws {RangeError} With more listeners than `PIPELINE_LIMITS.subscribers`.
   */
  add(name: string): Subscription {
    if (this.#all.size >= PIPELINE_LIMITS.subscribers) {
      throw new RangeError(
        `cannot subscribe \`${name}\`: \`${PIPELINE_LIMITS.subscribers}\` listen already`,
      );
    }
    const subscription = new Subscription(
      name,
      this.#capacity,
      (count) => this.#metrics.add("aa_pipeline_lost_total", count, { subscriber: name }),
      (self) => this.#all.delete(self),
    );
    this.#all.add(subscription);
    return subscription;
  }

  /** Passes events on to everyone. */
  give(items: readonly PipelineItem[]): void {
    this.#metrics.add("aa_events_emitted_total", items.length);
    for (const subscription of this.#all) subscription.give(items);
  }

  /** Who listens, and what each has lost. */
  status(): readonly { readonly name: string; readonly lost: number }[] {
    return [...this.#all].map(({ name, lost }) => ({ name, lost }));
  }

  /** Ends all listening. */
  close(): void {
    for (const subscription of [...this.#all]) subscription.close();
  }
}
