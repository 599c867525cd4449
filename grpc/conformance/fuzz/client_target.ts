/**
 * Runs a session against a channel and checks what a client promises whatever its server does.
 *
 * @module
 */

import { type Bounds, CLIENT_BOUNDS } from "../../bounds.ts";
import { Echo } from "../../gen/echo_pb.ts";
import { encodeBlock } from "../../hpack/encoder.ts";
import {
  type CallOptions,
  Channel,
  type Client,
  Code,
  createClient,
  GrpcError,
  Metadata,
  type RetryPolicy,
} from "../../mod.ts";
import { plain, prefixed, settings, uint32 } from "./client_sessions.ts";
import { settle } from "./clock.ts";
import { describe, type Harness, type Wire } from "./harness.ts";
import { hold, InvariantError } from "./invariant.ts";
import {
  type CallOp,
  concat,
  frameBytes,
  type FrameOp,
  type Op,
  type Session,
  timesOf,
} from "./session.ts";

const PROBES_MAX = 6;
const PROBE_MESSAGE = Uint8Array.of(0x70, 0x72, 0x6f);
const ANSWER_HEAD = encodeBlock([":status", "200", "content-type", "application/grpc"]);
const ANSWER_END = encodeBlock(["grpc-status", "0"]);

const RETRY: RetryPolicy = {
  max_attempts: 4,
  initial_backoff_ms: 20,
  max_backoff_ms: 200,
  backoff_multiplier: 2,
  retryable_codes: [Code.UNAVAILABLE, Code.ABORTED, Code.RESOURCE_EXHAUSTED],
};
const THROTTLE = { max_tokens: 10, token_ratio: 0.5 };

/** A call the session asked for. */
interface Begun {
  readonly op: CallOp;
  readonly began_ms: number;
  readonly abort: AbortController;
  readonly messages: Uint8Array[];
  /** How it ended; a reader that stopped on purpose ended, too. */
  outcome: "ok" | "stopped" | GrpcError | undefined;
}

/** Bytes instead of messages: both directions carry what the session says. */
function rawClient(
  channel: Channel,
): Record<keyof Client<typeof Echo>, (...args: never[]) => unknown> {
  const codec = { encode: (bytes: Uint8Array) => bytes, decode: (bytes: Uint8Array) => bytes };
  const codecs = { unary: codec, expand: codec, collect: codec, converse: codec } as never;
  return createClient(Echo, channel, { codecs }) as never;
}

/** One run. */
class ClientRun {
  readonly harness: Harness;
  readonly session: Session;
  readonly bounds: Bounds;
  readonly channel: Channel;
  readonly calls: Begun[] = [];
  readonly #client: ReturnType<typeof rawClient>;
  #pending: Uint8Array[] = [];
  #closing: Promise<void> | undefined;
  /** Streams answered already, by wire. */
  readonly #answered = new Map<Wire, Set<number>>();

  constructor(harness: Harness, session: Session) {
    this.harness = harness;
    this.session = session;
    this.bounds = { ...CLIENT_BOUNDS, ...session.bounds };
    const spread = session.channel === "spread";
    this.channel = new Channel(spread ? ["127.0.0.1:1", "127.0.0.1:2"] : "127.0.0.1:1", {
      bounds: session.bounds,
      compression: session.compresses === true ? "gzip" : "identity",
      backoff: { initial_ms: 100, max_ms: 1000 },
      ...(spread ? { load_balancing: "round_robin" } : {}),
      ...(session.channel === "retrying" ? { retry: { policy: RETRY, throttle: THROTTLE } } : {}),
    });
    this.#client = rawClient(this.channel);
  }

  async run(): Promise<void> {
    for (const op of this.session.ops) {
      await this.#do(op);
      if (this.harness.violation !== undefined) return;
    }
    this.#flush();
    for (const { socket } of this.harness.wires) socket.flow();
    await settle();
    this.#checkExpectations();
    this.#checkDeadlines();
    await this.#cancelAll();
    this.harness.refusing = false;
    // An answer that does not fit the window at once is no fair question.
    const fair = this.bounds.stream_window_bytes >= prefixed(PROBE_MESSAGE).length;
    if (this.#closing === undefined && fair) await this.#probeUntilAnswered();
    await this.#end();
  }

  async #do(op: Op): Promise<void> {
    if (op.op === "frame") {
      const bytes = frameBytes(op);
      for (let count = timesOf(op); count > 0; count--) this.#pending.push(bytes);
      return;
    }
    if (op.op === "raw") return void this.#pending.push(op.bytes);
    this.#flush();
    const socket = this.harness.wires.at(-1)?.socket;
    switch (op.op) {
      case "call":
        return this.#begin(op);
      case "cancel":
        return this.calls[op.index]?.abort.abort();
      case "turn":
        return await settle();
      case "wait":
        return await this.harness.clock.advance(op.ms);
      case "end":
        return socket?.end();
      case "break":
        return socket?.break();
      case "stall":
        return socket?.stall();
      case "flow":
        return socket?.flow();
      case "write_break":
        return socket?.failWrite();
      case "shutdown":
        this.#closing ??= this.channel.close();
        return;
      case "refuse":
      case "accept":
        this.harness.refusing = op.op === "refuse";
    }
  }

