/**
 * A gRPC server: services, listeners, connections, shutdown.
 *
 * @module
 */

import type { DescService } from "@bufbuild/protobuf";
import { type Bounds, type Refusal, SERVER_BOUNDS, withBounds } from "../bounds.ts";
import { checkedCompression } from "../compression.ts";
import { Deadlines } from "../deadlines.ts";
import type { Transport } from "../http2/transport.ts";
import type { Peer } from "../peer.ts";
import { countRefused, type ServerShare } from "./accounting.ts";
import { AddressCounts } from "./address_counts.ts";
import { type ConnectionShare, ServerConnection } from "./connection.ts";
import { type Acceptor, bind, type BoundListener, type ListenOptions } from "./listener.ts";
import { closeGreediest } from "./output_total.ts";
import { ReadGate } from "./read_gate.ts";
import { type Route, type RouteDefaults, routesOf } from "./route.ts";
import { ServerCounters, type ServerStats } from "./stats.ts";
import type { ServerEvent, ServerOptions, ServiceHandlers, ServiceOptions } from "./types.ts";

const GRACE_MS = 10_000;

/** A way for calls to come in that is no connection of ours; it lives as long as its server. */
export interface Doorway {
  /** Whether calls are open: only then is it swept. */
  readonly busy: boolean;
  sweep(now_ms: number): void;
  /** Lets no more calls in; resolves when the last has ended. Those open after `grace_ms` are aborted. */
  drain(grace_ms: number): Promise<void>;
  /** Ends what is still open. */
  abort(): void;
}

/** What a doorway gets of its server. */
export interface DoorwayHost extends ServerShare {
  /** To be called when a doorway becomes busy. */
  startSweeping(): void;
  /** To be called when a doorway ends before its server. */
  leave(): void;
}

/** Opens a doorway of a server; for the rooms of this module. Throws TypeError after shutdown. */
export let openDoorway: <D extends Doorway>(
  server: GrpcServer,
  make: (host: DoorwayHost) => D,
) => D;

/** Adds routes to a server, and gives the gate that holds its connections back. As above. */
export let addGatedRoutes: (server: GrpcServer, routes: readonly Route[]) => ReadGate;

/** Serves gRPC on any number of listeners. */
export class GrpcServer {
  static {
    openDoorway = (server, make) => server.#openDoorway(make);
    addGatedRoutes = (server, routes) => server.#addGatedRoutes(routes);
  }

  readonly #bounds: Bounds;
  readonly #defaults: RouteDefaults;
  readonly #emit: ((event: ServerEvent) => void) | undefined;
  readonly #routes = new Map<string, Route>();
  readonly #counters = new ServerCounters();
  readonly #deadlines = new Deadlines();
  readonly #share: ConnectionShare & { readonly gate: ReadGate };
  readonly #connections = new Set<ServerConnection>();
  readonly #doorways = new Set<Doorway>();
  readonly #listeners = new Set<BoundListener>();
  readonly #addresses: AddressCounts;
  #handshakes = 0;
  #sweeper: ReturnType<typeof setInterval> | undefined;
  #shutdown: Promise<void> | undefined;
  #onLastGone: (() => void) | undefined;

