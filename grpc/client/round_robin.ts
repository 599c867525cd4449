/**
 * One connection to each address, calls go to them in turn. An address that is lost leaves the
 * rotation at once, connects again under its own backoff, and returns when it is ready.
 *
 * @module
 */

import { type Balancer, type BalancerHost, replaceSubchannels } from "./balancer.ts";
import type { ClientConnection } from "./connection.ts";
import type { Subchannel, SubchannelState } from "./subchannel.ts";
import type { Address } from "./target.ts";

/** The policy named `round_robin`. */
export class RoundRobin implements Balancer {
  readonly #host: BalancerHost;
  #subchannels: Subchannel[] = [];
  #ready: Subchannel[] = [];
  #turn = 0;
  #active = false;
  /** Failed and not ready since: connecting again does not make them hopeful. */
  readonly #failing = new Set<Subchannel>();
  #failure = "";

  constructor(host: BalancerHost) {
    this.#host = host;
  }

  get state(): SubchannelState {
    if (!this.#active) return "idle";
    if (this.#ready.length > 0) return "ready";
    const failed = this.#subchannels.length > 0 && this.#failing.size === this.#subchannels.length;
    return failed ? "transient_failure" : "connecting";
  }

  get failure(): string {
    return this.#failure;
  }

  get isEmpty(): boolean {
    return this.#subchannels.length === 0;
  }

  pick(): ClientConnection | undefined {
    const ready = this.#ready;
    for (let tried = 0; tried < ready.length; tried++) {
      if (this.#turn >= ready.length) this.#turn = 0;
      const connection = ready[this.#turn++]?.current;
      if (connection?.hasRoom === true) return connection;
    }
    return undefined;
  }

  update(addresses: readonly Address[]): void {
    this.#subchannels = replaceSubchannels(this.#host, this.#subchannels, addresses);
    for (const each of this.#failing) {
      if (!this.#subchannels.includes(each)) this.#failing.delete(each);
    }
    this.#rotate();
    if (this.#active) this.#connectAll();
  }

  connect(): void {
    if (this.#active) return;
    this.#active = true;
    this.#connectAll();
  }

  onSubchannelState(subchannel: Subchannel): void {
    if (!this.#subchannels.includes(subchannel)) return;
    this.#rotate();
    switch (subchannel.state) {
      case "ready":
        this.#failing.delete(subchannel);
        return;
      case "transient_failure":
        this.#failing.add(subchannel);
        this.#failure = subchannel.failure;
        return this.#host.requestResolution();
      case "idle":
        if (!this.#failing.has(subchannel)) this.#host.requestResolution();
        if (this.#active) subchannel.connect();
    }
  }

  stop(): void {
    this.#active = false;
    for (const subchannel of this.#subchannels) subchannel.disconnect();
    this.#subchannels = [];
    this.#ready = [];
    this.#failing.clear();
  }

  #connectAll(): void {
    for (const subchannel of this.#subchannels) subchannel.connect();
  }

  #rotate(): void {
    this.#ready = this.#subchannels.filter((each) => each.state === "ready");
  }
}
