/**
 * Runs a session against a server and checks what a server promises whatever it is sent.
 *
 * @module
 */

import { gunzipSync } from "node:zlib";
import { type Bounds, SERVER_BOUNDS } from "../../bounds.ts";
import { Code } from "../../code.ts";
import { Echo } from "../../gen/echo_pb.ts";
import { GrpcError } from "../../grpc_error.ts";
import { encodeBlock } from "../../hpack/encoder.ts";
import { type CallContext, GrpcServer, type ServerEvent } from "../../mod.ts";
import type { ServiceCodecs, ServiceHandlers } from "../../server/types.ts";
import { plain, prefixed, uint32 } from "./client_sessions.ts";
import { settle } from "./clock.ts";
import { describe, type Harness, type Wire } from "./harness.ts";
import { hold } from "./invariant.ts";
import { concat, frameBytes, type Op, type Session, timesOf } from "./session.ts";

/** Longest any handler of the fuzzer works once its call is over. */
const HANDLER_MS_MAX = 20_000;
const PROBE_PATH = "/grpc.test.v1.Echo/Unary";
const NO_BYTES = new Uint8Array(0);
const PROBE_MESSAGE = Uint8Array.of(0x70, 0x72, 0x6f);

/** Handlers whose behaviour the request asks for by the header `x-do`. */
class Handlers {
  running = 0;

  /** Bytes come and go as they are; one first byte stands for "not a message". */
  readonly codecs: ServiceCodecs<typeof Echo>;
  readonly handlers: Partial<ServiceHandlers<typeof Echo>>;

  constructor() {
    const codec = {
      decode(bytes: Uint8Array): Uint8Array {
        if (bytes[0] === 0xff) throw new Error("not a message");
        return bytes;
      },
      encode(bytes: Uint8Array): Uint8Array {
        if (bytes[0] === 0xfe) throw new Error("cannot be written");
        return bytes;
      },
    };
    this.codecs = { unary: codec, expand: codec, collect: codec, converse: codec } as never;
    this.handlers = {
      unary: (request: unknown, context: CallContext) => this.#unary(request, context),
      expand: (request: unknown, context: CallContext) =>
        this.#stream(context, () => this.#expand(request as Uint8Array, context)),
      collect: (requests: unknown, context: CallContext) =>
        this.#counted(() => this.#collect(requests as AsyncIterable<Uint8Array>, context)),
      converse: (requests: unknown, context: CallContext) =>
        this.#stream(context, () => this.#converse(requests as AsyncIterable<Uint8Array>)),
    } as never;
  }

  #unary(request: unknown, context: CallContext): unknown {
    const wish = wishOf(context);
    if (wish === "throw") throw new GrpcError("as asked", Code.FAILED_PRECONDITION);
    // deno-lint-ignore no-throw-literal
    if (wish === "throw_other") throw undefined;
    if (wish === "metadata") {
      context.headers.set("x-one", "1");
      context.trailers.set("x-two", "2").setBinary("x-two-bin", new Uint8Array([0, 255]));
      return request;
    }
    if (wish === "large_metadata") context.trailers.set("x-large", "v".repeat(20_000));
    if (wish === "") return request;
    return this.#counted(async () => {
      await linger(wish, context);
      if (wish === "reject") throw new GrpcError("später\n", Code.ABORTED);
      return request;
    });
  }

  async *#expand(request: Uint8Array, context: CallContext): AsyncGenerator<Uint8Array> {
    const wish = wishOf(context);
    const count = (request[0] ?? 0) % 16;
    for (let index = 0; index < count; index++) {
      if (wish === "throw" && index === 2) throw new GrpcError("as asked", Code.DATA_LOSS);
      if (wish !== "") await linger(wish, context);
      yield request;
    }
  }

  async #collect(requests: AsyncIterable<Uint8Array>, context: CallContext): Promise<Uint8Array> {
    const wish = wishOf(context);
    let bytes = 0;
    if (wish === "early") return new Uint8Array([1]);
    for await (const request of requests) {
      bytes += request.length;
      if (wish === "throw") throw new GrpcError("as asked", Code.OUT_OF_RANGE);
      if (wish === "leave") break;
      if (wish !== "") await linger(wish, context);
    }
    return new Uint8Array([bytes >>> 16, bytes >>> 8, bytes]);
  }

  async *#converse(requests: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const request of requests) yield request;
  }

  async #counted<T>(work: () => Promise<T>): Promise<T> {
    this.running++;
    try {
      return await work();
    } finally {
      this.running--;
    }
  }

  async *#stream(
    _context: CallContext,
    work: () => AsyncGenerator<Uint8Array>,
  ): AsyncGenerator<Uint8Array> {
    this.running++;
    try {
      yield* work();
    } finally {
      this.running--;
    }
  }
}

function wishOf(context: CallContext): string {
  return context.metadata.get("x-do") ?? "";
}

