/**
 * One connection to the runtime: handshake, questions answered in order, events, and what comes
 * unasked (contract `wire` §3).
 *
 * @module
 */
import { createConnection, type Socket } from "node:net";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type PolicyViolation, PolicyViolationSchema } from "@agent-assembly/proto/audit";
import { type ApprovalDecision, ApprovalDecisionSchema } from "@agent-assembly/proto/event";
import {
  CLIENT_TAG,
  encodeFrame,
  type Frame,
  FrameReader,
  type HandshakeKey,
  HEARTBEAT_FRAME,
  IPC_LIMITS,
  RUNTIME_TAG,
  signProof,
} from "@agent-assembly/proto/ipc";
import { HandshakeChallengeSchema, HandshakeProofSchema } from "@agent-assembly/proto/ipc_messages";
import { type CheckActionResponse, CheckActionResponseSchema } from "@agent-assembly/proto/policy";
import { deferred } from "../../deferred.ts";
import { GatewayUnavailableError, OverloadedError } from "../../errors.ts";
import type { Timers } from "../../timers.ts";
import { TRANSPORT_LIMITS } from "../limits.ts";

/** What a connection is told, and whom it tells. */
export interface ConnectionOptions {
  readonly path: string;
  readonly key: HandshakeKey;
  /** Signed as it is; names what is asked for beyond the reference's protocol. */
  readonly signed_version: string;
  readonly timers: Timers;
  readonly onAck: () => boolean;
  readonly onViolation: (violation: PolicyViolation) => void;
  readonly onApproval: (decision: ApprovalDecision) => void;
  /** Once, when the connection is gone. */
  readonly onClose: (why: string) => void;
}

/** One question in its place. The place stays when nobody waits any more (trap C2). */
interface Place {
  resolve: ((response: CheckActionResponse) => void) | undefined;
  reject: ((error: Error) => void) | undefined;
}

