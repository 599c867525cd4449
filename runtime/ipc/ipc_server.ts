/**
 * The runtime's socket: who may connect, how many, for how long.
 *
 * @module
 */
import { toBinary } from "@bufbuild/protobuf";
import { type HandshakeKeys, RUNTIME_TAG } from "../../proto/ipc/mod.ts";
import { audit, event } from "../../proto/mod.ts";
import type { Log } from "../log.ts";
import type {
  ClientMessages,
  Connection,
  DecisionsPart,
  MetricsPart,
  PipelinePart,
} from "../parts.ts";
import type { Timers } from "../timers.ts";
import { ByteBudget } from "./byte_budget.ts";
import { ClientConnection, type ConnectionRooms, type Socket } from "./client_connection.ts";
import { IPC_ROOM_LIMITS } from "./limits.ts";
import { type PeerCredentials, peerMaySpeak } from "./peer_credentials.ts";

/** What the server accepts from: a bound Unix listener, or a test's. */
export interface Acceptor {
  accept(): Promise<Socket>;
  /** Ends a waiting `accept` with an error. */
  close(): void;
}

/** How peers are told apart: by the kernel, or not at all beyond the socket's file mode. */
export type PeerCheck =
  | {
    readonly kind: "kernel";
    readonly own_uid: number;
    /** The peer of the connection accepted last; `undefined` when it cannot be told. */
    readonly newest: () => PeerCredentials | undefined;
  }
  | { readonly kind: "file_mode" };

/** What a server is made of. */
export interface IpcServerOptions {
  readonly acceptor: Acceptor;
  readonly connections_max: number;
  readonly peer_check: PeerCheck;
  readonly keys: HandshakeKeys<Connection["handshake"]>;
  readonly decisions: DecisionsPart;
  readonly pipeline: PipelinePart;
  readonly metrics: MetricsPart;
  readonly timers: Timers;
  /** Fresh randomness for nonces. */
  readonly random: (bytes: number) => Uint8Array;
  readonly log: Log;
}

/** Serves one agent's socket. */
export class IpcServer implements ClientMessages {
  readonly #options: IpcServerOptions;
  readonly #rooms: ConnectionRooms;
  readonly #connections = new Map<number, { connection: ClientConnection; ended: Promise<void> }>();
  readonly #stopped = new AbortController();
  #last_id = 0;

  constructor(options: IpcServerOptions) {
    this.#options = options;
    this.#rooms = {
      keys: options.keys,
      decisions: options.decisions,
      pipeline: options.pipeline,
      metrics: options.metrics,
      cut_frames: new ByteBudget(IPC_ROOM_LIMITS.cut_frames_bytes_max),
      monotonic_us: options.timers.monotonic_us,
      random: options.random,
      fault: (error) => {
        const name = error instanceof Error ? error.name : "unknown";
        options.log("error", "a connection ended by a fault of the runtime", { error: name });
      },
    };
  }

  /** Connections that hold a permit now, also those whose handshake is not done. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Accepts until {@linkcode stop}. Never rejects. */
  async run(): Promise<void> {
    this.#sweeping();
    while (!this.#stopped.signal.aborted) {
      let socket: Socket;
      try {
        socket = await this.#options.acceptor.accept();
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        this.#options.metrics.add("aa_ipc_accept_errors_total");
        const name = error instanceof Error ? error.name : "unknown";
        this.#options.log("warn", "a connection could not be accepted", { error: name });
        const { timers } = this.#options;
        await timers.sleep(IPC_ROOM_LIMITS.accept_retry_ms, this.#stopped.signal);
        continue;
      }
      this.#admit(socket);
    }
  }

  /**
   * Stops accepting, answers what is owed, and closes every connection.
   *
   * @param signal Aborted when there is no more time: what is left is closed at once.
   */
  async stop(signal: AbortSignal): Promise<void> {
    this.#stopped.abort();
    this.#options.acceptor.close();
    const open = [...this.#connections.values()];
    for (const { connection } of open) connection.stop();
    const cut = () => {
      for (const { connection } of open) connection.close("stopping");
    };
    if (signal.aborted) cut();
    else signal.addEventListener("abort", cut, { once: true });
    await Promise.all(open.map(({ ended }) => ended));
    signal.removeEventListener("abort", cut);
  }

  /** @inheritdoc */
  violation(connection_id: number, violation: audit.PolicyViolation): void {
    const body = toBinary(audit.PolicyViolationSchema, violation);
    this.#send(connection_id, RUNTIME_TAG.violation_alert, body);
  }

  /** @inheritdoc */
  approvalDecided(connection_id: number, decision: event.ApprovalDecision): void {
    const body = toBinary(event.ApprovalDecisionSchema, decision);
    this.#send(connection_id, RUNTIME_TAG.approval_decision, body);
  }

  #send(connection_id: number, tag: number, body: Uint8Array): void {
    const open = this.#connections.get(connection_id);
    if (open !== undefined && !open.connection.send({ tag, body })) {
      this.#options.metrics.add("aa_ipc_messages_dropped_total");
    }
  }

  #admit(socket: Socket): void {
    const { peer_check, connections_max, metrics } = this.#options;
    let peer: PeerCredentials | undefined;
    if (peer_check.kind === "kernel") {
      peer = peer_check.newest();
      if (peer === undefined || !peerMaySpeak(peer, peer_check.own_uid)) {
        this.#refuse(socket, peer === undefined ? "peer_unknown" : "peer_uid");
        return;
      }
    }
    if (this.#connections.size >= connections_max) {
      this.#refuse(socket, "too_many");
      return;
    }
    const id = ++this.#last_id;
    const connection = new ClientConnection(id, socket, peer, this.#rooms);
    // The permit is held for the connection's life, not for its handshake's (trap R1).
    const ended = connection.run().then((reason) => {
      this.#connections.delete(id);
      metrics.set("aa_active_connections", this.#connections.size);
      metrics.add("aa_ipc_connections_closed_total", 1, { reason });
    });
    this.#connections.set(id, { connection, ended });
    metrics.set("aa_active_connections", this.#connections.size);
  }

  #refuse(socket: Socket, reason: "peer_unknown" | "peer_uid" | "too_many"): void {
    this.#options.metrics.add("aa_ipc_connections_refused_total", 1, { reason });
    if (reason === "peer_uid") {
      this.#options.log("warn", "a peer of another user was refused");
    }
    try {
      socket.close();
    } catch {
      // The peer was faster.
    }
  }

  async #sweeping(): Promise<void> {
    const { timers } = this.#options;
    for (;;) {
      await timers.sleep(IPC_ROOM_LIMITS.sweep_interval_ms, this.#stopped.signal);
      if (this.#stopped.signal.aborted) return;
      const now_us = timers.monotonic_us();
      for (const { connection } of this.#connections.values()) connection.sweep(now_us);
    }
  }
}