async function linger(wish: string, { signal }: CallContext): Promise<void> {
  if (wish === "async") return;
  if (wish === "sleep") return await new Promise((resolve) => setTimeout(resolve, 50));
  if (wish === "deaf") return await new Promise((resolve) => setTimeout(resolve, HANDLER_MS_MAX));
  if (wish !== "hang") return;
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function intercept(context: CallContext): Promise<void> {
  await undefined;
  if (context.metadata.get("x-gate") === "deny") {
    throw new GrpcError("denied", Code.PERMISSION_DENIED);
  }
}

/** One run. */
class ServerRun {
  readonly harness: Harness;
  readonly session: Session;
  readonly bounds: Bounds;
  readonly handlers = new Handlers();
  readonly server: GrpcServer;
  ended_calls = 0;
  closed_connections = 0;
  wire: Wire | undefined;
  #pending: Uint8Array[] = [];
  #shutdown: Promise<void> | undefined;

  constructor(harness: Harness, session: Session) {
    this.harness = harness;
    this.session = session;
    this.bounds = { ...SERVER_BOUNDS, ...session.bounds };
    this.server = new GrpcServer({
      bounds: session.bounds,
      compression: session.compresses === true ? "gzip" : "identity",
      interceptors: [
        (context) => context.metadata.get("x-gate") === undefined ? undefined : intercept(context),
      ],
      onEvent: (event) => this.#onEvent(event),
    });
    const { handlers, codecs } = this.handlers;
    this.server.addService(Echo, handlers, { codecs });
  }

  #onEvent(event: ServerEvent): void {
    if (event.type === "call_ended") this.ended_calls++;
    if (event.type === "connection_closed") this.closed_connections++;
    if (event.type !== "internal_error" && event.type !== "accept_failed") return;
    this.harness.report(new Error(`${event.type}: ${describe(event.reason)}`));
  }

  async run(): Promise<void> {
    await this.server.listen({ transport: "tcp", hostname: "127.0.0.1", port: 1 });
    this.wire = this.harness.connectToServer();
    await settle();
    for (const op of this.session.ops) {
      await this.#do(op, this.wire);
      if (this.harness.violation !== undefined) return;
    }
    this.#flush(this.wire);
    this.wire.socket.flow();
    await settle();
    this.#checkExpectations(this.wire);
    await this.#comeToRest(this.wire);
    await this.#end(this.wire);
  }

  async #do(op: Op, { socket }: Wire): Promise<void> {
    if (op.op === "frame") {
      const bytes = frameBytes(op);
      for (let count = timesOf(op); count > 0; count--) this.#pending.push(bytes);
      return;
    }
    if (op.op === "raw") return void this.#pending.push(op.bytes);
    this.#flushTo(socket);
    switch (op.op) {
      case "turn":
        return await settle();
      case "wait":
        return await this.harness.clock.advance(op.ms);
      case "end":
        return socket.end();
      case "break":
        return socket.break();
      case "stall":
        return socket.stall();
      case "flow":
        return socket.flow();
      case "write_break":
        return socket.failWrite();
      case "shutdown":
        this.#shutdown ??= this.server.shutdown({ grace_ms: op.grace_ms });
        return;
      default: // Steps of clients.
    }
  }

  #flush({ socket }: Wire): void {
    this.#flushTo(socket);
  }

  #flushTo(socket: Wire["socket"]): void {
    const parts = this.#pending;
    this.#pending = [];
    if (parts.length === 0) return;
    socket.feed(concat(parts));
  }

  #checkExpectations({ checker }: Wire): void {
    for (const { call, messages } of this.session.expect ?? []) {
      const stream = checker.streams.get(call);
      const status = stream?.trailers?.get("grpc-status");
      hold(status === "0", () => `sound call ${call} ended with ${status ?? "nothing"}`);
      const found = messagesOf(concat(stream?.data ?? []));
      const same = found.length === messages.length &&
        found.every((message, at) => isEqual([message], [messages[at] ?? NO_BYTES]));
      hold(same, `sound call ${call} was answered with other messages`);
    }
  }

  /** Every connection ends, or answers a fresh call. */
  async #comeToRest(wire: Wire): Promise<void> {
    const { socket, speech, inside } = wire;
    const { clock } = this.harness;
    hold(inside !== undefined, "the connection was never run");
    hold(socket.closed || !socket.hasUnread, "the endpoint stopped reading");
    const usable = () => !socket.closed && !socket.peerGone && inside.phase === "open";
    if (!usable() || !speech.synced || speech.settings.length === 0) {
      const patience_ms = this.bounds.handshake_timeout_ms + this.bounds.frame_timeout_ms +
        this.bounds.linger_timeout_ms + this.bounds.write_timeout_ms +
        4 * this.bounds.sweep_interval_ms;
      if (!socket.peerGone || inside.phase !== "open") {
        await clock.advance(patience_ms, () => socket.closed);
      }
      hold(socket.closed, () => `a connection in phase ${inside.phase} does not end`);
      return;
    }
    const owed = wire.checker.owed_bytes;
    hold(
      owed * 2 <= this.bounds.connection_window_bytes,
      () => `${owed} bytes of the connection window are not given back`,
    );
    await this.#probe(wire, usable);
  }

  async #probe(wire: Wire, usable: () => boolean): Promise<void> {
    const { socket, speech, checker, inside } = wire;
    const { clock } = this.harness;
    for (const { id } of inside?.streams.values() ?? []) {
      socket.feed(frame(3, 0, id, [0, 0, 0, 8]));
    }
    await settle();
    if (!usable()) return;
    hold(inside?.streams.size === 0, "a stream outlives its reset");
    hold(inside?.sender.pendingBytes === 0, "bytes are pending for no stream");
    await clock.advance(HANDLER_MS_MAX * 16, () => this.handlers.running === 0 || !usable());
    const id = speech.last_stream + (speech.last_stream % 2 === 0 ? 1 : 2);
    if (!usable() || id > 2 ** 31 - 1) return;
    const needed = 65_535 - checker.connection_window;
    socket.feed(frame(4, 0, 0, [0, 4, 0, 0, 0xff, 0xff, 0, 5, 0, 0, 0x40, 0]));
    if (needed > 0) socket.feed(frame(8, 0, 0, uint32(needed)));
    const fields = [":method", "POST", ":scheme", "http", ":path", PROBE_PATH];
    socket.feed(frame(1, 4, id, encodeBlock([...fields, "content-type", "application/grpc"])));
    socket.feed(frame(0, 1, id, prefixed(PROBE_MESSAGE)));
    await settle();
    const answer = checker.streams.get(id);
    if (answer?.trailers?.get("grpc-status") === "0") {
      hold(isEqual(answer.data, [prefixed(PROBE_MESSAGE)]), "a wrong echo");
      return;
    }
    // Refused: by a connection that ends, that drains, or whose budget of frames is spent.
    const drained = this.#shutdown !== undefined || checker.goaways.length > 0;
    const too_narrow = this.bounds.stream_window_bytes < 8 && answer?.reset === 3;
    hold(
      !usable() || (drained && answer?.reset === 7) || too_narrow,
      () => `a fresh call is not answered: ${JSON.stringify([...(answer?.trailers ?? [])])}`,
    );
  }

  async #end({ socket, inside, speech }: Wire): Promise<void> {
    const { clock, wires } = this.harness;
    if (!socket.closed) {
      if (this.session.seed % 3 === 0) socket.break();
      else if (this.session.seed % 3 === 1 || !speech.synced) socket.end();
      await settle();
    }
    let down = false;
    this.#shutdown ??= this.server.shutdown({ grace_ms: 500 });
    this.#shutdown.then(() => down = true);
    await clock.advance(HANDLER_MS_MAX * 20, () => down && this.handlers.running === 0);
    await settle();
    const { stats } = this.server;
    hold(down, "the shutdown does not end");
    hold(this.handlers.running === 0, "a handler never heard of its call's end");
    hold(wires.every((wire) => wire.socket.closed), "a socket is left open");
    hold(stats.calls_open === 0, () => `${stats.calls_open} calls are left open`);
    hold(stats.calls_started === stats.calls_ok + stats.calls_failed, "calls do not add up");
    hold(this.ended_calls === stats.calls_started, "a call ended twice or never");
    hold(stats.buffered_bytes === 0, () => `${stats.buffered_bytes} bytes are left accounted`);
    hold(stats.connections_open === 0 && this.closed_connections === 1, "connections");
    hold(inside?.streams.size === 0 && inside.sender.pendingBytes === 0, "streams are left");
    hold(clock.pending === 0, () => `${clock.pending} timers are left`);
  }
}

