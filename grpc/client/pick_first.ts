/**
 * One connection, to the first address that answers (gRFC A61): addresses are tried in order, the
 * next one as soon as one fails or takes long.
 *
 * @module
 */

import { type Balancer, type BalancerHost, replaceSubchannels } from "./balancer.ts";
import type { ClientConnection } from "./connection.ts";
import type { Subchannel, SubchannelState } from "./subchannel.ts";
import type { Address } from "./target.ts";

/** Head start of each address over the next (RFC 8305 section 5). */
const ATTEMPT_DELAY_MS = 250;

/** The policy of a channel that asks for none. */
export class PickFirst implements Balancer {
  readonly #host: BalancerHost;
  #subchannels: Subchannel[] = [];
  #state: SubchannelState = "idle";
  #selected: Subchannel | undefined;
  /** Addresses begun in this pass over the list. */
  #begun = 0;
  #failure = "";
  #delay: ReturnType<typeof setTimeout> | undefined;

  constructor(host: BalancerHost) {
    this.#host = host;
  }

  get state(): SubchannelState {
    return this.#state;
  }

  get failure(): string {
    return this.#failure;
  }

  get isEmpty(): boolean {
    return this.#subchannels.length === 0;
  }

  pick(): ClientConnection | undefined {
    const connection = this.#selected?.current;
    return connection?.hasRoom === true ? connection : undefined;
  }

  update(addresses: readonly Address[]): void {
    this.#subchannels = replaceSubchannels(this.#host, this.#subchannels, addresses);
    const selected = this.#selected;
    if (selected !== undefined) {
      if (this.#subchannels.includes(selected)) return;
      this.#selected = undefined;
      this.#state = "idle";
    } else if (this.#state === "connecting") {
      this.#startPass();
    } else if (this.#state === "transient_failure") {
      for (const subchannel of this.#subchannels) subchannel.connect();
    }
  }

  connect(): void {
    if (this.#state !== "idle") return;
    this.#state = "connecting";
    this.#startPass();
  }

  onSubchannelState(subchannel: Subchannel): void {
    if (!this.#subchannels.includes(subchannel)) return;
    if (subchannel.state === "ready") return this.#select(subchannel);
    if (subchannel === this.#selected) return this.#lost();
    if (this.#selected !== undefined || this.#state === "idle") return;
    if (subchannel.state === "transient_failure") {
      this.#failure = subchannel.failure;
      if (this.#state === "connecting") this.#tryNext();
      else this.#host.requestResolution();
    } else if (subchannel.state === "idle" && this.#state === "transient_failure") {
      subchannel.connect();
    }
  }

  stop(): void {
    clearTimeout(this.#delay);
    this.#state = "idle";
    this.#selected = undefined;
    for (const subchannel of this.#subchannels) subchannel.disconnect();
    this.#subchannels = [];
  }

  #select(subchannel: Subchannel): void {
    clearTimeout(this.#delay);
    this.#selected = subchannel;
    this.#state = "ready";
    for (const other of this.#subchannels) {
      if (other !== subchannel) other.disconnect();
    }
  }

  /** Idle until a call comes: it starts again at the first address. */
  #lost(): void {
    this.#selected = undefined;
    this.#state = "idle";
    this.#host.requestResolution();
  }

  #startPass(): void {
    this.#begun = 0;
    this.#tryNext();
  }

  /** Begins the next address; when all have failed, the policy has. */
  #tryNext(): void {
    clearTimeout(this.#delay);
    while (this.#begun < this.#subchannels.length) {
      const subchannel = this.#subchannels[this.#begun++];
      if (subchannel === undefined || subchannel.state === "transient_failure") continue;
      if (this.#begun < this.#subchannels.length) {
        this.#delay = setTimeout(() => this.#tryNext(), ATTEMPT_DELAY_MS);
        Deno.unrefTimer(this.#delay);
      }
      return subchannel.connect();
    }
    if (this.#subchannels.length === 0) return; // None is known yet.
    if (this.#subchannels.some((each) => each.state === "connecting")) return;
    this.#failAll();
  }

  /** From here on each address connects again when its own backoff has passed (gRFC A61). */
  #failAll(): void {
    this.#failure = this.#subchannels.findLast((each) => each.failure !== "")?.failure ??
      this.#failure;
    this.#state = "transient_failure";
    this.#host.requestResolution();
    for (const subchannel of this.#subchannels) subchannel.connect();
  }
}
