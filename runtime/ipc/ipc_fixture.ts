/**
 * A socket with doubles behind it, and a client that speaks to it by hand.
 *
 * @module
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  encodeFrame,
  FrameReader,
  type HandshakeKey,
  HandshakeKeys,
  HEARTBEAT_FRAME,
  publicIdKey,
  signProof,
} from "../../proto/ipc/mod.ts";
import { audit, common, ipc, policy } from "../../proto/mod.ts";
import { SILENT_LOG } from "../log.ts";
import type { Connection, DecisionsPart, MetricsPart, Origin, PipelinePart } from "../parts.ts";
import type { Timers } from "../timers.ts";
import { IpcServer, type PeerCheck } from "./ipc_server.ts";
import { bindSocket, type SocketFile } from "./socket_file.ts";

export const AGENT_ID = "agent-1";
export const AGENT_KEY: HandshakeKey = publicIdKey(AGENT_ID);

/** Time that moves when a test says so. */
export class HandTimers implements Timers {
  #now_us = 0;
  #sleepers: { until_us: number; wake: () => void }[] = [];

  readonly now_ms = (): number => this.#now_us / 1_000;
  readonly monotonic_us = (): number => this.#now_us;
  readonly sleep = (ms: number, signal: AbortSignal): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (signal.aborted) return Promise.resolve();
    signal.addEventListener("abort", () => resolve());
    this.#sleepers.push({ until_us: this.#now_us + ms * 1_000, wake: resolve });
    return promise;
  };

  async pass(ms: number): Promise<void> {
    this.#now_us += ms * 1_000;
    const due = this.#sleepers.filter((sleeper) => sleeper.until_us <= this.#now_us);
    this.#sleepers = this.#sleepers.filter((sleeper) => !due.includes(sleeper));
    for (const sleeper of due) sleeper.wake();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

/** Counts by `name` and `name{reason}`. */
export class CountingMetrics implements MetricsPart {
  readonly counts = new Map<string, number>();

  readonly add = (name: string, by = 1, labels?: Readonly<Record<string, string>>): void => {
    const label = labels === undefined ? "" : `{${Object.values(labels).join(",")}}`;
    const key = `${name}${label}`;
    this.counts.set(key, (this.counts.get(key) ?? 0) + by);
  };
  readonly set = (name: string, value: number): void => void this.counts.set(name, value);
  readonly observe = (): void => {};

  closed(reason: string): number {
    return this.counts.get(`aa_ipc_connections_closed_total{${reason}}`) ?? 0;
  }
}

export function allowing(
  answer: DecisionsPart["answer"] = (query) => Promise.resolve(allowed(query.traceId)),
): DecisionsPart {
  return { answer, epoch: () => 1, repeatable: () => true };
}

export function allowed(reason: string): policy.CheckActionResponse {
  return create(policy.CheckActionResponseSchema, { decision: common.Decision.ALLOW, reason });
}

export interface Harness {
  readonly server: IpcServer;
  readonly file: SocketFile;
  readonly path: string;
  readonly metrics: CountingMetrics;
  readonly timers: HandTimers;
  readonly reports: { event: audit.AuditEvent; origin: Origin }[];
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

export interface HarnessOptions {
  readonly decisions?: DecisionsPart;
  readonly pipeline?: PipelinePart;
  readonly connections_max?: number;
  readonly keys?: HandshakeKeys<Connection["handshake"]>;
  readonly peer_check?: (file: SocketFile) => PeerCheck;
}

/** Starts a socket in a new private directory. */
export async function startSocket(options: HarnessOptions = {}): Promise<Harness> {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/agent.sock`;
  const file = await bindSocket(path, Deno.uid() ?? -1);
  const metrics = new CountingMetrics();
  const timers = new HandTimers();
  const reports: Harness["reports"] = [];
  const server = new IpcServer({
    acceptor: { accept: () => file.listener.accept(), close: () => file.close() },
    connections_max: options.connections_max ?? 64,
    peer_check: options.peer_check?.(file) ?? { kind: "file_mode" },
    keys: options.keys ?? new HandshakeKeys([[AGENT_KEY.public_key, "public_id"]]),
    decisions: options.decisions ?? allowing(),
    pipeline: options.pipeline ?? {
      report: (event, origin) => {
        reports.push({ event, origin });
        return Promise.resolve();
      },
    },
    metrics,
    timers,
    random: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
    log: SILENT_LOG,
  });
  const running = server.run();
  return {
    server,
    file,
    path,
    metrics,
    timers,
    reports,
    [Symbol.asyncDispose]: async () => {
      await server.stop(AbortSignal.abort());
      await running;
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** A peer, well-behaved or not. */
export class RawClient {
  readonly #socket: Deno.UnixConn;
  readonly #reader = new FrameReader("runtime");

  private constructor(socket: Deno.UnixConn) {
    this.#socket = socket;
  }

  static async connect(path: string): Promise<RawClient> {
    return new RawClient(await Deno.connect({ transport: "unix", path }));
  }

  /** Connects and shakes hands as the reference's clients do. */
  static async join(path: string, version = "0.0.1-rc.6", key = AGENT_KEY): Promise<RawClient> {
    const client = await RawClient.connect(path);
    await client.send(proofFrame(key, await client.nonce(), version));
    await client.send(HEARTBEAT_FRAME);
    return client;
  }

  async nonce(): Promise<Uint8Array> {
    const frame = await this.next();
    if (frame?.tag !== 5) throw new Error("no challenge came");
    return fromBinary(ipc.HandshakeChallengeSchema, frame.body).nonce;
  }

  async send(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      rest = rest.subarray(await this.#socket.write(rest));
    }
  }

  /** The next frame, or `undefined` once the runtime closed the connection. */
  async next(): Promise<{ tag: number; body: Uint8Array } | undefined> {
    for (;;) {
      const frame = this.#reader.next();
      if (frame !== undefined) return frame;
      const space = this.#reader.space();
      let count: number | null;
      try {
        count = await this.#socket.read(space);
      } catch {
        return undefined;
      }
      if (count === null) return undefined;
      this.#reader.filled(count);
    }
  }

  /** The next answer; alerts and approval decisions before it are passed over, as clients do. */
  async answer(): Promise<policy.CheckActionResponse> {
    let frame = await this.next();
    while (frame?.tag === 2 || frame?.tag === 4) frame = await this.next();
    if (frame?.tag !== 1) throw new Error(`expected an answer, got tag ${frame?.tag}`);
    return fromBinary(policy.CheckActionResponseSchema, frame.body);
  }

  async endInput(): Promise<void> {
    await this.#socket.closeWrite();
  }

  close(): void {
    try {
      this.#socket.close();
    } catch {
      // The runtime was first.
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

export function proofFrame(key: HandshakeKey, nonce: Uint8Array, version: string): Uint8Array {
  return encodeFrame(5, toBinary(ipc.HandshakeProofSchema, signProof(key, nonce, version)));
}

export function queryFrame(trace: string): Uint8Array {
  const query = create(policy.CheckActionRequestSchema, { traceId: trace });
  return encodeFrame(1, toBinary(policy.CheckActionRequestSchema, query));
}

export function reportFrame(event_id: string): Uint8Array {
  const event = create(audit.AuditEventSchema, { eventId: event_id });
  return encodeFrame(2, toBinary(audit.AuditEventSchema, event));
}

/** Resolves once a claim holds; a claim that never does fails the test by its deadline. */
export async function until(claim: () => boolean, what: string): Promise<void> {
  const deadline_ms = performance.now() + 30_000;
  while (!claim()) {
    if (performance.now() > deadline_ms) throw new Error(`did not come true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
