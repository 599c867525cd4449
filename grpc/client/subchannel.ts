/**
 * One address of a channel: at most one connection that takes new calls, the backoff after failed
 * ones, and the connections that still finish old calls.
 *
 * @module
 */

import type { Bounds } from "../bounds.ts";
import type { Transport } from "../http2/transport.ts";
import { type Backoff, backoffWaitMs } from "./backoff.ts";
import { openTransport, type Security } from "./connect.ts";
import { ClientConnection } from "./connection.ts";
import type { Address } from "./target.ts";

/** How an address stands. */
export type SubchannelState =
  /** Nothing is tried; a backoff that was due has passed. */
  | "idle"
  | "connecting"
  | "ready"
  /** The last attempt failed; turns idle when the backoff has passed. */
  | "transient_failure";

/** What the subchannels of one channel share. */
export interface SubchannelSettings extends Security {
  readonly connect_timeout_ms: number;
  readonly backoff: Backoff;
  readonly permits_ping_without_calls: boolean;
  /** Looked at by each new connection. */
  bounds: Bounds;
}

/** What a subchannel tells its channel. */
export interface SubchannelListener {
  onSubchannelState(subchannel: Subchannel): void;
  /** There may be room for a waiting call. */
  onRoom(): void;
  /** The server finds our PING too frequent. */
  onTooManyPings(): void;
  /** The last connection is closed. */
  onSubchannelEmpty(subchannel: Subchannel): void;
}

/** A connection that lives shorter than this and answers nothing was no success. */
const PROVEN_LIFE_MS = 1000;

/** Connects to one address. */
export class Subchannel {
  readonly address: Address;
  readonly #settings: SubchannelSettings;
  readonly #listener: SubchannelListener;
  readonly #connections = new Set<ClientConnection>();
  #state: SubchannelState = "idle";
  #current: ClientConnection | undefined;
  /** The attempt that may still change the state. */
  #attempt: AbortController | undefined;
  #attempts_running = 0;
  #retry_at_ms = 0;
  #ready_at_ms = 0;
  #failures = 0;
  #failure = "";
  /** The last connection broke before it was of any use. */
  #unproven = false;
  #retry_timer: ReturnType<typeof setTimeout> | undefined;

  constructor(address: Address, settings: SubchannelSettings, listener: SubchannelListener) {
    this.address = address;
    this.#settings = settings;
    this.#listener = listener;
  }

  get state(): SubchannelState {
    return this.#state;
  }

  /** Why the last attempt failed. */
  get failure(): string {
    return this.#failure;
  }

  /** The connection new calls go to, while the state is ready. */
  get current(): ClientConnection | undefined {
    return this.#current;
  }

  /** Every connection not yet closed. */
  get connections(): ReadonlySet<ClientConnection> {
    return this.#connections;
  }

  /** Whether nothing is open or being opened. */
  get isEmpty(): boolean {
    return this.#connections.size === 0 && this.#attempts_running === 0;
  }

  /** Connects, when idle. */
  connect(): void {
    if (this.#state === "idle") this.#connect();
  }

  /** Gives up connecting and takes no new calls; open calls finish. Turns idle, silently. */
  disconnect(): void {
    clearTimeout(this.#retry_timer);
    const attempt = this.#attempt;
    const current = this.#current;
    this.#attempt = undefined;
    this.#current = undefined;
    this.#state = "idle";
    attempt?.abort(new Error("the connect was given up"));
    current?.leave();
  }

  /** Ends every connection, and with it every call. */
  shutdown(text: string): void {
    this.disconnect();
    for (const connection of [...this.#connections]) connection.shutdown(text);
  }

  /** One attempt; never rejects. */
  async #connect(): Promise<void> {
    const { backoff, connect_timeout_ms } = this.#settings;
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.#attempts_running++;
    const wait_ms = backoffWaitMs(backoff, this.#failures);
    this.#retry_at_ms = Date.now() + wait_ms;
    // An attempt may use up the whole wait that its failure would cost.
    const limit_ms = this.#failures === 0
      ? connect_timeout_ms
      : Math.max(connect_timeout_ms, Math.ceil(wait_ms));
    const timer = setTimeout(() => {
      attempt.abort(new Error(`no connection within ${limit_ms} ms`));
    }, limit_ms);
    this.#setState("connecting");
    let failure: unknown;
    try {
      const transport = await openTransport(this.address, this.#settings, attempt.signal);
      await this.#handshake(transport, attempt);
    } catch (reason) {
      failure = attempt.signal.aborted ? attempt.signal.reason : reason;
    }
    clearTimeout(timer);
    this.#attempts_running--;
    if (this.#attempt === attempt) {
      this.#fail(failure instanceof Error ? failure.message : "unknown reason");
    }
    this.#tellIfEmpty();
  }

  /** Runs a new connection; resolves with the server's SETTINGS, rejects when none come. */
  #handshake(transport: Transport, attempt: AbortController): Promise<void> {
    const { signal } = attempt;
    return new Promise((resolve, reject) => {
      const onAbort = () => connection.terminate("the connect was given up");
      const connection = new ClientConnection(transport, this.#settings.bounds, {
        onReady: (connection) => {
          signal.removeEventListener("abort", onAbort);
          this.#onReady(connection, attempt);
          resolve();
        },
        onRoom: () => this.#listener.onRoom(),
        onTooManyPings: () => this.#listener.onTooManyPings(),
        permitsPingWithoutCalls: this.#settings.permits_ping_without_calls,
        onLeaving: (connection) => this.#lose(connection),
        onClosed: (connection, text) => {
          signal.removeEventListener("abort", onAbort);
          this.#connections.delete(connection);
          reject(new Error(`no HTTP/2 at the other end: ${text}`));
          this.#lose(connection);
          this.#tellIfEmpty();
        },
      });
      signal.addEventListener("abort", onAbort);
      this.#connections.add(connection);
      connection.run();
      if (signal.aborted) onAbort();
    });
  }

  #onReady(connection: ClientConnection, attempt: AbortController): void {
    if (this.#attempt !== attempt) return connection.leave();
    this.#attempt = undefined;
    this.#current = connection;
    this.#ready_at_ms = Date.now();
    this.#setState("ready");
  }

  /** The connection takes no new calls any more. */
  #lose(connection: ClientConnection): void {
    if (this.#current !== connection) return;
    this.#current = undefined;
    const proven = connection.was_of_use || Date.now() - this.#ready_at_ms >= PROVEN_LIFE_MS;
    const repeated = this.#unproven && !proven;
    this.#unproven = !proven;
    if (proven) this.#failures = 0;
    // Twice in a row: else a server that ends each connection at once is dialled without a pause.
    if (repeated) this.#fail("the server ended its last connections before it answered anything");
    else this.#setState("idle");
  }

  #fail(text: string): void {
    this.#attempt = undefined;
    this.#failures++;
    this.#failure = text;
    const wait_ms = Math.max(0, this.#retry_at_ms - Date.now());
    this.#retry_timer = setTimeout(() => this.#setState("idle"), wait_ms);
    Deno.unrefTimer(this.#retry_timer);
    this.#setState("transient_failure");
  }

  #tellIfEmpty(): void {
    if (this.isEmpty) this.#listener.onSubchannelEmpty(this);
  }

  #setState(state: SubchannelState): void {
    this.#state = state;
    this.#listener.onSubchannelState(this);
  }
}
