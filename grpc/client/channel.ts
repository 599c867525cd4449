/**
 * A channel: one target, the calls on their way to it, and the policy that says which connection
 * each goes to.
 *
 * @module
 */

import { type Bounds, CLIENT_BOUNDS, withBounds } from "../bounds.ts";
import { Code } from "../code.ts";
import { GrpcError } from "../grpc_error.ts";
import type { Backoff } from "./backoff.ts";
import type { Balancer } from "./balancer.ts";
import { type CallPlacer, ClientCall } from "./call.ts";
import { CallQueue } from "./call_queue.ts";
import type { ClientConnection } from "./connection.ts";
import type { CallOptions, ChannelOptions } from "./options.ts";
import { PickFirst } from "./pick_first.ts";
import { RequestHeaders } from "./request_headers.ts";
import { resolveByDns, Resolver } from "./resolver.ts";
import { Retries } from "./retry.ts";
import { RoundRobin } from "./round_robin.ts";
import { Subchannel, type SubchannelSettings } from "./subchannel.ts";
import { type Address, authorityOf, parseTarget, type Target } from "./target.ts";

const CONNECT_TIMEOUT_MS = 5000;
const BACKOFF: Backoff = { initial_ms: 100, max_ms: 5000 };
const IDLE_TIMEOUT_MS = 30 * 60_000;
const RESOLVE_INTERVAL_MS = 30_000;

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

/**
 * A channel to one target. Connects with the first call. While no address can be reached, calls end
 * with UNAVAILABLE unless they ask to wait for readiness, and it goes on connecting in the
 * background: after a backoff that grows, until nobody has called for `idle_timeout_ms`.
 */
export class Channel implements AsyncDisposable {
  readonly #target: Target;
  readonly #bounds: Bounds;
  readonly #settings: SubchannelSettings;
  readonly #headers: RequestHeaders;
  readonly #retries: Retries | undefined;
  readonly #resolver: Resolver;
  readonly #createBalancer: () => Balancer;
  readonly #placer: CallPlacer;
  readonly #queue = new CallQueue();
  readonly #idle_timeout_ms: number;
  /** Subchannels that have a connection, or make one. */
  readonly #active = new Set<Subchannel>();
  readonly #watchers = new Set<() => void>();
  #balancer: Balancer | undefined;
  #state: ChannelState = "idle";
  #resolve_failure: string | undefined;
  #closing: Promise<void> | undefined;
  #calls_begun = 0;
  #calls_seen = 0;
  #last_used_ms = 0;
  #sweeper: ReturnType<typeof setInterval> | undefined;
  #onLastGone: (() => void) | undefined;

