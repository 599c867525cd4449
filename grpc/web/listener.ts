/**
 * A listener of the runtime's own HTTP server that answers with a web handler and ends with the
 * gRPC server.
 *
 * @module
 */

import type { BoundListener } from "../server/listener.ts";
import { type Doorway, type GrpcServer, openDoorway } from "../server/server.ts";
import { WebCalls } from "./calls.ts";
import { createWebHandler } from "./handler.ts";
import type { WebOptions } from "./options.ts";

/** Where to listen for web calls: HTTP/1.1 and HTTP/2, over TLS when there is a certificate. */
export interface WebListenOptions extends WebOptions {
  readonly hostname: string;
  readonly port: number;
  /** PEM texts, both or neither. */
  readonly cert?: string;
  readonly key?: string;
}

/**
 * After the last response was handed over: the runtime writes it in its next turns. Whoever does
 * not take it by then loses its end.
 */
const FLUSH_MS = 50;

/**
 * Serves gRPC-Web and Connect beside a server's gRPC listeners. `server.shutdown()` ends it too:
 * running calls finish within the grace, new ones are answered UNAVAILABLE, then every connection
 * is closed, whether its peer reads or not.
 *
 * @throws whatever binding reports, for example Deno.errors.AddrInUse; TypeError when the options
 * are not sound or the server is shut down
 */
export function serveWeb(server: GrpcServer, options: WebListenOptions): BoundListener {
  const handler = createWebHandler(server, options);
  const { hostname, port, cert, key } = options;
  if ((cert === undefined) !== (key === undefined)) {
    throw new TypeError("`cert` and `key` go together: one of them is missing");
  }
  return openDoorway(server, () => {
    const abort = new AbortController();
    const inner: { listener?: WebListener } = {};
    const http = Deno.serve({
      hostname,
      port,
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
      signal: abort.signal,
      onListen: () => {},
      onError: () => new Response(null, { status: 500 }),
    }, (request, info) => {
      inner.listener?.watch(info.completed);
      return handler(request, info);
    });
    return inner.listener = new WebListener(http, abort, WebCalls.of(server));
  });
}

/**
 * The listener as its user and its server see it. The runtime can end its connections gracefully,
 * waiting for peers that do not read for as long as they please, or at once, and never one after
 * the other. So a shutdown waits for the calls here and then ends them at once.
 */
class WebListener implements BoundListener, Doorway {
  /** Its calls are swept elsewhere. */
  readonly busy = false;
  readonly address: string;
  readonly port: number;
  readonly #http: Deno.HttpServer<Deno.NetAddr>;
  readonly #abort: AbortController;
  readonly #calls: WebCalls;
  #closing: Promise<void> | undefined;
  #drained: Promise<void> | undefined;
  /** Responses that were not handed over yet. */
  #outstanding = 0;
  /** `performance.now()` when the last one was. */
  #handed_over_ms = Number.NEGATIVE_INFINITY;
  #onHandedOver: (() => void) | undefined;

  constructor(http: Deno.HttpServer<Deno.NetAddr>, abort: AbortController, calls: WebCalls) {
    this.#http = http;
    this.#abort = abort;
    this.#calls = calls;
    const { hostname, port } = http.addr;
    this.address = `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
    this.port = port;
  }

  /** Follows a request until its response was handed over, or its peer went away. */
  watch(completed: Promise<void>): void {
    this.#outstanding++;
    const note = () => {
      this.#handed_over_ms = performance.now();
      if (--this.#outstanding === 0) this.#onHandedOver?.();
    };
    completed.then(note, note);
  }

  close(): Promise<void> {
    this.#closing ??= this.#http.shutdown();
    return Promise.resolve();
  }

  sweep(): void {}

  drain(): Promise<void> {
    return this.#drained ??= this.#end();
  }

  /** The calls are aborted in their own doorway, which ends what `drain` waits for. */
  abort(): void {}

  async #end(): Promise<void> {
    await this.#calls.drain();
    await this.#handedOver();
    const flush_ms = FLUSH_MS - (performance.now() - this.#handed_over_ms);
    if (flush_ms > 0) await new Promise((resolve) => setTimeout(resolve, flush_ms));
    if (this.#closing !== undefined) return; // The runtime ends it, as its peers allow.
    this.#abort.abort();
    await this.#http.finished;
  }

  /** Resolves when every response was handed over; peers that do not read are not waited for. */
  async #handedOver(): Promise<void> {
    if (this.#outstanding === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onHandedOver = resolve;
    const timer = setTimeout(resolve, this.#calls.bounds.linger_timeout_ms);
    await promise;
    clearTimeout(timer);
  }
}
