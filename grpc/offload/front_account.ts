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

/** Current figures, which are gone with their front. */
const GAUGES = ["connections_open", "buffered_bytes", "pending_bytes"] as const;

type Told = Pick<ServerStats, "connections_accepted" | "refused" | typeof GAUGES[number]>;

const NOTHING: Told = {
  connections_accepted: 0,
  connections_open: 0,
  buffered_bytes: 0,
  pending_bytes: 0,
  refused: {},
};

/** What one front contributes to its server's counters. */
export class FrontAccount {
  readonly #counters: ServerCounters;
  #last: Told = NOTHING;

  constructor(counters: ServerCounters) {
    this.#counters = counters;
  }

  /** Adds what has changed since the front last told. */
  update(told: Told): void {
    const counters = this.#counters;
    counters.connections_accepted += told.connections_accepted - this.#last.connections_accepted;
    for (const name of GAUGES) counters[name] += told[name] - this.#last[name];
    for (const [name, count] of Object.entries(told.refused)) {
      const refusal = name as Refusal;
      const before = this.#last.refused[refusal] ?? 0;
      counters.refused[refusal] = (counters.refused[refusal] ?? 0) + count - before;
    }
    this.#last = told;
  }

  /** The front has ended: what it held open is gone. */
  close(): void {
    const { connections_accepted, refused } = this.#last;
    this.update({ ...NOTHING, connections_accepted, refused });
  }
}