  /**
   * @param target `host:port`, `dns:///host:port`, `unix:/path`, `ipv4:a:port,b:port`,
   * `ipv6:[a]:port,[b]:port`, or a list of `host:port` and `unix:/path`
   * @throws TypeError when the target or the options make no sense
   * @throws RangeError when a bound makes no sense
   */
  constructor(target: string | readonly string[], options: ChannelOptions = {}) {
    const { tls } = options;
    this.#target = parseTarget(target);
    if ((tls?.cert === undefined) !== (tls?.key === undefined)) {
      throw new TypeError("tls has one of `cert` and `key`: give both or neither");
    }
    if (tls !== undefined && this.#target.addresses.some((each) => each.kind === "unix")) {
      throw new TypeError("tls over a Unix socket is not supported: leave `tls` out");
    }
    this.#bounds = boundsOf(options);
    this.#idle_timeout_ms = options.idle_timeout_ms ?? IDLE_TIMEOUT_MS;
    const backoff = options.backoff ?? BACKOFF;
    this.#settings = {
      tls,
      server_name: tls?.serverName ?? this.#target.name?.hostname,
      connect_timeout_ms: options.connect_timeout_ms ?? CONNECT_TIMEOUT_MS,
      backoff,
      bounds: this.#bounds,
    };
    const authority = options.authority ?? authorityOf(this.#target, tls?.serverName);
    const scheme = tls === undefined ? "http" : "https";
    this.#headers = new RequestHeaders(scheme, authority, options.metadata);
    this.#retries = options.retry === undefined ? undefined : new Retries(options.retry);
    const spread = options.load_balancing === "round_robin";
    this.#resolver = new Resolver(
      this.#target,
      options.resolve ?? (spread ? resolveByDns : undefined),
      {
        onAddresses: (addresses) => this.#onAddresses(addresses),
        onResolveFailed: (text) => this.#onResolveFailed(text),
      },
      backoff,
      options.resolve_interval_ms ?? RESOLVE_INTERVAL_MS,
    );
    const host = {
      createSubchannel: (address: Address) => this.#createSubchannel(address),
      requestResolution: () => this.#resolver.request(),
    };
    this.#createBalancer = () => spread ? new RoundRobin(host) : new PickFirst(host);
    this.#placer = {
      place: (call) => this.#place(call),
      placeAfter: (call, wait_ms) => this.#placeAfter(call, wait_ms),
      withdraw: (call) => this.#withdraw(call),
    };
  }

  /** How the channel stands; a call may change it. */
  get state(): ChannelState {
    return this.#state;
  }

  /**
   * Waits for a state other than `last`; a change and its return in between may go unseen. Once the
   * channel is closed the state changes no more.
   *
   * @returns the state then
   * @throws the signal's reason, when it aborts first
   */
  watchState(last: ChannelState, signal?: AbortSignal): Promise<ChannelState> {
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

  /** Leaves idle without waiting for a call; otherwise does nothing. */
  connect(): void {
    if (this.#state !== "idle") return;
    this.#last_used_ms = Date.now();
    this.#startSweeping();
    if (this.#balancer === undefined) {
      this.#balancer = this.#createBalancer();
      this.#balancer.connect();
      this.#resolver.start();
    } else {
      this.#balancer.connect();
    }
    this.#refresh();
  }

  /** Ends every call with CANCELLED and closes; resolves when the sockets are closed. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** The same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#setState("shutdown");
    const error = new GrpcError("the channel was closed", Code.CANCELLED);
    for (const call of this.#queue.all()) call.finish(error);
    this.#resolver.stop();
    const open = [...this.#active];
    for (const { connections } of open) {
      for (const { streams } of connections) {
        for (const stream of [...streams.values()]) stream.call.cancel(error);
      }
    }
    this.#balancer?.stop();
    for (const subchannel of open) subchannel.shutdown("the channel was closed");
    if (this.#active.size > 0) await new Promise<void>((resolve) => this.#onLastGone = resolve);
    clearInterval(this.#sweeper);
  }

  /**
   * Begins a call; it ends by itself, never by a throw here.
   *
   * @param request the one request's bytes, or undefined when requests are streamed
   */
  call(path: string, request: Uint8Array | undefined, options: CallOptions): ClientCall {
    this.#calls_begun++;
    const call = new ClientCall({
      path,
      request,
      options,
      receive_message_bytes: this.#bounds.receive_message_bytes,
      retry: this.#retries?.of(path),
    }, this.#placer);
    const oversize = request === undefined ? undefined : this.checkSendSize(request);
    if (oversize !== undefined) call.finish(oversize);
    else call.start();
    return call;
  }

  /** Why a request may not be sent, if it may not. */
  checkSendSize(request: Uint8Array): GrpcError | undefined {
    const limit = this.#bounds.send_message_bytes;
    if (request.length <= limit) return undefined;
    return new GrpcError(
      `the request message is larger than ${limit} bytes`,
      Code.RESOURCE_EXHAUSTED,
    );
  }

  #place(call: ClientCall): void {
    if (this.#state === "shutdown") {
      return call.finish(new GrpcError("the channel was closed", Code.CANCELLED));
    }
    const connection = this.#queue.noneWaits ? this.#balancer?.pick() : undefined;
    if (connection !== undefined) return this.#open(call, connection);
    if (this.#queue.isFull) return call.finish(tooManyCalls());
    if (this.#state === "transient_failure" && call.spec.options.wait_for_ready !== true) {
      return call.fail(this.#unavailable());
    }
    this.#queue.add(call);
    this.#holdProcess();
    this.connect();
  }

  #placeAfter(call: ClientCall, wait_ms: number): void {
    if (this.#queue.isFull) return call.finish(tooManyCalls());
    const timer = setTimeout(() => {
      if (this.#queue.release(call)) this.#place(call);
    }, wait_ms);
    this.#queue.hold(call, () => clearTimeout(timer));
  }

  #withdraw(call: ClientCall): void {
    if (!this.#queue.isEmpty && this.#queue.remove(call)) this.#holdProcess();
  }

  #open(call: ClientCall, connection: ClientConnection): void {
    const { path, options } = call.spec;
    const rest_ms = call.deadline_ms === undefined
      ? undefined
      : Math.max(0, call.deadline_ms - Date.now());
    const limit = connection.peer.header_list_bytes;
    if (this.#headers.metadataBytes(options.metadata) > limit) {
      const text = `the request metadata is larger than the server's limit of ${limit} bytes`;
      return call.finish(new GrpcError(text, Code.RESOURCE_EXHAUSTED));
    }
    const previous_attempts = call.spec.retry?.previous_attempts ?? 0;
    connection.open(
      call,
      this.#headers.block(path, rest_ms, options.metadata, previous_attempts),
    );
  }

  /** Opens waiting calls while there is room. */
  #openWaiting(): void {
    for (const call of this.#queue.waiting()) {
      const connection = this.#balancer?.pick();
      if (connection === undefined) return;
      this.#withdraw(call);
      this.#open(call, connection);
    }
  }

  #createSubchannel(address: Address): Subchannel {
    return new Subchannel(address, this.#settings, {
      onSubchannelState: (subchannel) => {
        if (subchannel.state === "connecting") this.#active.add(subchannel);
        this.#balancer?.onSubchannelState(subchannel);
        this.#refresh();
      },
      onRoom: () => {
        if (!this.#queue.noneWaits) this.#openWaiting();
      },
      onSubchannelEmpty: (subchannel) => {
        this.#active.delete(subchannel);
        if (this.#active.size === 0) this.#onLastGone?.();
      },
    });
  }

  #onAddresses(addresses: readonly Address[]): void {
    this.#resolve_failure = undefined;
    this.#balancer?.update(addresses);
    this.#refresh();
  }

  #onResolveFailed(text: string): void {
    this.#resolve_failure = text;
    this.#refresh();
  }

  /** Takes over the policy's state, and does for waiting calls what it allows. */
  #refresh(): void {
    if (this.#state === "shutdown") return;
    const unresolved = this.#resolve_failure !== undefined && this.#balancer?.isEmpty === true;
    this.#setState(unresolved ? "transient_failure" : this.#balancer?.state ?? "idle");
    if (this.#queue.noneWaits) return;
    if (this.#state === "ready") return this.#openWaiting();
    // Calls that waited for room on a connection that is gone need another one.
    if (this.#state === "idle") return this.connect();
    if (this.#state !== "transient_failure") return;
    const error = this.#unavailable();
    for (const call of [...this.#queue.waiting()]) {
      if (call.spec.options.wait_for_ready === true) continue;
      this.#withdraw(call);
      call.fail(error);
    }
  }

  #setState(state: ChannelState): void {
    if (state === this.#state) return;
    this.#state = state;
    for (const settle of [...this.#watchers]) settle();
  }

  #unavailable(): GrpcError {
    const { text } = this.#target;
    const reason = this.#resolve_failure ?? this.#balancer?.failure ?? "";
    return new GrpcError(`cannot connect to \`${text}\`: ${reason}`, Code.UNAVAILABLE);
  }

  // Time

  #startSweeping(): void {
    this.#sweeper ??= setInterval(() => this.#sweep(), this.#bounds.sweep_interval_ms);
    this.#holdProcess();
  }

  /** Calls that wait keep the process alive; whatever else is open does so by itself. */
  #holdProcess(): void {
    if (this.#sweeper === undefined) return;
    if (this.#queue.isEmpty) Deno.unrefTimer(this.#sweeper);
    else Deno.refTimer(this.#sweeper);
  }

  #sweep(): void {
    const now_ms = performance.now();
    let busy = !this.#queue.isEmpty || this.#calls_begun !== this.#calls_seen;
    for (const subchannel of [...this.#active]) {
      for (const connection of [...subchannel.connections]) {
        connection.sweep(now_ms);
        busy ||= connection.streams.size > 0;
      }
    }
    this.#calls_seen = this.#calls_begun;
    if (busy) this.#last_used_ms = Date.now();
    else if (Date.now() - this.#last_used_ms >= this.#idle_timeout_ms) this.#enterIdle();
    if (this.#active.size > 0 || !this.#queue.isEmpty || this.#state !== "idle") return;
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

function tooManyCalls(): GrpcError {
  return new GrpcError("too many calls wait for the channel", Code.UNAVAILABLE);
}

function boundsOf(options: ChannelOptions): Bounds {
  return withBounds(CLIENT_BOUNDS, {
    ...definedOnly({
      receive_message_bytes: options.max_receive_message_bytes,
      send_message_bytes: options.max_send_message_bytes,
      keepalive_interval_ms: options.keepalive_interval_ms,
      keepalive_timeout_ms: options.keepalive_timeout_ms,
    }),
    ...options.bounds,
  });
}

function definedOnly(values: Record<string, number | undefined>): Partial<Bounds> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as Partial<Bounds>;
}
