/**
 * How a channel stands with its target: resolves it, connects, watches over the connections, and
 * lets go of them when nobody calls.
 *
 * @module
 */

import type { Balancer, LoadBalancing } from "./balancer.ts";
import type { ClientConnection } from "./connection.ts";
import { PickFirst } from "./pick_first.ts";
import { type Resolve, Resolver } from "./resolver.ts";
import { RoundRobin } from "./round_robin.ts";
import { Subchannel, type SubchannelSettings } from "./subchannel.ts";
import type { Address, Target } from "./target.ts";

/** How a channel stands (gRPC core documentation, "gRPC Connectivity Semantics and API"). */
export type ChannelState =
  /** Nothing is tried; the next call, or `connect`, begins. */
  | "idle"
  /** The first connection is being made: calls wait for it. */
  | "connecting"
  /** Calls have a connection to go to. */
  | "ready"
  /** No address could be reached; it is tried again with growing waits. Calls fail meanwhile. */
  | "transient_failure"
  /** Closed by its owner. */
  | "shutdown";

/** How to connect to a target. */
export interface ConnectivitySettings {
  readonly target: Target;
  readonly load_balancing: LoadBalancing;
  readonly resolve: Resolve | undefined;
  readonly resolve_interval_ms: number;
  readonly idle_timeout_ms: number;
  readonly subchannel: SubchannelSettings;
}

/** What connectivity asks and tells its channel. */
export interface ConnectivityListener {
  /** Called after every event that may have changed the state. */
  onState(state: ChannelState): void;
  /** There may be room for a waiting call. */
  onRoom(): void;
  /** Whether calls wait. */
  isWaitedFor(): boolean;
}

/** A PING interval that doubles ends here. */
const KEEPALIVE_INTERVAL_MS_MAX = 24 * 3_600_000;

/** The connections of one channel. */
export class Connectivity {
  readonly #settings: ConnectivitySettings;
  readonly #listener: ConnectivityListener;
  readonly #resolver: Resolver;
  /** Subchannels that have a connection, or make one. */
  readonly #active = new Set<Subchannel>();
  readonly #watchers = new Set<() => void>();
  #balancer: Balancer | undefined;
  #state: ChannelState = "idle";
  #resolve_failure: string | undefined;
  #touched = false;
  #last_used_ms = 0;
  #sweeper: ReturnType<typeof setInterval> | undefined;
  #onLastGone: (() => void) | undefined;

