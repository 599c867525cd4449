/**
 * A channel: one target, and the calls on their way to it.
 *
 * @module
 */

import { type Bounds, CLIENT_BOUNDS, withBounds } from "../bounds.ts";
import { Code } from "../code.ts";
import { checkedCompression, compress, type Compression } from "../compression.ts";
import { GrpcError } from "../grpc_error.ts";
import type { Metadata } from "../metadata.ts";
import type { Backoff } from "./backoff.ts";
import { type CallPlacer, ClientCall } from "./call.ts";
import { CallQueue } from "./call_queue.ts";
import type { ClientConnection } from "./connection.ts";
import { type ChannelState, Connectivity } from "./connectivity.ts";
import {
  askCredentials,
  type CallCredentials,
  credentialsContext,
  PLAINTEXT_REFUSAL,
} from "./credentials.ts";
import type { ClientInterceptor } from "./interceptor.ts";
import { type CallOptions, type ChannelOptions, checkOptions } from "./options.ts";
import { RequestHeaders } from "./request_headers.ts";
import { resolveByDns } from "./resolver.ts";
import { Retries } from "./retry.ts";
import { authorityOf, parseTarget, type Target } from "./target.ts";

const CONNECT_TIMEOUT_MS = 5000;
const BACKOFF: Backoff = { initial_ms: 100, max_ms: 5000 };
const IDLE_TIMEOUT_MS = 30 * 60_000;
const RESOLVE_INTERVAL_MS = 30_000;

/**
 * A channel to one target. Connects with the first call. While no address can be reached, calls end
 * with UNAVAILABLE unless they ask to wait for readiness, and it goes on connecting in the
 * background: after a backoff that grows, until nobody has called for `idle_timeout_ms`.
 */
export class Channel implements AsyncDisposable {
  /** Around every call of every client of this channel. */
  readonly interceptors: readonly ClientInterceptor[];
  readonly #bounds: Bounds;
  readonly #authority: string;
  readonly #headers: RequestHeaders;
  readonly #compression: Compression;
  readonly #retries: Retries | undefined;
  readonly #credentials: readonly CallCredentials[];
  readonly #may_send_credentials: boolean;
  readonly #connectivity: Connectivity;
  readonly #placer: CallPlacer;
  readonly #queue = new CallQueue();
  #closing: Promise<void> | undefined;