  /** To the newest connection; kept while there is none. */
  #flush(): void {
    const socket = this.harness.wires.at(-1)?.socket;
    if (socket === undefined || this.#pending.length === 0) return;
    socket.feed(concat(this.#pending));
    this.#pending = [];
  }

  // Calls

  #begin(op: CallOp): void {
    const call: Begun = {
      op,
      began_ms: this.harness.clock.now_ms,
      abort: new AbortController(),
      messages: [],
      outcome: undefined,
    };
    this.calls.push(call);
    this.#perform(call).then(
      (outcome) => call.outcome = outcome,
      (reason: unknown) => {
        if (reason instanceof GrpcError) call.outcome = reason;
        else this.harness.report(new InvariantError(`a call ended with ${describe(reason)}`));
      },
    );
  }

  async #perform(call: Begun): Promise<"ok" | "stopped"> {
    const { op } = call;
    const options = optionsOf(call);
    const [first = 0] = op.sizes;
    if (op.kind === "unary" || op.kind === "collect") {
      const input = op.kind === "unary" ? new Uint8Array(first) : requests(op);
      call.messages.push(
        await this.#client[op.kind](input as never, options as never) as Uint8Array,
      );
      return "ok";
    }
    const input = op.kind === "expand" ? new Uint8Array(first) : requests(op);
    const responses = this.#client[op.kind](input as never, options as never);
    let left = op.reads ?? Infinity;
    for await (const message of responses as AsyncIterable<Uint8Array>) {
      call.messages.push(message);
      if (--left > 0) continue;
      if (op.leaves === true) break;
      call.outcome = "stopped";
      await new Promise(() => {}); // Never reads on.
    }
    return "ok";
  }

  #checkExpectations(): void {
    for (const { call: index, messages } of this.session.expect ?? []) {
      const call = this.calls[index];
      hold(call?.outcome === "ok", () => `sound call ${index} ended with ${call?.outcome}`);
      hold(
        call.messages.length === messages.length &&
          messages.every((message, at) => isEqual(message, call.messages[at])),
        `sound call ${index} received other messages`,
      );
    }
  }

  #checkDeadlines(): void {
    const now_ms = this.harness.clock.now_ms;
    for (const [index, { op, began_ms, outcome }] of this.calls.entries()) {
      if (op.timeout_ms === undefined || began_ms + op.timeout_ms + 2 > now_ms) continue;
      hold(outcome !== undefined, `call ${index} outlives its deadline`);
    }
  }

  async #cancelAll(): Promise<void> {
    for (const { abort } of this.calls) abort.abort();
    await settle();
    for (const [index, { outcome }] of this.calls.entries()) {
      hold(outcome !== undefined, `call ${index} outlives its cancelling`);
    }
    for (const { inside, checker } of this.harness.wires) {
      if (inside === undefined) continue;
      hold(inside.streams.size === 0, "a stream outlives its call");
      hold(inside.sender.pendingBytes === 0, "bytes are pending for no stream");
      if (inside.phase !== "open") continue;
      const owed = checker.owed_bytes;
      hold(
        owed * 2 <= this.bounds.connection_window_bytes,
        () => `${owed} bytes of the connection window are not given back`,
      );
    }
  }

  // A fresh call must be answered, on this connection or on another.

  async #probeUntilAnswered(): Promise<void> {
    const { clock } = this.harness;
    let last = "";
    for (let attempt = 0; attempt < PROBES_MAX; attempt++) {
      let outcome: unknown;
      const call = this.#client.unary(PROBE_MESSAGE as never) as Promise<Uint8Array>;
      call.then((message) => outcome = message, (reason: unknown) => outcome = reason);
      for (let step = 0; step < 40 && outcome === undefined; step++) {
        await settle();
        this.#serve();
        await settle();
        if (outcome === undefined) await clock.advance(1000, () => outcome !== undefined);
      }
      if (outcome instanceof Uint8Array) {
        hold(isEqual(outcome, PROBE_MESSAGE), "a wrong answer to a fresh call");
        return;
      }
      hold(outcome !== undefined, "a fresh call is neither answered nor refused");
      last = String(outcome);
      await clock.advance(5000);
    }
    throw new InvariantError(`no fresh call is answered; the last ended with ${last}`);
  }

  /** Behaves as a sound server on every connection that still understands one. */
  #serve(): void {
    for (const wire of this.harness.wires) {
      const { socket, speech, checker } = wire;
      if (socket.closed || socket.peerGone || !speech.synced || socket.hasUnread) continue;
      const answered = this.#answered.get(wire) ?? new Set();
      if (!this.#answered.has(wire)) {
        send(wire, plain(4, 0, 0, settings([[4, 65_535], [3, 100], [5, 16_384], [6, 1 << 20]])));
      }
      this.#answered.set(wire, answered);
      const needed = 65_535 - checker.connection_window;
      if (needed > 0) send(wire, plain(8, 0, 0, uint32(needed)));
      for (const stream of checker.streams.values()) {
        if (stream.reset !== undefined || !stream.ended) continue;
        if (!isEqual(concat(stream.data), prefixed(PROBE_MESSAGE))) continue;
        if (answered.has(stream.id)) continue;
        answered.add(stream.id);
        send(wire, plain(1, 4, stream.id, ANSWER_HEAD));
        send(wire, plain(0, 0, stream.id, prefixed(PROBE_MESSAGE)));
        send(wire, plain(1, 5, stream.id, ANSWER_END));
      }
    }
  }

  async #end(): Promise<void> {
    const { clock, wires } = this.harness;
    let closed = false;
    this.#closing ??= this.channel.close();
    this.#closing.then(() => closed = true);
    await settle();
    await clock.advance(100_000, () => closed);
    hold(closed, "the channel does not close");
    hold(wires.every((wire) => wire.socket.closed), "a socket is left open");
    for (const { inside } of wires) {
      hold(inside === undefined || inside.streams.size === 0, "streams are left");
    }
    hold(clock.pending === 0, () => `${clock.pending} timers are left`);
  }
}

