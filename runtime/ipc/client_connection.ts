/**
 * One client from accept to close: handshake, frames in, answers out.
 *
 * Queries are decided side by side and answered in their order; a query that waits for a person
 * holds back nothing but the answers behind it on its own connection (trap R2). Whatever a peer
 * does, what is held for it is bounded: at a bound its socket is simply not read, and one that is
 * not understood is closed without a word, since the protocol has none (contract `wire` §3).
 *
 * @module
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  CLIENT_TAG,
  explainedReason,
  type Frame,
  FrameError,
  FrameReader,
  type HandshakeKeys,
  IPC_LIMITS,
  readClientWords,
  RUNTIME_TAG,
} from "../../proto/ipc/mod.ts";
import { CHECK_ACTION_SERVER_CODEC } from "../../proto/check_action_codec.ts";
import { audit, common, event, ipc, type policy } from "../../proto/mod.ts";
import type { Connection, DecisionsPart, MetricsPart, Origin, PipelinePart } from "../parts.ts";
import type { ByteBudget } from "./byte_budget.ts";
import { decisionFault } from "./decision_fault.ts";
import { FrameWriter, type Writable } from "./frame_writer.ts";
import { IPC_ROOM_LIMITS } from "./limits.ts";
import { type OutFrame, ReplyQueue, type ReplySlot } from "./reply_queue.ts";

/** The part of a socket that a connection uses. */
export interface Socket extends Writable {
  read(into: Uint8Array): Promise<number | null>;
  close(): void;
}

/** Why a connection ended; also a metric's label. */
export type CloseReason =
  | "peer_closed"
  | "handshake_failed"
  | "handshake_late"
  | "bad_frame"
  | "bad_message"
  | "frame_late"
  | "cut_frames_full"
  | "write_stalled"
  | "half_open_late"
  | "report_failed"
  | "runtime_fault"
  | "stopping";

/** What every connection of one runtime shares. */
export interface ConnectionRooms {
  readonly keys: HandshakeKeys<Connection["handshake"]>;
  readonly decisions: DecisionsPart;
  readonly pipeline: PipelinePart;
  readonly metrics: MetricsPart;
  readonly cut_frames: ByteBudget;
  readonly monotonic_us: () => number;
  /** Fresh randomness for nonces. */
  readonly random: (bytes: number) => Uint8Array;
  /** Told of what should never happen, so that somebody may see it. */
  readonly fault: (error: unknown) => void;
}

/** A client of the socket. */
export class ClientConnection {
  readonly id: number;
  readonly #socket: Socket;
  readonly #rooms: ConnectionRooms;
  readonly #peer: Connection["peer"];
  readonly #reader = new FrameReader("client", IPC_ROOM_LIMITS.handshake_body_bytes_max);
  readonly #writer: FrameWriter;
  readonly #replies = new ReplyQueue();
  readonly #acks = new ReplyQueue();
  readonly #ended = new AbortController();
  readonly #opened_us: number;
  #origin: Extract<Origin, { source: "sdk" }> | undefined;
  #acknowledges = false;
  #explains = false;
  #closed: CloseReason | undefined;
  #reports_in_flight = 0;
  #in_flight_bytes = 0;
  /** Memory of the reader beyond what every connection has, taken from the shared budget. */
  #cut_bytes = 0;
  #cut_since_us: number | undefined;
  /** Set once nothing more comes: the peer ended its side, or the runtime is stopping. */
  #finishing_since_us: number | undefined;
  #stopping = false;
  /** One read that is made although there is no room, to hear of a peer that goes away. */
  #ahead: Promise<boolean> | undefined;
  #wake: (() => void) | undefined;

