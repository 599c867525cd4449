/**
 * The gateway's transport workers: threads that do everything of gRPC but the deciding, several on
 * one port. A worker that ends is replaced; what it held (its own connections, nothing else) is lost.
 *
 * @module
 */
import {
  type BoundListener,
  type Bounds,
  type FrontOptions,
  type FrontWorker,
  type GrpcServer,
  type ListenOptions,
  OffloadedFront,
} from "../../grpc/mod.ts";
import { transportWorkerPermissions } from "../permissions.ts";

/** Before a worker that ended is replaced, in milliseconds; doubled for each that ends at once. */
const REPLACE_AFTER_MS = 50;
/** The longest wait before a worker is replaced, in milliseconds. */
const REPLACE_AFTER_MS_MAX = 5_000;
/** A worker that lived this long did not end at once, in milliseconds. */
const LIVED_MS = 60_000;

/** Bounds over all connections of a server, of which each worker gets its part. */
const SHARED_BOUNDS = [
  "connections",
  "connections_per_address",
  "server_calls",
  "server_buffer_bytes",
  "server_pending_bytes",
  "server_output_bytes",
] as const satisfies readonly (keyof Bounds)[];

/** How the workers are. */
export interface TransportStatus {
  readonly configured: number;
  readonly running: number;
  /** Workers that ended and were, or are about to be, replaced. */
  readonly replaced: number;
  /** Why the last one ended; empty when none has. */
  readonly last_failure: string;
}

/** What {@linkcode TransportWorkers.start} needs. */
export interface TransportWorkersOptions {
  readonly server: GrpcServer;
  /** Where all listen. */
  readonly listen: Extract<ListenOptions, { transport: "tcp" | "tls" }>;
  readonly count: number;
  /** Of the server, over all its workers. */
  readonly bounds: Bounds;
  /** Starts a thread of `worker.ts`. */
  readonly spawn: () => FrontWorker;
}

/** A `worker.ts` thread that may listen at one address and do nothing else. */
export function spawnTransportWorker(net: string): Worker {
  return new Worker(new URL("./worker.ts", import.meta.url), {
    type: "module",
    name: "transport",
    deno: { permissions: transportWorkerPermissions(net) },
  });
}

/** The workers of one gateway. */
export class TransportWorkers {
  /** Where they listen. */
  readonly listener: BoundListener;
  readonly #options: TransportWorkersOptions;
  readonly #stopped = Promise.withResolvers<void>();
  #stopping = false;
  #running = 0;
  #replaced = 0;
  #last_failure = "";

  /**
   * Starts every worker; resolves when all of them accept.
   *
   * @throws {Error} what binding or starting reported; workers already started end with the server
   */
  static async start(options: TransportWorkersOptions): Promise<TransportWorkers> {
    const fronts: OffloadedFront[] = [];
    let listener: BoundListener | undefined;
    for (let count = 0; count < options.count; count++) {
      // The first may choose the port; the others share it.
      const port = listener?.port ?? options.listen.port;
      const opened = await open(options, port);
      fronts.push(opened.front);
      listener ??= opened.listener;
    }
    if (listener === undefined) throw new RangeError("no transport worker was asked for");
    return new TransportWorkers(options, fronts, listener);
  }

  private constructor(
    options: TransportWorkersOptions,
    fronts: readonly OffloadedFront[],
    listener: BoundListener,
  ) {
    this.#options = options;
    this.listener = listener;
    for (const front of fronts) this.#keep(front);
  }

  status(): TransportStatus {
    return {
      configured: this.#options.count,
      running: this.#running,
      replaced: this.#replaced,
      last_failure: this.#last_failure,
    };
  }

  /** Replaces workers no more: the server is about to drain them. */
  stop(): void {
    this.#stopping = true;
    this.#stopped.resolve();
  }

  /** Keeps one place taken for as long as the gateway runs; never rejects. */
  async #keep(first: OffloadedFront): Promise<void> {
    let front: OffloadedFront | undefined = first;
    let wait_ms = REPLACE_AFTER_MS;
    while (!this.#stopping) {
      const started_ms = performance.now();
      if (front !== undefined) {
        this.#running++;
        const reason = await front.ended;
        this.#running--;
        if (this.#stopping) return;
        this.#replaced++;
        this.#last_failure = reason;
      }
      const lived = performance.now() - started_ms >= LIVED_MS;
      wait_ms = lived ? REPLACE_AFTER_MS : Math.min(wait_ms * 2, REPLACE_AFTER_MS_MAX);
      await this.#pause(wait_ms);
      if (this.#stopping) return;
      front = await this.#replace();
    }
  }

  async #replace(): Promise<OffloadedFront | undefined> {
    try {
      return (await open(this.#options, this.listener.port ?? this.#options.listen.port)).front;
    } catch (error) {
      this.#last_failure = error instanceof Error ? error.message : String(error);
      return undefined;
    }
  }

  async #pause(ms: number): Promise<void> {
    const over = Promise.withResolvers<void>();
    const timer = setTimeout(over.resolve, ms);
    await Promise.race([over.promise, this.#stopped.promise]);
    clearTimeout(timer);
  }
}

async function open(
  { server, listen, count, bounds, spawn }: TransportWorkersOptions,
  port: number,
): Promise<{ front: OffloadedFront; listener: BoundListener }> {
  const front = OffloadedFront.open(server, spawn(), frontOptions(bounds, count));
  try {
    // One worker has its port to itself.
    const listener = await front.listen({ ...listen, port, reusePort: count > 1 });
    return { front, listener };
  } catch (error) {
    front.close();
    throw error;
  }
}

/** The part of the server's bounds that one of several workers gets. */
function frontOptions(bounds: Bounds, count: number): FrontOptions {
  const parts = SHARED_BOUNDS.map((name) => [name, Math.ceil(bounds[name] / count)] as const);
  return { bounds: Object.fromEntries(parts) };
}