  /**
   * @throws RangeError when a bound is not a number of at least 0
   * @throws TypeError when the compression is unknown
   */
  constructor(options: ServerOptions = {}) {
    this.#bounds = withBounds(SERVER_BOUNDS, options.bounds);
    this.#addresses = new AddressCounts(this.#bounds);
    this.#defaults = {
      interceptors: options.interceptors ?? [],
      compression: checkedCompression(options.compression) ?? "identity",
    };
    const { onEvent } = options;
    if (onEvent !== undefined) {
      this.#emit = (event) => {
        try {
          onEvent(event);
        } catch {
          // An observer must not break what it observes.
        }
      };
    }
    this.#share = {
      bounds: this.#bounds,
      routes: this.#routes,
      counters: this.#counters,
      deadlines: this.#deadlines,
      emit: this.#emit,
      gate: new ReadGate(),
    };
  }

  /** Counters since the server was made. */
  get stats(): ServerStats {
    return this.#counters;
  }

  /**
   * Adds a service. Methods without a handler answer UNIMPLEMENTED.
   *
   * @throws TypeError when a handler names no method, or a method is added twice
   */
  addService<S extends DescService>(
    service: S,
    handlers: Partial<ServiceHandlers<S>>,
    options: ServiceOptions<S> = {},
  ): this {
    for (const route of routesOf(service, handlers, this.#defaults, options)) {
      if (this.#routes.has(route.path)) {
        throw new TypeError(`method \`${route.path}\` is added twice`);
      }
      this.#routes.set(route.path, route);
    }
    return this;
  }

  /**
   * Binds and starts accepting.
   *
   * @throws whatever binding reports, for example Deno.errors.AddrInUse; TypeError after shutdown
   */
  async listen(options: ListenOptions): Promise<BoundListener> {
    if (this.#shutdown !== undefined) throw new TypeError("cannot listen: the server is shut down");
    const listener = await bind(options, this.#acceptor());
    const entry: BoundListener = {
      ...listener,
      close: async () => {
        this.#listeners.delete(entry);
        await listener.close();
      },
    };
    this.#listeners.add(entry);
    this.#startSweeping();
    return entry;
  }

  /**
   * Ends gracefully: stops accepting, tells every peer, lets calls finish for `grace_ms`
   * (default 10 s), then aborts what is left and closes. Later calls wait for the first.
   */
  shutdown(options: { grace_ms?: number } = {}): Promise<void> {
    return this.#shutdown ??= this.#end(options.grace_ms ?? GRACE_MS);
  }

  async #end(grace_ms: number): Promise<void> {
    const gone = [...this.#doorways].map((doorway) => doorway.drain(grace_ms));
    await Promise.all([...this.#listeners].map((listener) => listener.close()));
    for (const connection of [...this.#connections]) connection.drain();
    if (this.#connections.size > 0) {
      gone.push(new Promise((resolve) => this.#onLastGone = resolve));
    }
    if (gone.length > 0) {
      const abort = setTimeout(() => {
        for (const connection of [...this.#connections]) connection.abort();
        for (const doorway of this.#doorways) doorway.abort();
      }, grace_ms);
      this.#startSweeping();
      await Promise.all(gone);
      clearTimeout(abort);
    }
    this.#stopSweeping();
  }

  #openDoorway<D extends Doorway>(make: (host: DoorwayHost) => D): D {
    if (this.#shutdown !== undefined) throw new TypeError("the server is shut down");
    const doorway = make({
      ...this.#share,
      startSweeping: () => this.#startSweeping(),
      leave: () => this.#doorways.delete(doorway),
    });
    this.#doorways.add(doorway);
    return doorway;
  }

  #acceptor(): Acceptor {
    return {
      handshake_timeout_ms: this.#bounds.handshake_timeout_ms,
      admit: (peer) => this.#admit(peer),
      onConnection: (transport, peer) => this.#onConnection(transport, peer),
      onHandshakeFailed: (peer, timed_out) => {
        this.#handshakes--;
        this.#addresses.of(peer).releaseConnection();
        this.#refuse(timed_out ? "handshake_timeout" : "tls_handshake", peer);
      },
      onAcceptFailed: (reason) => this.#emit?.({ type: "accept_failed", reason }),
    };
  }

  #admit(peer: Peer): boolean {
    if (this.#connections.size + this.#handshakes >= this.#bounds.connections) {
      this.#refuse("connections", peer);
      return false;
    }
    if (!this.#addresses.of(peer).takeConnection()) {
      this.#refuse("connections_per_address", peer);
      return false;
    }
    this.#handshakes++;
    return true;
  }

  #refuse(refusal: Refusal, peer: Peer): void {
    countRefused(this.#share, refusal, peer);
  }

  #addGatedRoutes(routes: readonly Route[]): ReadGate {
    for (const route of routes) this.#routes.set(route.path, route);
    return this.#share.gate;
  }

  #onConnection(transport: Transport, peer: Peer): void {
    this.#handshakes--;
    const connection = new ServerConnection(
      transport,
      peer,
      this.#share,
      (gone) => this.#onGone(gone),
      this.#addresses.of(peer),
    );
    this.#connections.add(connection);
    this.#counters.connections_accepted++;
    this.#counters.connections_open++;
    this.#emit?.({ type: "connection_opened", peer });
    connection.run();
    if (this.#shutdown !== undefined) connection.drain();
  }

  #onGone(connection: ServerConnection): void {
    if (!this.#connections.delete(connection)) return;
    connection.account.releaseConnection();
    this.#counters.connections_open--;
    if (this.#connections.size > 0) return;
    this.#onLastGone?.();
    if (this.#listeners.size === 0) this.#stopIfQuiet();
  }

  #stopIfQuiet(): void {
    for (const doorway of this.#doorways) if (doorway.busy) return;
    this.#stopSweeping();
  }

  #startSweeping(): void {
    this.#sweeper ??= setInterval(() => {
      const now_ms = performance.now();
      for (const connection of [...this.#connections]) connection.sweep(now_ms);
      for (const doorway of this.#doorways) doorway.sweep(now_ms);
      closeGreediest(this.#connections, this.#bounds.server_output_bytes);
      if (this.#listeners.size === 0 && this.#connections.size === 0) this.#stopIfQuiet();
    }, this.#bounds.sweep_interval_ms);
  }

  #stopSweeping(): void {
    if (this.#sweeper !== undefined) clearInterval(this.#sweeper);
    this.#sweeper = undefined;
    this.#deadlines.rest();
  }
}