  /**
   * @param target `host:port`, `dns:///host:port`, `unix:/path`, `ipv4:a:port,b:port`,
   * `ipv6:[a]:port,[b]:port`, or a list of `host:port` and `unix:/path`
   * @throws TypeError when the target or the options make no sense
   * @throws RangeError when a bound makes no sense
   */
  constructor(target: string | readonly string[], options: ChannelOptions = {}) {
    const { tls, credentials } = options;
    const parsed = parseTarget(target);
    checkOptions(options, parsed.addresses.some((each) => each.kind === "unix"));
    this.interceptors = [...options.interceptors ?? []];
    this.#bounds = boundsOf(options);
    this.#authority = options.authority ?? authorityOf(parsed, tls?.serverName);
    const scheme = tls === undefined ? "http" : "https";
    this.#headers = new RequestHeaders(scheme, this.#authority, options.metadata);
    this.#compression = checkedCompression(options.compression) ?? "identity";
    this.#retries = options.retry === undefined ? undefined : new Retries(options.retry);
    this.#credentials = credentials === undefined ? [] : [credentials];
    this.#may_send_credentials = tls !== undefined || options.allow_plaintext_credentials === true;
    this.#connectivity = this.#connectivityOf(parsed, options);
    this.#placer = {
      place: (call) => this.#place(call),
      placeAfter: (call, wait_ms) => this.#placeAfter(call, wait_ms),
      withdraw: (call) => this.#withdraw(call),
    };
  }

  /** How the channel stands; a call may change it. */
  get state(): ChannelState {
    return this.#connectivity.state;
  }

  /**
   * Waits for a state other than `last`; a change and its return in between may go unseen. Once the
   * channel is closed the state changes no more.
   *
   * @returns the state then
   * @throws the signal's reason, when it aborts first
   */
  watchState(last: ChannelState, signal?: AbortSignal): Promise<ChannelState> {
    return this.#connectivity.watch(last, signal);
  }

  /** Leaves idle without waiting for a call; otherwise does nothing. */
  connect(): void {
    this.#connectivity.connect();
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
    this.#connectivity.beginClose();
    const error = new GrpcError("the channel was closed", Code.CANCELLED);
    for (const call of this.#queue.all()) call.finish(error);
    for (const { streams } of this.#connectivity.connections()) {
      for (const stream of [...streams.values()]) stream.call.cancel(error);
    }
    await this.#connectivity.close();
  }

  /**
   * Begins a call; it ends by itself, never by a throw here.
   *
   * @param request the one request's bytes, or undefined when requests are streamed
   */
  call(path: string, request: Uint8Array | undefined, options: CallOptions): ClientCall {
    this.#connectivity.touch();
    const { receive_message_bytes, compression_min_bytes } = this.#bounds;
    const oversize = request === undefined ? undefined : this.checkSendSize(request);
    const compression = options.compression ?? this.#compression;
    const compresses = compression === "gzip" && request !== undefined && oversize === undefined;
    const call = new ClientCall({
      path,
      request: compresses ? compress(request, compression_min_bytes) : request,
      compression,
      compression_min_bytes,
      options,
      receive_message_bytes,
      retry: this.#retries?.of(path),
    }, this.#placer);
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

  #connectivityOf(target: Target, options: ChannelOptions): Connectivity {
    const { tls, load_balancing = "pick_first", backoff = BACKOFF } = options;
    const spread = load_balancing === "round_robin";
    return new Connectivity({
      target,
      load_balancing,
      resolve: options.resolve ?? (spread ? resolveByDns : undefined),
      resolve_interval_ms: options.resolve_interval_ms ?? RESOLVE_INTERVAL_MS,
      idle_timeout_ms: options.idle_timeout_ms ?? IDLE_TIMEOUT_MS,
      subchannel: {
        tls,
        server_name: tls?.serverName ?? target.name?.hostname,
        connect_timeout_ms: options.connect_timeout_ms ?? CONNECT_TIMEOUT_MS,
        backoff,
        permits_ping_without_calls: options.keepalive_permit_without_calls ?? false,
        bounds: this.#bounds,
      },
    }, {
      onState: (state) => this.#onState(state),
      onRoom: () => {
        if (!this.#queue.noneWaits) this.#openWaiting();
      },
      isWaitedFor: () => !this.#queue.isEmpty,
    });
  }

  // Calls without a stream

  #place(call: ClientCall): void {
    const connection = this.#queue.noneWaits ? this.#connectivity.pick() : undefined;
    if (connection !== undefined) return this.#open(call, connection);
    const { state } = this.#connectivity;
    if (state === "shutdown") {
      return call.finish(new GrpcError("the channel was closed", Code.CANCELLED));
    }
    if (this.#queue.isFull) return call.finish(tooManyCalls());
    if (state === "transient_failure" && call.spec.options.wait_for_ready !== true) {
      return call.fail(new GrpcError(this.#connectivity.failure, Code.UNAVAILABLE));
    }
    this.#queue.add(call);
    this.#connectivity.holdProcess();
    this.#connectivity.connect();
  }

  #placeAfter(call: ClientCall, wait_ms: number): void {
    if (this.#queue.isFull) return call.finish(tooManyCalls());
    const timer = setTimeout(() => {
      if (this.#queue.release(call)) this.#place(call);
    }, wait_ms);
    this.#queue.hold(call, () => clearTimeout(timer));
  }

  #withdraw(call: ClientCall): void {
    if (!this.#queue.isEmpty && this.#queue.remove(call)) this.#connectivity.holdProcess();
  }

  #onState(state: ChannelState): void {
    if (this.#queue.noneWaits) return;
    if (state === "ready") return this.#openWaiting();
    // Calls that waited for room on a connection that is gone need another one.
    if (state === "idle") return this.#connectivity.connect();
    if (state !== "transient_failure") return;
    const error = new GrpcError(this.#connectivity.failure, Code.UNAVAILABLE);
    for (const call of [...this.#queue.waiting()]) {
      if (call.spec.options.wait_for_ready === true) continue;
      this.#withdraw(call);
      call.fail(error);
    }
  }

  /** Opens waiting calls while there is room. */
  #openWaiting(): void {
    for (const call of this.#queue.waiting()) {
      const connection = this.#connectivity.pick();
      if (connection === undefined) return;
      this.#withdraw(call);
      this.#open(call, connection);
    }
  }

  #open(call: ClientCall, connection: ClientConnection): void {
    const { path, options, retry } = call.spec;
    if (options.credentials !== undefined || this.#credentials.length > 0) {
      if (call.authorization === undefined) return this.#authorize(call);
    }
    const rest_ms = call.deadline_ms === undefined
      ? undefined
      : Math.max(0, call.deadline_ms - Date.now());
    const limit = connection.peer.header_list_bytes;
    if (this.#headers.metadataBytes(options.metadata, call.authorization) > limit) {
      const text = `the request metadata is larger than the server's limit of ${limit} bytes`;
      return call.finish(new GrpcError(text, Code.RESOURCE_EXHAUSTED));
    }
    connection.open(
      call,
      this.#headers.block(
        path,
        rest_ms,
        options.metadata,
        call.authorization,
        call.spec.compression,
        retry?.previous_attempts ?? 0,
      ),
    );
  }

  /** Asks for the call's credentials, once there is a connection to use them on. */
  #authorize(call: ClientCall): void {
    const own = call.spec.options.credentials;
    if (!this.#may_send_credentials) {
      return call.finish(new GrpcError(PLAINTEXT_REFUSAL, Code.UNAUTHENTICATED));
    }
    if (this.#queue.isFull) return call.finish(tooManyCalls());
    const abort = new AbortController();
    const all = own === undefined ? this.#credentials : [...this.#credentials, own];
    // Held before they are asked: asking may end the call.
    this.#queue.hold(call, () => abort.abort());
    const settle = (given: Metadata | GrpcError) => {
      if (!this.#queue.release(call)) return;
      if (given instanceof GrpcError) return call.fail(given);
      call.authorization = given;
      this.#place(call);
    };
    const given = askCredentials(
      all,
      credentialsContext(call.spec.path, this.#authority, abort.signal),
    );
    if (given instanceof Promise) given.then(settle);
    else settle(given);
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
