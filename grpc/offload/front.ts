/**
 * A front: accepts connections on a thread of its own, does everything the protocol asks (TLS,
 * HTTP/2, header blocks, framing, judging requests), and hands whole messages to its origin, which
 * alone has handlers. Nothing here knows what a method means.
 *
 * @module
 */

import { Code } from "../code.ts";
import type { Compression } from "../compression.ts";
import { GrpcError } from "../grpc_error.ts";
import type { Peer } from "../peer.ts";
import { ServerCallContext } from "../server/call_context.ts";
import type { BoundListener } from "../server/listener.ts";
import type { ReadGate } from "../server/read_gate.ts";
import type { Route } from "../server/route.ts";
import { addGatedRoutes, GrpcServer } from "../server/server.ts";
import type { ServerStats } from "../server/stats.ts";
import type { CallContext } from "../server/types.ts";
import { BatchError, type BatchReader, type BatchWriter, FrameKind } from "./batch.ts";
import { BatchLink, type OffloadPort } from "./link.ts";
import type { FrontMessage, OffloadedMethod, OriginMessage } from "./messages.ts";
import { RelayedCall } from "./relayed_call.ts";

/**
 * Bytes of frames that wait in a front because its origin is behind. At it: the front reads nothing
 * more from its sockets until they have left.
 */
export const FRONT_WAITING_BYTES_MAX = 256 * 1024;

/** The thread a front runs on: the inside of a Worker. */
export interface FrontThread extends OffloadPort {
  onmessage: ((event: MessageEvent) => void) | null;
}

/**
 * Makes the thread this is called on a front: it listens, relays and ends as its origin says.
 * Whatever the origin says that is no message of this module ends the thread with an error.
 */
export function serveFront(thread: FrontThread): void {
  let front: Front | undefined;
  thread.onmessage = ({ data }: MessageEvent) => {
    if (front !== undefined) return front.onMessage(data);
    const first = data as OriginMessage;
    if (first.type !== "start") throw new BatchError("a front is told to start first");
    front = new Front(thread, first.methods, first);
  };
  thread.postMessage({ type: "ready" } satisfies FrontMessage, []);
}

class Front {
  readonly #thread: FrontThread;
  readonly #server: GrpcServer;
  readonly #link: BatchLink;
  readonly #gate: ReadGate;
  readonly #calls = new Map<number, RelayedCall>();
  readonly #peers = new Map<Peer, number>();
  readonly #listeners = new Map<string, BoundListener>();
  #last_call = 0;
  #last_peer = 0;

