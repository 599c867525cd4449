/**
 * A front's counters as part of its server's: what the front says of itself now and then is added
 * to the server's own, so that one place shows connections and refusals wherever they happen.
 *
 * Calls are not added: the origin counts them itself.
 *
 * @module
 */

import type { Refusal } from "../bounds.ts";
import type { ServerCounters, ServerStats } from "../server/stats.ts";

/** What one front contributes to its server's counters. */
export class FrontAccount {
  readonly #counters: ServerCounters;
  #last: Pick<ServerStats, "connections_accepted" | "connections_open" | "buffered_bytes"> = {
    connections_accepted: 0,
    connections_open: 0,
    buffered_bytes: 0,
  };
  #refused: ServerStats["refused"] = {};

  constructor(counters: ServerCounters) {
    this.#counters = counters;
  }

  /** Adds what has changed since the front last told. */
  update(stats: ServerStats): void {
    const counters = this.#counters;
    counters.connections_accepted += stats.connections_accepted - this.#last.connections_accepted;
    counters.connections_open += stats.connections_open - this.#last.connections_open;
    counters.buffered_bytes += stats.buffered_bytes - this.#last.buffered_bytes;
    for (const [name, count] of Object.entries(stats.refused)) {
      const refusal = name as Refusal;
      const before = this.#refused[refusal] ?? 0;
      counters.refused[refusal] = (counters.refused[refusal] ?? 0) + count - before;
    }
    this.#last = stats;
    this.#refused = stats.refused;
  }

  /** The front has ended: what it held open is gone. */
  close(): void {
    this.#counters.connections_open -= this.#last.connections_open;
    this.#counters.buffered_bytes -= this.#last.buffered_bytes;
    this.#last = { ...this.#last, connections_open: 0, buffered_bytes: 0 };
  }
}
