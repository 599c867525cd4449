/**
 * The web calls of one server: how many may be open, and how they end with it.
 *
 * @module
 */

import type { Bounds } from "../bounds.ts";
import { type DecompressionProblem, Decompressor } from "../compression.ts";
import type { Deadlines } from "../deadlines.ts";
import { type Doorway, type DoorwayHost, type GrpcServer, openDoorway } from "../server/server.ts";
import type { Route } from "../server/route.ts";
import type { ServerCounters } from "../server/stats.ts";
import type { ServerEvent } from "../server/types.ts";
import { type ExchangeRoom, WebExchange, type WebRequest } from "./exchange.ts";

const ROOMS = new WeakMap<GrpcServer, WebCalls>();

/** Every open web call of one server, whichever handler it came through. */
export class WebCalls implements Doorway, ExchangeRoom {
  readonly bounds: Bounds;
  readonly routes: ReadonlyMap<string, Route>;
  readonly counters: ServerCounters;
  readonly deadlines: Deadlines;
  readonly emit: ((event: ServerEvent) => void) | undefined;
  pending_bytes = 0;

  readonly #decompressor: Decompressor;
  readonly #host: DoorwayHost;
  readonly #open = new Set<WebExchange>();
  #drained: Promise<void> | undefined;
  #onLastClosed: (() => void) | undefined;

  private constructor(host: DoorwayHost) {
    this.#host = host;
    this.bounds = host.bounds;
    this.routes = host.routes;
    this.counters = host.counters;
    this.deadlines = host.deadlines;
    this.emit = host.emit;
    this.#decompressor = new Decompressor(host.bounds);
  }

  /** @throws TypeError when the server is shut down */
  static of(server: GrpcServer): WebCalls {
    const known = ROOMS.get(server);
    if (known !== undefined) return known;
    const made = openDoorway(server, (host) => new WebCalls(host));
    ROOMS.set(server, made);
    return made;
  }

  get busy(): boolean {
    return this.#open.size > 0;
  }

  /** Why no further call may begin, if none may. */
  get closedFor(): "draining" | "full" | undefined {
    if (this.#drained !== undefined) return "draining";
    return this.#open.size >= this.bounds.web_calls ? "full" : undefined;
  }

  /** Begins a call. */
  open(request: WebRequest): Promise<Response> {
    const exchange = new WebExchange(this, request);
    this.#open.add(exchange);
    this.#host.startSweeping();
    exchange.start();
    return exchange.response;
  }

  decompress(compressed: Uint8Array): Uint8Array<ArrayBuffer> | DecompressionProblem {
    return this.#decompressor.decompress(compressed);
  }

  onClosed(exchange: WebExchange): void {
    this.#open.delete(exchange);
    if (this.#open.size === 0) this.#onLastClosed?.();
  }

  sweep(now_ms: number): void {
    for (const exchange of [...this.#open]) exchange.sweep(now_ms);
  }

  drain(): Promise<void> {
    return this.#drained ??= this.#open.size === 0
      ? Promise.resolve()
      : new Promise((resolve) => this.#onLastClosed = resolve);
  }

  abort(): void {
    for (const exchange of [...this.#open]) exchange.abort();
    // A handler that does not hear its signal must not hold the server.
    this.#onLastClosed?.();
  }
}
