/**
 * The permission broker: every read, write, connection, program start, variable, system fact,
 * library and import of an unmodified Deno program becomes a policy decision before it happens.
 *
 * It decides nothing itself and keeps nothing that outlives it: while it is away, Deno starts no
 * program and ends a running one at its next request.
 *
 * @module
 */
import type { SocketFile } from "../ipc/socket_file.ts";
import type { DecisionsPart, MetricsPart } from "../parts.ts";
import { type ConnectionEnd, serveConnection } from "./connection.ts";
import { WorkingDirectories } from "./directories.ts";
import { type BrokerAgent, Judge } from "./judge.ts";
import { BROKER_LIMITS } from "./limits.ts";
import type { Files } from "./paths.ts";
import { type RepeatClock, RepeatCounter, type Repeats } from "./repeats.ts";

export type { BrokerAgent } from "./judge.ts";

/** What the kernel says of the newest connection; `undefined` when it does not say. */
export type PeerOfNewest = () => { readonly uid: number; readonly pid: number } | undefined;

/** What happened to a connection, for whoever started the agent. */
export type BrokerEvent =
  | { readonly event: "connected"; readonly connection: number; readonly pid?: number }
  | {
    readonly event: "ended";
    readonly connection: number;
    readonly pid?: number;
    readonly end: ConnectionEnd;
  }
  | { readonly event: "turned_away"; readonly why: string };

/** What a broker needs. */
export interface BrokerOptions {
  readonly agent: BrokerAgent;
  readonly decisions: DecisionsPart;
  /** Puts counts of repeated answers on record; resolves once they are durable. */
  readonly recordRepeats: (repeats: Repeats) => Promise<void>;
  readonly clock: RepeatClock;
  readonly files: Files;
  readonly temp_directory: string;
  readonly protected_paths: readonly string[];
  /**
   * Where the first process that connects was started. Later ones are its children, of which
   * nobody knows; where the kernel tells working directories this is not needed.
   */
  readonly first_directory?: string;
  /** Asked once after each accept. Absent: nobody is checked, the socket's mode has to do. */
  readonly peer?: PeerOfNewest;
  /** This process's user. */
  readonly uid: number | undefined;
  readonly metrics?: MetricsPart;
  readonly onEvent?: (event: BrokerEvent) => void;
}

/** A running broker. */
export class Broker {
  readonly #socket: SocketFile;
  readonly #options: BrokerOptions;
  readonly #judge: Judge;
  readonly #repeats: RepeatCounter;
  readonly #open = new Map<number, Deno.UnixConn>();
  readonly #served = new Set<Promise<void>>();
  #connections = 0;
  #closing = false;
  readonly #accepting: Promise<void>;

  /** @param socket Bound by `bindSocket`, in a directory that only this user enters. */
  constructor(socket: SocketFile, options: BrokerOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#repeats = new RepeatCounter(options.recordRepeats, options.clock);
    this.#judge = new Judge({ ...options, repeats: this.#repeats });
    this.#accepting = this.#accept();
  }

  /** Processes connected now. */
  get connections(): number {
    return this.#open.size;
  }

  /** Answers kept now. */
  get cached(): number {
    return this.#judge.cached;
  }

  /** Ends every connection, and with them every process, once what was counted is on record. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#socket.close();
    for (const connection of this.#open.values()) end(connection);
    await this.#accepting;
    await Promise.all(this.#served);
    await this.#repeats.flush();
  }

  async #accept(): Promise<void> {
    while (!this.#closing) {
      let connection: Deno.UnixConn;
      try {
        connection = await this.#socket.listener.accept();
      } catch {
        // Closed, or out of descriptors: then the next accept tells again, after others ran.
        if (this.#closing) return;
        await Promise.resolve();
        continue;
      }
      const serving = this.#take(connection);
      this.#served.add(serving);
      void serving.finally(() => this.#served.delete(serving));
    }
  }

  async #take(connection: Deno.UnixConn): Promise<void> {
    const peer = this.#options.peer?.();
    const why = this.#refusal(peer);
    if (why !== undefined) {
      end(connection);
      this.#tell({ event: "turned_away", why });
      return;
    }
    const number = ++this.#connections;
    this.#open.set(number, connection);
    const pid = peer === undefined ? {} : { pid: peer.pid };
    this.#tell({ event: "connected", connection: number, ...pid });
    const directories = new WorkingDirectories(
      this.#options.files,
      number === 1 ? this.#options.first_directory : undefined,
    );
    const stream = {
      read: (into: Uint8Array) => connection.read(into),
      write: (bytes: Uint8Array) => connection.write(bytes),
    };
    const ended = await serveConnection(stream, this.#judge, {
      ...pid,
      directories,
      connection: number,
    });
    this.#open.delete(number);
    end(connection);
    this.#tell({ event: "ended", connection: number, ...pid, end: ended });
  }

  #refusal(peer: { readonly uid: number } | undefined): string | undefined {
    if (this.#closing) return "the broker is closing";
    if (this.#open.size >= BROKER_LIMITS.connections) {
      return `${BROKER_LIMITS.connections} processes are connected`;
    }
    if (this.#options.peer === undefined) return undefined;
    if (peer === undefined) return "the kernel does not say who connects";
    return peer.uid === this.#options.uid ? undefined : "another user connects";
  }

  #tell(event: BrokerEvent): void {
    this.#options.metrics?.add("aa_broker_connection_events_total", 1, { event: event.event });
    this.#options.onEvent?.(event);
  }
}

function end(connection: Deno.UnixConn): void {
  try {
    connection.close();
  } catch {
    // Closed already, from the other side of a race.
  }
}