function send({ socket }: Wire, frame: FrameOp): void {
  socket.feed(frameBytes(frame));
}

function optionsOf({ op, abort }: Begun): CallOptions {
  const metadata = new Metadata();
  const fields = op.metadata ?? [];
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? "";
    if (name.endsWith("-bin")) metadata.setBinary(name, new Uint8Array([0, 255, 10]));
    else metadata.append(name, fields[at + 1] ?? "");
  }
  const fail = (): never => {
    throw new Error("the caller's own mistake");
  };
  return {
    signal: abort.signal,
    ...(fields.length > 0 ? { metadata } : {}),
    ...(op.timeout_ms === undefined ? {} : { timeout_ms: op.timeout_ms }),
    ...(op.wait_for_ready === true ? { wait_for_ready: true } : {}),
    ...(op.throws === "headers" ? { onHeaders: fail } : {}),
    ...(op.throws === "trailers" ? { onTrailers: fail } : {}),
  };
}

async function* requests(op: CallOp): AsyncGenerator<Uint8Array> {
  for (const [index, size] of op.sizes.entries()) {
    if (op.throws === "requests" && index === 1) throw new Error("the caller's own mistake");
    await undefined;
    yield new Uint8Array(size);
  }
}

function isEqual(left: Uint8Array, right: Uint8Array | undefined): boolean {
  return right !== undefined && left.length === right.length &&
    left.every((byte, at) => byte === right[at]);
}

/**
 * Runs a session against a fresh channel.
 *
 * @returns what was seen, for the corpus
 * @throws the first broken promise
 */
export async function runClientSession(harness: Harness, session: Session): Promise<Set<string>> {
  const bounds = { ...CLIENT_BOUNDS, ...session.bounds };
  harness.begin(session, bounds);
  const run = new ClientRun(harness, session);
  await run.run();
  if (harness.violation !== undefined) throw harness.violation;
  const features = new Set<string>();
  for (const { checker, inside } of harness.wires) {
    for (const feature of checker.features) features.add(feature);
    features.add(`phase ${inside?.phase}`);
  }
  features.add(`wires ${Math.min(4, harness.wires.length)}`);
  for (const { op, outcome } of run.calls) {
    const end = outcome instanceof GrpcError ? `${outcome.code} ${outcome.message}` : outcome;
    features.add(`${op.kind} ${end?.replace(/[0-9]+|`.*`/g, "#")}`);
  }
  return features;
}