  constructor(settings: ConnectivitySettings, listener: ConnectivityListener) {
    this.#settings = settings;
    this.#listener = listener;
    this.#resolver = new Resolver(
      settings.target,
      settings.resolve,
      {
        onAddresses: (addresses) => this.#onAddresses(addresses),
        onResolveFailed: (text) => this.#onResolveFailed(text),
      },
      settings.subchannel.backoff,
      settings.resolve_interval_ms,
    );
  }

  get state(): ChannelState {
    return this.#state;
  }

  /** Why the state is transient_failure. */
  get failure(): string {
    const { text } = this.#settings.target;
    const reason = this.#resolve_failure ?? this.#balancer?.failure ?? "";
    return `cannot connect to \`${text}\`: ${reason}`;
  }

  /** Waits for a state other than `last`; rejects with the signal's reason when it aborts first. */
  watch(last: ChannelState, signal: AbortSignal | undefined): Promise<ChannelState> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        if (signal?.aborted !== true && this.#state === last) return;
        this.#watchers.delete(settle);
        signal?.removeEventListener("abort", settle);
        if (signal?.aborted === true) reject(signal.reason);
        else resolve(this.#state);
      };
      this.#watchers.add(settle);
      signal?.addEventListener("abort", settle);
      settle();
    });
  }

  /** A connection with room for one more call; undefined: none now. */
  pick(): ClientConnection | undefined {
    return this.#balancer?.pick();
  }

  /** Notes that there was a call, which puts off going idle. */
  touch(): void {
    this.#touched = true;
  }

  /** Leaves idle. */
  connect(): void {
    if (this.#state !== "idle") return;
    this.#last_used_ms = Date.now();
    this.#sweeper ??= setInterval(
      () => this.#sweep(),
      this.#settings.subchannel.bounds.sweep_interval_ms,
    );
    this.holdProcess();
    if (this.#balancer === undefined) {
      this.#balancer = this.#createBalancer();
      this.#balancer.connect();
      this.#resolver.start();
    } else {
      this.#balancer.connect();
    }
    this.#refresh();
  }

  /** Waiting calls keep the process alive; whatever else is open does so by itself. */
  holdProcess(): void {
    if (this.#sweeper === undefined) return;
    if (this.#listener.isWaitedFor()) Deno.refTimer(this.#sweeper);
    else Deno.unrefTimer(this.#sweeper);
  }

  /** First half of the end: nothing is connected any more, and no call picked. */
  beginClose(): void {
    this.#setState("shutdown");
    this.#resolver.stop();
  }

  /** Every connection there is. */
  *connections(): Iterable<ClientConnection> {
    for (const { connections } of [...this.#active]) yield* [...connections];
  }

  /** Second half: says goodbye on every connection; resolves when they are closed. */
  async close(): Promise<void> {
    const open = [...this.#active];
    this.#balancer?.stop();
    for (const subchannel of open) subchannel.shutdown("the channel was closed");
    if (this.#active.size > 0) await new Promise<void>((resolve) => this.#onLastGone = resolve);
    clearInterval(this.#sweeper);
  }

  #createBalancer(): Balancer {
    const host = {
      createSubchannel: (address: Address) => this.#createSubchannel(address),
      requestResolution: () => this.#resolver.request(),
    };
    return this.#settings.load_balancing === "round_robin"
      ? new RoundRobin(host)
      : new PickFirst(host);
  }

  #createSubchannel(address: Address): Subchannel {
    return new Subchannel(address, this.#settings.subchannel, {
      onSubchannelState: (subchannel) => {
        if (subchannel.state === "connecting") this.#active.add(subchannel);
        this.#balancer?.onSubchannelState(subchannel);
        this.#refresh();
      },
      onRoom: () => this.#listener.onRoom(),
      onTooManyPings: () => this.#pingLess(),
      onSubchannelEmpty: (subchannel) => {
        this.#active.delete(subchannel);
        if (this.#active.size === 0) this.#onLastGone?.();
      },
    });
  }

  /** gRFC A8: twice the interval for every connection from now on. */
  #pingLess(): void {
    const { subchannel } = this.#settings;
    const keepalive_interval_ms = Math.min(
      KEEPALIVE_INTERVAL_MS_MAX,
      2 * subchannel.bounds.keepalive_interval_ms,
    );
    subchannel.bounds = { ...subchannel.bounds, keepalive_interval_ms };
  }

  #onAddresses(addresses: readonly Address[]): void {
    this.#resolve_failure = undefined;
    this.#balancer?.update(addresses);
    this.#refresh();
  }

  #onResolveFailed(text: string): void {
    // Addresses found before stay good enough.
    if (this.#balancer?.isEmpty === true) this.#resolve_failure = text;
    this.#refresh();
  }

  /** Takes over the policy's state. */
  #refresh(): void {
    if (this.#state === "shutdown") return;
    this.#setState(
      this.#resolve_failure === undefined ? this.#balancer?.state ?? "idle" : "transient_failure",
    );
    this.#listener.onState(this.#state);
  }

  #setState(state: ChannelState): void {
    if (state === this.#state) return;
    this.#state = state;
    for (const settle of [...this.#watchers]) settle();
  }

  #sweep(): void {
    const now_ms = performance.now();
    const waited_for = this.#listener.isWaitedFor();
    let used = waited_for || this.#touched;
    for (const connection of this.connections()) {
      connection.sweep(now_ms);
      used ||= connection.streams.size > 0;
    }
    this.#touched = false;
    if (used) this.#last_used_ms = Date.now();
    else if (Date.now() - this.#last_used_ms >= this.#settings.idle_timeout_ms) this.#enterIdle();
    if (this.#active.size > 0 || waited_for || this.#state !== "idle") return;
    this.#enterIdle();
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  #enterIdle(): void {
    if (this.#state === "shutdown") return;
    this.#resolver.stop();
    this.#resolve_failure = undefined;
    this.#balancer?.stop();
    this.#balancer = undefined;
    this.#refresh();
  }
}