  constructor(id: number, socket: Socket, peer: Connection["peer"], rooms: ConnectionRooms) {
    this.id = id;
    this.#socket = socket;
    this.#peer = peer;
    this.#rooms = rooms;
    this.#opened_us = rooms.monotonic_us();
    this.#writer = new FrameWriter({
      connection: socket,
      next: () => this.#replies.take() ?? this.#acks.take(),
      written: () => this.#wake?.(),
      failed: () => this.close("peer_closed"),
      now_us: rooms.monotonic_us,
    });
  }

  /** Serves the client. Resolves with the reason once its socket is closed; never rejects. */
  async run(): Promise<CloseReason> {
    try {
      const nonce = this.#rooms.random(IPC_LIMITS.nonce_bytes);
      this.#challenge(nonce);
      if (await this.#handshake(nonce)) {
        this.#reader.body_bytes_max = IPC_LIMITS.frame_body_bytes_max;
        await this.#serve();
        await this.#finish();
      }
      this.close("peer_closed");
    } catch (error) {
      const reason = reasonOf(error);
      if (reason === "runtime_fault" && this.#closed === undefined) this.#rooms.fault(error);
      this.close(reason);
    }
    return this.#closed ?? "peer_closed";
  }

  /** Ends the connection now. The first reason counts. */
  close(reason: CloseReason): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    this.#rooms.cut_frames.give(this.#cut_bytes);
    this.#cut_bytes = 0;
    this.#ended.abort();
    try {
      this.#socket.close();
    } catch {
      // Already closed below us.
    }
    this.#wake?.();
  }

  /** Reads nothing more, answers what is owed, and closes. */
  stop(): void {
    this.#stopping = true;
    this.#finishing_since_us ??= this.#rooms.monotonic_us();
    if (this.#origin === undefined || this.#idle()) this.close("stopping");
    else this.#finish().then(() => this.close("stopping"));
  }

  /** Closes the connection if it has outstayed one of its times. */
  sweep(now_us: number): void {
    const late = (since_us: number | undefined, limit_ms: number) =>
      since_us !== undefined && now_us - since_us > limit_ms * 1_000;
    if (this.#origin === undefined && late(this.#opened_us, IPC_ROOM_LIMITS.handshake_ms_max)) {
      this.close("handshake_late");
    } else if (late(this.#writer.writing_since_us, IPC_ROOM_LIMITS.write_stall_ms_max)) {
      this.close("write_stalled");
    } else if (late(this.#cut_since_us, IPC_ROOM_LIMITS.frame_arrival_ms_max)) {
      this.close("frame_late");
    } else if (late(this.#finishing_since_us, IPC_ROOM_LIMITS.half_open_ms_max)) {
      this.close("half_open_late");
    }
  }

  /** Sends what the client did not ask for. Dropped before the handshake, after the end, and when too much waits. */
  send(frame: OutFrame): boolean {
    if (this.#origin === undefined || this.#closed !== undefined) return false;
    const taken = this.#replies.addUnsolicited(frame);
    this.#writer.wake();
    return taken;
  }

  #challenge(nonce: Uint8Array): void {
    this.#replies.addUnsolicited({
      tag: RUNTIME_TAG.handshake_challenge,
      body: toBinary(ipc.HandshakeChallengeSchema, {
        $typeName: "assembly.ipc.v1.HandshakeChallenge",
        nonce: Uint8Array.from(nonce),
      }),
    });
    this.#writer.wake();
  }

  /** @returns Whether the first frame was a proof that holds. */
  async #handshake(nonce: Uint8Array): Promise<boolean> {
    let frame: Frame | undefined;
    while ((frame = this.#reader.next()) === undefined) if (!await this.#read()) return false;
    if (frame.tag !== CLIENT_TAG.handshake_proof) throw new BadPeer("handshake_failed");
    const proof = decoded(() => fromBinary(ipc.HandshakeProofSchema, frame.body));
    const handshake = this.#rooms.keys.verify(proof, nonce);
    if (handshake === undefined) throw new BadPeer("handshake_failed");
    const { version, redacts, acks, explains } = readClientWords(proof.sdkVersion);
    this.#acknowledges = acks;
    this.#explains = explains;
    this.#origin = {
      source: "sdk",
      connection: {
        id: this.id,
        sdk_version: version,
        handshake,
        applies_redactions: redacts,
        ...(this.#peer === undefined ? {} : { peer: this.#peer }),
      },
    };
    return true;
  }

  async #serve(): Promise<void> {
    for (let more = true; more;) {
      for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
        this.#cut_since_us = undefined;
        this.#take(frame);
        await this.#room();
        if (this.#stopping) return;
      }
      if (this.#reader.waiting_bytes > 0) this.#cut_since_us ??= this.#rooms.monotonic_us();
      const ahead = this.#ahead;
      this.#ahead = undefined;
      more = await (ahead ?? this.#read());
    }
    this.#cut_since_us = undefined;
    this.#finishing_since_us ??= this.#rooms.monotonic_us();
  }

  /** Resolves once another frame may be taken. */
  async #room(): Promise<void> {
    while (this.#full() && this.#closed === undefined) {
      this.#ahead ??= this.#readAhead();
      await this.#changed();
    }
  }

  async #readAhead(): Promise<boolean> {
    try {
      if (await this.#read()) return true;
      this.#finishing_since_us ??= this.#rooms.monotonic_us();
    } catch (error) {
      this.close(reasonOf(error));
    }
    return false;
  }

  /** @returns `false` at the end of the stream. */
  async #read(): Promise<boolean> {
    const space = this.#reader.space();
    this.#account();
    const count = await this.#socket.read(space);
    if (count === null) return false;
    this.#reader.filled(count);
    return true;
  }

  /** Keeps the shared account of memory for cut frames true. */
  #account(): void {
    const beyond = Math.max(0, this.#reader.capacity_bytes - IPC_LIMITS.read_buffer_bytes);
    this.#rooms.cut_frames.give(this.#cut_bytes);
    this.#cut_bytes = 0;
    if (!this.#rooms.cut_frames.take(beyond)) throw new BadPeer("cut_frames_full");
    this.#cut_bytes = beyond;
  }

  #take(frame: Frame): void {
    const origin = this.#origin;
    if (origin === undefined) throw new BadPeer("handshake_failed");
    switch (frame.tag) {
      case CLIENT_TAG.policy_query: {
        const query = decoded(() => CHECK_ACTION_SERVER_CODEC.decode(frame.body));
        this.#answer(query, origin, this.#replies.reserve(), frame.body.length);
        return;
      }
      case CLIENT_TAG.event_report: {
        const report = decoded(() => fromBinary(audit.AuditEventSchema, frame.body));
        this.#report(report, origin, frame.body.length);
        return;
      }
      case CLIENT_TAG.approval_response:
        // Decided by the gateway, never by an agent: read to be sound, then forgotten.
        decoded(() => fromBinary(event.ApprovalDecisionSchema, frame.body));
        return;
      case CLIENT_TAG.heartbeat:
        return;
      default:
        throw new BadPeer("bad_frame");
    }
  }

  async #answer(
    query: policy.CheckActionRequest,
    origin: Origin,
    slot: ReplySlot,
    bytes: number,
  ): Promise<void> {
    this.#in_flight_bytes += bytes;
    let body: Uint8Array;
    try {
      const response = await this.#rooms.decisions.answer(query, origin, this.#ended.signal);
      body = CHECK_ACTION_SERVER_CODEC.encode(this.#explained(response));
    } catch {
      this.#rooms.metrics.add("aa_ipc_decision_faults_total");
      body = CHECK_ACTION_SERVER_CODEC.encode(decisionFault());
    }
    slot.frame = { tag: RUNTIME_TAG.policy_response, body };
    this.#in_flight_bytes -= bytes;
    this.#progress();
  }

  /** Rule and smallest change behind the reason, for a client that reads them there. */
  #explained(response: policy.CheckActionResponse): policy.CheckActionResponse {
    if (!this.#explains || response.decision !== common.Decision.DENY) return response;
    const words = this.#rooms.decisions.explain?.(response);
    if (words === undefined) return response;
    return { ...response, reason: explainedReason({ reason: response.reason, ...words }) };
  }

  async #report(report: audit.AuditEvent, origin: Origin, bytes: number): Promise<void> {
    const slot = this.#acknowledges ? this.#acks.reserve() : undefined;
    this.#in_flight_bytes += bytes;
    this.#reports_in_flight++;
    try {
      await this.#rooms.pipeline.report(report, origin);
      if (slot !== undefined) slot.frame = { tag: RUNTIME_TAG.ack, body: NO_BYTES };
    } catch {
      this.#rooms.metrics.add("aa_ipc_reports_failed_total");
      // A client that counts acknowledgements must not wait for one that cannot come.
      if (slot !== undefined) this.close("report_failed");
    }
    this.#in_flight_bytes -= bytes;
    this.#reports_in_flight--;
    this.#progress();
  }

  #progress(): void {
    if (this.#closed !== undefined) return;
    this.#writer.wake();
    this.#wake?.();
  }

  #full(): boolean {
    return this.#replies.owed >= IPC_ROOM_LIMITS.queries_in_flight_max ||
      Math.max(this.#reports_in_flight, this.#acks.owed) >=
        IPC_ROOM_LIMITS.reports_in_flight_max ||
      this.#in_flight_bytes >= IPC_ROOM_LIMITS.in_flight_bytes_max;
  }

  #idle(): boolean {
    return this.#replies.owed === 0 && this.#reports_in_flight === 0 && this.#acks.owed === 0 &&
      !this.#writer.busy;
  }

  async #finish(): Promise<void> {
    while (this.#closed === undefined && !this.#idle()) await this.#changed();
  }

  /** Resolves at the next answer, durable report, finished write, or the end. */
  #changed(): Promise<void> {
    const before = this.#wake;
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        before?.();
        resolve();
      };
    });
  }
}

const NO_BYTES = new Uint8Array(0);

/** A peer that is not served any longer. */
class BadPeer extends Error {
  readonly reason: CloseReason;

  constructor(reason: CloseReason) {
    super(reason);
    this.reason = reason;
  }
}

function decoded<T>(decode: () => T): T {
  try {
    return decode();
  } catch {
    throw new BadPeer("bad_message");
  }
}

function reasonOf(error: unknown): CloseReason {
  if (error instanceof BadPeer) return error.reason;
  if (error instanceof FrameError) return "bad_frame";
  // What a socket says when it was closed under a read, by either side.
  const closed = error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.Interrupted || error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.NotConnected;
  return closed ? "peer_closed" : "runtime_fault";
}