  constructor(
    thread: FrontThread,
    methods: readonly OffloadedMethod[],
    { bounds }: OriginMessage & { type: "start" },
  ) {
    this.#thread = thread;
    this.#link = new BatchLink(thread, {
      onFrames: (reader) => this.#onFrames(reader),
      onFlushed: () => this.#gate.open(),
      onBroken: (reason) => {
        throw reason;
      },
    });
    this.#server = new GrpcServer({
      bounds,
      onEvent: (event) => {
        if (event.type === "connection_closed") this.#forgetPeer(event.peer);
      },
    });
    this.#gate = addGatedRoutes(
      this.#server,
      methods.map((method, index) => this.#routeOf(method, index)),
    );
  }

  onMessage(data: unknown): void {
    if (data instanceof Uint8Array) return this.#link.receive(data);
    const message = data as OriginMessage;
    switch (message.type) {
      case "listen":
        return void this.#listen(message);
      case "unlisten":
        this.#listeners.get(message.address)?.close();
        return;
      case "ping":
        return this.#tell({ type: "pong", stats: this.#stats() });
      case "drain":
        return void this.#drain(message.grace_ms);
      default:
        throw new BatchError("the origin says what a front does not know");
    }
  }

  async #listen({ options }: OriginMessage & { type: "listen" }): Promise<void> {
    try {
      const listener = await this.#server.listen(options);
      const { address, port } = listener;
      this.#listeners.set(address, listener);
      this.#tell({ type: "bound", address, port });
    } catch (error) {
      const { name, message: text } = error instanceof Error ? error : new Error(String(error));
      this.#tell({ type: "listen_failed", name, text });
    }
  }

  async #drain(grace_ms: number): Promise<void> {
    await this.#server.shutdown({ grace_ms });
    this.#tell({ type: "drained", stats: this.#stats() });
  }

  #stats(): ServerStats {
    return { ...this.#server.stats };
  }

  #tell(message: FrontMessage): void {
    this.#thread.postMessage(message, []);
  }

  // Calls

  #routeOf({ path, kind }: OffloadedMethod, index: number): Route {
    const identity = (bytes: unknown) => bytes as Uint8Array;
    return {
      path,
      kind,
      method: undefined,
      reflective: false,
      decode: identity,
      encode: identity,
      interceptors: [],
      compression: "identity", // Until the origin says otherwise, with the headers.
      handle: (input, context) => this.#relay(index, kind, input, context),
    };
  }

  #relay(
    method: number,
    kind: OffloadedMethod["kind"],
    input: unknown,
    context: CallContext,
  ): unknown {
    const call = this.#open(method, context);
    if (kind === "client_streaming" || kind === "bidi_streaming") {
      call.sendAll(input as AsyncIterable<unknown>);
    } else {
      call.send(input as Uint8Array, true);
    }
    return kind === "server_streaming" || kind === "bidi_streaming"
      ? call.responses()
      : call.response();
  }

  #open(method: number, context: CallContext): RelayedCall {
    if (!(context instanceof ServerCallContext)) {
      throw new GrpcError("not a call of this server", Code.INTERNAL);
    }
    const peer = this.#peers.get(context.peer) ?? this.#introduce(context.peer);
    do this.#last_call = (this.#last_call + 1) >>> 0; while (this.#calls.has(this.#last_call));
    const frames = this.frames();
    frames.frame(FrameKind.OPEN, this.#last_call);
    frames.u32(method);
    frames.u32(peer);
    const { deadline_ms } = context;
    frames.f64(deadline_ms === undefined ? NaN : deadline_ms - Date.now());
    frames.fields(context.metadata.fields);
    const call = new RelayedCall(this.#last_call, this, context);
    this.#calls.set(call.id, call);
    return call;
  }

  #introduce(peer: Peer): number {
    this.#last_peer = (this.#last_peer + 1) >>> 0;
    const frames = this.frames();
    frames.frame(FrameKind.PEER, this.#last_peer);
    frames.text(JSON.stringify(peer));
    this.#peers.set(peer, this.#last_peer);
    return this.#last_peer;
  }

  #forgetPeer(peer: Peer): void {
    const id = this.#peers.get(peer);
    if (id === undefined) return;
    this.#peers.delete(peer);
    this.frames().frame(FrameKind.PEER_GONE, id);
  }

  /** Where frames are written; when too many wait, nothing more is read that would add some. */
  frames(): BatchWriter {
    if (this.#link.waiting_bytes > FRONT_WAITING_BYTES_MAX) this.#gate.close();
    return this.#link.frames();
  }

  onRelayed(call: RelayedCall): void {
    this.#calls.delete(call.id);
  }

  #onFrames(reader: BatchReader): void {
    while (!reader.atEnd) {
      const kind = reader.u8();
      const call = this.#calls.get(reader.u32());
      if (call === undefined) throw new BatchError("the origin speaks of a call that has ended");
      switch (kind) {
        case FrameKind.DATA: {
          const compression = compressionOf(reader);
          const length = reader.u32();
          const start = reader.span(length);
          call.onData(reader.bytes.subarray(start + 5, start + length), compression);
          break;
        }
        case FrameKind.CREDIT:
          call.onCredit(reader.u32());
          break;
        case FrameKind.HEAD:
          call.onHead(compressionOf(reader), reader.fields());
          break;
        case FrameKind.END:
          call.onEnd(reader);
          break;
        default:
          throw new BatchError(`the origin sends a frame of kind ${kind}`);
      }
    }
  }
}

/** How the origin wants what follows to travel to the peer. */
function compressionOf(reader: BatchReader): Compression {
  return reader.u8() === 1 ? "gzip" : "identity";
}
