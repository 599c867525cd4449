/**
 * A channel: one target, at most one connection that takes new calls, made when a call needs it and
 * made anew when it is lost.
 *
 * @module
 */

import { type Bounds, CHANNEL_WAITING_CALLS_MAX, CLIENT_BOUNDS, withBounds } from "../bounds.ts";
import { Code } from "../code.ts";
import { GrpcError } from "../grpc_error.ts";
import type { Transport } from "../http2/transport.ts";
import { type CallPlacer, ClientCall } from "./call.ts";
import { openTransport } from "./connect.ts";
import { ClientConnection } from "./connection.ts";
import type { Backoff, CallOptions, ChannelOptions, ChannelTls } from "./options.ts";
import { RequestHeaders } from "./request_headers.ts";
import { authorityOf, parseTarget, type Target } from "./target.ts";

const CONNECT_TIMEOUT_MS = 5000;
const BACKOFF: Backoff = { initial_ms: 100, max_ms: 5000 };
const BACKOFF_FACTOR = 1.6;
const BACKOFF_JITTER = 0.2;

/** How a channel stands. */
export type ChannelState = "idle" | "connecting" | "ready" | "transient_failure" | "shutdown";

/**
 * A channel to one target. Connects with the first call; after a failed connect, calls fail with
 * UNAVAILABLE until the backoff has passed, and the first call after that connects again.
 */
export class Channel {
  readonly #name: string;
  readonly #target: Target;
  readonly #tls: ChannelTls | undefined;
  readonly #bounds: Bounds;
  readonly #connect_timeout_ms: number;
  readonly #backoff: Backoff;
  readonly #headers: RequestHeaders;
  readonly #connections = new Set<ClientConnection>();
  readonly #waiting = new Set<ClientCall>();
  readonly #placer: CallPlacer;
  #current: ClientConnection | undefined;
  #connecting: AbortController | undefined;
  #connect_done: Promise<void> | undefined;
  #failures = 0;
  #retry_at_ms = 0;
  #last_failure = "";
  #closed = false;
  #sweeper: ReturnType<typeof setInterval> | undefined;
  #onLastGone: (() => void) | undefined;