/** Messages of joined DATA, decompressed. */
function messagesOf(data: Uint8Array): Uint8Array[] {
  const messages: Uint8Array[] = [];
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  for (let at = 0; at + 5 <= data.length;) {
    const end = at + 5 + view.getUint32(at + 1);
    const message = data.subarray(at + 5, end);
    messages.push(data[at] === 1 ? gunzipSync(message) : message);
    at = end;
  }
  return messages;
}

/** Whether two lists of byte strings are the same when joined. */
function isEqual(left: readonly Uint8Array[], right: readonly Uint8Array[]): boolean {
  const a = concat(left);
  const b = concat(right);
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

function frame(type: number, flags: number, stream: number, payload: ArrayLike<number>) {
  return frameBytes(plain(type, flags, stream, Uint8Array.from(payload)));
}

/**
 * Runs a session against a fresh server.
 *
 * @returns what was seen, for the corpus
 * @throws the first broken promise
 */
export async function runServerSession(harness: Harness, session: Session): Promise<Set<string>> {
  const run = new ServerRun(harness, session);
  harness.begin(session, run.bounds);
  await run.run();
  if (harness.violation !== undefined) throw harness.violation;
  const features = run.wire?.checker.features ?? new Set<string>();
  for (const refusal of Object.keys(run.server.stats.refused)) features.add(refusal);
  features.add(`phase ${run.wire?.inside?.phase}`);
  return features;
}
