/**
 * The network between clients and gateway: messages are late, overtake each other, arrive twice or
 * not at all.
 *
 * @module
 */
import type { Faults } from "./faults.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";

/** What the simulation decides about the network. */
export interface NetworkOptions {
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly faults: Faults;
}

/** Carries messages, badly. */
export class SimulatedNetwork {
  readonly #options: NetworkOptions;

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  /** Delivers a message once, twice or never. */
  send(what: string, deliver: () => void): void {
    const { random, faults } = this.#options;
    if (random.chance(faults.drop)) return;
    this.#carry(what, deliver);
    if (random.chance(faults.duplicate)) this.#carry(`${what} again`, deliver);
  }

  #carry(what: string, deliver: () => void): void {
    const { random, scheduler } = this.#options;
    scheduler.after(random.wait(500, 200_000, 0.05), what, deliver);
  }
}