/** An established connection. */
export class SocketConnection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #reader = new FrameReader("runtime");
  readonly #places: Place[] = [];
  #outbox: Uint8Array[] = [];
  /** Questions in a row without an answer in time, and without anything else arriving. */
  #silent_timeouts = 0;
  #challenge: { resolve: (frame: Frame) => void; reject: (error: Error) => void } | undefined;
  #spoke = false;
  #closed: string | undefined;

  private constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#socket = createConnection({ path: options.path });
    this.#socket.on("data", (chunk: Uint8Array) => this.#receive(chunk));
    this.#socket.on("error", (error: Error) => this.close(error.message));
    this.#socket.on("end", () => this.close("the runtime closed the connection"));
    this.#socket.on("close", () => this.close("the connection was closed"));
  }

  /**
   * Connects and shakes hands.
   *
   * @throws {GatewayUnavailableError} naming the path and what went wrong.
   */
  static async open(options: ConnectionOptions): Promise<SocketConnection> {
    let connection: SocketConnection | undefined;
    try {
      connection = new SocketConnection(options);
      await connection.#shakeHands();
      return connection;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      connection?.close(why);
      throw new GatewayUnavailableError(`no connection to \`${options.path}\`: ${why}`, error);
    }
  }

  /** Whether the runtime said anything after the handshake: until then it may not have liked it. */
  get spoke(): boolean {
    return this.#spoke;
  }

  /** Questions without an answer. */
  get waiting(): number {
    return this.#places.length;
  }

  /** Whether this connection keeps the process from ending by itself. */
  hold(yes: boolean): void {
    if (yes) this.#socket.ref();
    else this.#socket.unref();
  }

  /** Why it is gone; `undefined` while it stands. */
  get closed(): string | undefined {
    return this.#closed;
  }

  /**
   * Asks one question. A caller that gives up leaves its place behind, which swallows the answer
   * that still comes, so that no later question gets it.
   *
   * @throws {GatewayUnavailableError} when no answer came in time, or the connection broke.
   */
  ask(frame: Uint8Array, timeout_ms: number, signal: AbortSignal): Promise<CheckActionResponse> {
    if (this.#closed !== undefined) {
      return Promise.reject(new GatewayUnavailableError(this.#closed));
    }
    if (this.#places.length >= TRANSPORT_LIMITS.questions_in_flight) {
      return Promise.reject(
        new OverloadedError(
          `${this.#places.length} questions on this connection have no answer yet: let some finish`,
        ),
      );
    }
    return new Promise((resolve, reject) => {
      const leave = () => {
        cancel();
        signal.removeEventListener("abort", given_up);
        place.resolve = place.reject = undefined;
      };
      const given_up = () => {
        leave();
        reject(signal.reason);
      };
      const cancel = this.#options.timers.after(timeout_ms, () => {
        leave();
        reject(
          new GatewayUnavailableError(`the runtime did not answer within ${timeout_ms} ms`),
        );
        this.#timedOut();
      });
      const place: Place = {
        resolve: (response) => {
          leave();
          resolve(response);
        },
        reject: (error) => {
          leave();
          reject(error);
        },
      };
      signal.addEventListener("abort", given_up, { once: true });
      this.#places.push(place);
      this.send(frame);
    });
  }

  /** Writes a frame; frames of one turn leave together. */
  send(frame: Uint8Array, onWritten?: () => void): void {
    if (this.#closed !== undefined) return;
    if (onWritten !== undefined) {
      this.#flush();
      this.#socket.write(frame, (error?: Error | null) => {
        if (!error && this.#closed === undefined) onWritten();
      });
      return;
    }
    this.#outbox.push(frame);
    if (this.#outbox.length === 1) queueMicrotask(() => this.#flush());
  }

  /** Ends it; every question that waits fails with the reason. */
  close(why: string): void {
    if (this.#closed !== undefined) return;
    this.#closed = why;
    this.#socket.destroy();
    const error = () => new GatewayUnavailableError(why);
    this.#challenge?.reject(error());
    for (const place of this.#places.splice(0)) place.reject?.(error());
    this.#options.onClose(why);
  }

  /** Hands what was written to the system, then ends. */
  end(): void {
    this.#flush();
    this.#socket.end();
  }

  #flush(): void {
    const frames = this.#outbox;
    if (frames.length === 0 || this.#closed !== undefined) return;
    this.#outbox = [];
    const [only] = frames;
    if (frames.length === 1 && only !== undefined) {
      this.#socket.write(only);
      return;
    }
    const all = new Uint8Array(frames.reduce((bytes, frame) => bytes + frame.length, 0));
    let at = 0;
    for (const frame of frames) {
      all.set(frame, at);
      at += frame.length;
    }
    this.#socket.write(all);
  }

  async #shakeHands(): Promise<void> {
    const { timers, key, signed_version } = this.#options;
    const { promise, resolve, reject } = deferred<Frame>();
    this.#challenge = { resolve, reject };
    const cancel = timers.after(
      TRANSPORT_LIMITS.connect_timeout_ms,
      () => reject(new Error("the runtime sent no challenge in time")),
    );
    const frame = await promise.finally(cancel);
    if (frame.tag !== RUNTIME_TAG.handshake_challenge) {
      throw new Error(`the runtime began with frame \`${frame.tag}\` instead of a challenge`);
    }
    const { nonce } = fromBinary(HandshakeChallengeSchema, frame.body);
    if (nonce.length !== IPC_LIMITS.nonce_bytes) {
      throw new Error(`the challenge has \`${nonce.length}\` bytes: expected 32`);
    }
    const proof = toBinary(HandshakeProofSchema, signProof(key, nonce, signed_version));
    this.send(encodeFrame(CLIENT_TAG.handshake_proof, proof));
    this.send(HEARTBEAT_FRAME);
  }

  #receive(chunk: Uint8Array): void {
    if (this.#closed !== undefined) return;
    this.#silent_timeouts = 0;
    try {
      this.#reader.push(chunk);
      for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
        this.#take(frame);
      }
    } catch (error) {
      // There is no error frame: what cannot be understood ends the connection.
      const why = error instanceof Error ? error.message : String(error);
      this.close(`the runtime broke the protocol: ${why}`);
    }
  }

  #take(frame: Frame): void {
    if (this.#challenge !== undefined) {
      const { resolve } = this.#challenge;
      this.#challenge = undefined;
      resolve(frame);
      return;
    }
    this.#spoke = true;
    switch (frame.tag) {
      case RUNTIME_TAG.policy_response: {
        const response = fromBinary(CheckActionResponseSchema, frame.body);
        const place = this.#places.shift();
        if (place === undefined) throw new Error("an answer came that nobody asked for");
        place.resolve?.(response);
        return;
      }
      case RUNTIME_TAG.approval_decision:
        this.#options.onApproval(fromBinary(ApprovalDecisionSchema, frame.body));
        return;
      case RUNTIME_TAG.violation_alert:
        this.#options.onViolation(fromBinary(PolicyViolationSchema, frame.body));
        return;
      case RUNTIME_TAG.ack:
        if (!this.#options.onAck()) throw new Error("an event was acknowledged that was not sent");
        return;
      default:
        throw new Error(`frame \`${frame.tag}\` has no place here`);
    }
  }

  /** A peer that answers nothing at all any more is replaced. */
  #timedOut(): void {
    if (++this.#silent_timeouts >= TRANSPORT_LIMITS.silent_timeouts) {
      this.close(`the runtime was silent for ${this.#silent_timeouts} questions`);
    }
  }
}
