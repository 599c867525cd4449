/**
 * A server's hold on one front: starts it, lets it listen, looks whether it lives, ends it.
 *
 * @module
 */

import { type Bounds, withBounds } from "../bounds.ts";
import type { BoundListener, ListenOptions } from "../server/listener.ts";
import { type Doorway, type DoorwayHost, type GrpcServer, openDoorway } from "../server/server.ts";
import { BatchError } from "./batch.ts";
import type { OffloadPort } from "./link.ts";
import type { FrontMessage, OriginMessage } from "./messages.ts";
import { FrontAccount } from "./front_account.ts";
import { Origin } from "./origin.ts";

/** A thread that runs `serveFront`: a Worker. */
export interface FrontWorker extends OffloadPort {
  onmessage: ((event: MessageEvent) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
  onmessageerror: ((event: MessageEvent) => void) | null;
  /** Ends the thread and everything it holds, its sockets first of all. */
  terminate(): void;
}

/** What may differ from front to front. */
export interface FrontOptions {
  /**
   * Bounds of the front where they differ from its server's. Each front holds its own connections to
   * its own bounds: several fronts share a bound over all connections when each gets a part of it.
   */
  readonly bounds?: Partial<Bounds>;
  /** @default questions every second, of which 15 may go unanswered */
  readonly patience?: FrontPatience;
}

/** Limits on a front's silence. */
export interface FrontPatience {
  /** Time between two questions whether the front lives. */
  readonly ping_interval_ms: number;
  /**
   * Questions a front leaves unanswered. At it: the front counts as stuck and is ended. Counted, not
   * timed: a pause of the whole process is no silence of the front.
   */
  readonly pings_unanswered_max: number;
}

const PATIENCE: FrontPatience = { ping_interval_ms: 1_000, pings_unanswered_max: 15 };
/** Beyond its grace a front has this long to say that it is done; then it is ended. */
const DRAIN_MARGIN_MS = 2_000;

/** One front of a server. */
export class OffloadedFront implements Doorway {
  /** Resolves with the reason when the front has ended, whatever ended it. */
  readonly ended: Promise<string>;
  readonly #worker: FrontWorker;
  readonly #patience: FrontPatience;
  readonly #origin: Origin;
  readonly #ended = Promise.withResolvers<string>();
  readonly #ready = Promise.withResolvers<void>();
  #listening: PromiseWithResolvers<BoundListener> | undefined;
  readonly #account: FrontAccount;
  #pings_unanswered = 0;
  #pinger: ReturnType<typeof setInterval> | undefined;
  #started = false;
  #over = false;

  /**
   * Takes over a worker whose program calls `serveFront`, in the turn that made it: what a worker
   * says before is lost. Services added to the server later are not served by it.
   *
   * @throws TypeError after the server's shutdown, RangeError for a bound that is none
   */
  static open(
    server: GrpcServer,
    worker: FrontWorker,
    options: FrontOptions = {},
  ): OffloadedFront {
    return openDoorway(server, (host) => new OffloadedFront(host, worker, options));
  }

  private constructor(host: DoorwayHost, worker: FrontWorker, options: FrontOptions) {
    this.#worker = worker;
    this.#patience = options.patience ?? PATIENCE;
    const bounds = withBounds(host.bounds, options.bounds);
    this.ended = this.#ended.promise;
    this.ended.then(() => host.leave());
    this.#account = new FrontAccount(host.counters);
    this.#ready.promise.catch(() => {}); // Whoever listens hears of it.
    const routes = [...host.routes.values()];
    this.#origin = new Origin(worker, host, routes, (reason) => this.#end(textOf(reason)));
    worker.onmessage = ({ data }) => this.#onMessage(data, bounds, routes);
    worker.onerror = (event) => {
      event.preventDefault(); // Or the whole process ends with its front.
      this.#end(event.message);
    };
    worker.onmessageerror = () => this.#end("a message of the front cannot be read");
    this.#pinger = setInterval(() => this.#ping(), this.#patience.ping_interval_ms);
  }

  /** Whether the front has not ended. */
  get alive(): boolean {
    return !this.#over;
  }

  /**
   * Binds a listener in the front.
   *
   * @throws {Error} what binding reported, by the same name; or that the front has ended
   */
  async listen(options: ListenOptions): Promise<BoundListener> {
    await this.#ready.promise;
    if (this.#listening !== undefined) {
      throw new TypeError("a front listens at one place at a time");
    }
    this.#listening = Promise.withResolvers();
    try {
      this.#tell({ type: "listen", options });
      return await this.#listening.promise;
    } finally {
      this.#listening = undefined;
    }
  }

  get busy(): boolean {
    return this.#origin.calls_open > 0;
  }

  /** The front looks at its own timeouts. */
  sweep(): void {}

  /** The front ends its calls itself when its grace is over. */
  abort(): void {}

  async drain(grace_ms: number): Promise<void> {
    if (this.#over) return;
    this.#tell({ type: "drain", grace_ms });
    const late = setTimeout(
      () => this.#end("the front did not end in time"),
      grace_ms + DRAIN_MARGIN_MS,
    );
    await this.ended;
    clearTimeout(late);
  }

  /** Ends the front at once; its connections break, its calls hear of it. */
  close(): void {
    this.#end("the front was closed");
  }

  #tell(message: OriginMessage): void {
    if (!this.#over) this.#worker.postMessage(message, []);
  }

  #ping(): void {
    if (this.#pings_unanswered >= this.#patience.pings_unanswered_max) {
      return this.#end(`the front left ${this.#pings_unanswered} questions unanswered`);
    }
    this.#pings_unanswered++;
    if (this.#started) this.#tell({ type: "ping" });
  }

  #onMessage(data: unknown, bounds: Bounds, routes: Origin["routes"]): void {
    if (this.#over) return;
    this.#pings_unanswered = 0;
    if (data instanceof Uint8Array) return this.#origin.receive(data);
    const message = data as FrontMessage;
    switch (message.type) {
      case "ready": {
        const methods = routes.map(({ path, kind }) => ({ path, kind }));
        this.#tell({ type: "start", methods, bounds });
        this.#started = true;
        return this.#ready.resolve();
      }
      case "bound": {
        const { address, port } = message;
        const close = () => Promise.resolve(this.#tell({ type: "unlisten", address }));
        return this.#listening?.resolve({ address, port, close });
      }
      case "listen_failed": {
        const error = new Error(message.text);
        error.name = message.name;
        return this.#listening?.reject(error);
      }
      case "pong":
        return this.#account.update(message.stats);
      case "drained":
        this.#account.update(message.stats);
        return this.#end("the front was drained");
      default:
        return this.#end(textOf(new BatchError("the front says what an origin does not know")));
    }
  }

  #end(reason: string): void {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#pinger);
    this.#worker.terminate();
    this.#account.close();
    this.#origin.abandon(`the connection's front has ended: ${reason}`);
    const error = new Error(`the front has ended: ${reason}`);
    this.#ready.reject(error);
    this.#listening?.reject(error);
    this.#ended.resolve(reason);
  }
}

function textOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