  /**
   * @param target `host:port`, `unix:/path`
   * @throws TypeError when the target or the TLS options make no sense
   */
  constructor(target: string, options: ChannelOptions = {}) {
    this.#name = target;
    this.#target = parseTarget(target);
    this.#tls = options.tls;
    if ((this.#tls?.cert === undefined) !== (this.#tls?.key === undefined)) {
      throw new TypeError("tls has one of `cert` and `key`: give both or neither");
    }
    if (this.#tls !== undefined && this.#target.kind === "unix") {
      throw new TypeError("tls over a Unix socket is not supported: leave `tls` out");
    }
    this.#bounds = withBounds(CLIENT_BOUNDS, {
      ...definedOnly({
        receive_message_bytes: options.max_receive_message_bytes,
        send_message_bytes: options.max_send_message_bytes,
        keepalive_interval_ms: options.keepalive_interval_ms,
        keepalive_timeout_ms: options.keepalive_timeout_ms,
      }),
      ...options.bounds,
    });
    this.#connect_timeout_ms = options.connect_timeout_ms ?? CONNECT_TIMEOUT_MS;
    this.#backoff = options.backoff ?? BACKOFF;
    const scheme = this.#tls === undefined ? "http" : "https";
    const authority = authorityOf(this.#target, this.#tls?.serverName);
    this.#headers = new RequestHeaders(scheme, authority, options.metadata);
    this.#placer = {
      place: (call) => this.#place(call),
      withdraw: (call) => void this.#waiting.delete(call),
    };
  }

  /** How the channel stands; a call may change it. */
  get state(): ChannelState {
    if (this.#closed) return "shutdown";
    if (this.#current?.phase === "open") return "ready";
    if (this.#connecting !== undefined) return "connecting";
    return Date.now() < this.#retry_at_ms ? "transient_failure" : "idle";
  }

  /** Ends every call with CANCELLED and closes; resolves when the sockets are closed. */
  async close(): Promise<void> {
    this.#closed = true;
    const error = new GrpcError("the channel was closed", Code.CANCELLED);
    for (const call of [...this.#waiting]) call.finish(error);
    this.#connecting?.abort(error);
    await this.#connect_done;
    if (this.#connections.size > 0) {
      const gone = new Promise<void>((resolve) => this.#onLastGone = resolve);
      for (const connection of [...this.#connections]) {
        for (const stream of [...connection.streams.values()]) stream.call.cancel(error);
        connection.shutdown("the channel was closed");
      }
      await gone;
    }
    clearInterval(this.#sweeper);
  }

  /**
   * Begins a call; it ends by itself, never by a throw here.
   *
   * @param request the one request's bytes, or undefined when requests are streamed
   */
  call(path: string, request: Uint8Array | undefined, options: CallOptions): ClientCall {
    const call = new ClientCall({
      path,
      request,
      options,
      receive_message_bytes: this.#bounds.receive_message_bytes,
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
    if (this.#closed) return call.finish(new GrpcError("the channel was closed", Code.CANCELLED));
    if (this.#current?.hasRoom === true && this.#waiting.size === 0) {
      return this.#open(call, this.#current);
    }
    if (this.#waiting.size >= CHANNEL_WAITING_CALLS_MAX) {
      return call.finish(new GrpcError("too many calls wait for the channel", Code.UNAVAILABLE));
    }
    if (this.#current === undefined && this.#connecting === undefined) {
      if (Date.now() < this.#retry_at_ms) return call.finish(this.#unavailable());
      this.#waiting.add(call);
      this.#connect_done = this.#connect();
      return;
    }
    this.#waiting.add(call);
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
    connection.open(call, this.#headers.block(path, rest_ms, options.metadata));
  }

  /** Opens waiting calls while there is room. */
  #openWaiting(connection: ClientConnection): void {
    if (connection !== this.#current) return;
    for (const call of this.#waiting) {
      if (!connection.hasRoom) return;
      this.#waiting.delete(call);
      this.#open(call, connection);
    }
  }

  /** One attempt to connect; never rejects. */
  async #connect(): Promise<void> {
    const abort = new AbortController();
    this.#connecting = abort;
    const timer = setTimeout(() => {
      abort.abort(new Error(`no connection within ${this.#connect_timeout_ms} ms`));
    }, this.#connect_timeout_ms);
    try {
      const transport = await openTransport(this.#target, this.#tls, abort.signal);
      await this.#handshake(transport, abort.signal);
      this.#failures = 0;
      this.#connecting = undefined;
    } catch (reason) {
      this.#connecting = undefined;
      this.#onConnectFailed(abort.signal.aborted ? abort.signal.reason : reason);
    } finally {
      clearTimeout(timer);
    }
    if (this.#current !== undefined) this.#openWaiting(this.#current);
  }

  /** Runs a new connection; resolves with the server's SETTINGS, rejects when none come. */
  #handshake(transport: Transport, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      let ready = false;
      const connection = new ClientConnection(transport, this.#bounds, {
        onReady: (connection) => {
          ready = true;
          signal.removeEventListener("abort", onAbort);
          this.#current = connection;
          resolve();
        },
        onRoom: (connection) => this.#openWaiting(connection),
        onLeaving: (connection) => this.#onLeaving(connection),
        onClosed: (connection, text) => {
          signal.removeEventListener("abort", onAbort);
          this.#onClosed(connection);
          if (!ready) reject(new Error(`no HTTP/2 at the other end: ${text}`));
        },
      });
      const onAbort = () => connection.terminate("the connect was given up");
      signal.addEventListener("abort", onAbort);
      this.#connections.add(connection);
      this.#startSweeping();
      connection.run();
      if (signal.aborted) onAbort();
    });
  }

  #onConnectFailed(reason: unknown): void {
    const wait_ms = Math.min(
      this.#backoff.max_ms,
      this.#backoff.initial_ms * BACKOFF_FACTOR ** this.#failures++,
    );
    const jitter = 1 + BACKOFF_JITTER * (2 * Math.random() - 1);
    this.#retry_at_ms = Date.now() + wait_ms * jitter;
    this.#last_failure = reason instanceof Error ? reason.message : "unknown reason";
    const error = this.#unavailable();
    for (const call of [...this.#waiting]) call.finish(error);
  }

  #unavailable(): GrpcError {
    return new GrpcError(
      `cannot connect to \`${this.#name}\`: ${this.#last_failure}`,
      Code.UNAVAILABLE,
    );
  }

  #onLeaving(connection: ClientConnection): void {
    if (this.#current !== connection) return;
    this.#current = undefined;
    this.#reconnectForWaiting();
  }

  #onClosed(connection: ClientConnection): void {
    this.#connections.delete(connection);
    if (this.#current === connection) this.#current = undefined;
    if (this.#connections.size === 0) {
      clearInterval(this.#sweeper);
      this.#sweeper = undefined;
      this.#onLastGone?.();
    }
    this.#reconnectForWaiting();
  }

  /** Calls that waited for room on a connection that is gone need another one. */
  #reconnectForWaiting(): void {
    if (this.#closed || this.#waiting.size === 0 || this.#current !== undefined) return;
    if (this.#connecting !== undefined) return;
    this.#connect_done = this.#connect();
  }

  #startSweeping(): void {
    this.#sweeper ??= setInterval(() => {
      const now_ms = performance.now();
      for (const connection of [...this.#connections]) connection.sweep(now_ms);
    }, this.#bounds.sweep_interval_ms);
  }
}

function definedOnly(values: Record<string, number | undefined>): Partial<Bounds> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as Partial<Bounds>;
}
