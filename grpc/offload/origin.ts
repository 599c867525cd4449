/**
 * An origin: runs the calls of one front through the handlers of a server, as if their connections
 * were its own. Deadlines, interceptors, decoding, streams and bounds are those of any call here;
 * only what is sent goes into batches instead of frames of HTTP/2.
 *
 * @module
 */

import { Code } from "../code.ts";
import type { GrpcError } from "../grpc_error.ts";
import { ErrorCode } from "../http2/frames.ts";
import { MessageSlab } from "../message_slab.ts";
import type { Metadata } from "../metadata.ts";
import type { Peer } from "../peer.ts";
import { ServerCall } from "../server/call.ts";
import { countStarted, type ServerShare } from "../server/accounting.ts";
import type { Route } from "../server/route.ts";
import { encodeStatusDetails } from "../status_details.ts";
import { BatchError, type BatchReader, type BatchWriter, FrameKind } from "./batch.ts";
import { BatchLink, type OffloadPort } from "./link.ts";
import { OriginPeer } from "./origin_peer.ts";
import { CancelReason } from "./relayed_call.ts";

/**
 * Bytes of answers that wait because their front does not take them. At it: a call that adds one
 * more ends with RESOURCE_EXHAUSTED. Streams wait long before (`STREAM_CREDIT_BYTES`).
 */
export const ORIGIN_WAITING_BYTES_MAX = 64 * 1024 * 1024;

const NO_FIELDS: readonly string[] = [];

/** How a call ended, waiting for its handler to settle. */
interface Ending {
  readonly error: GrpcError | undefined;
  readonly trailers: Metadata | undefined;
}

/** The calls of one front. */
export class Origin {
  readonly share: ServerShare;
  readonly slab = new MessageSlab();
  readonly routes: readonly Route[];
  readonly #link: BatchLink;
  readonly #onBroken: (reason: unknown) => void;
  readonly #peers = new Map<number, OriginPeer>();
  readonly #calls = new Map<number, ServerCall>();
  readonly #endings = new Map<number, Ending>();
  #broken = false;

  /**
   * @param routes by the number they have in batches
   * @param onBroken called once when the front sends what it may not
   */
  constructor(
    port: OffloadPort,
    share: ServerShare,
    routes: readonly Route[],
    onBroken: (reason: unknown) => void,
  ) {
    this.share = share;
    this.routes = routes;
    this.#onBroken = onBroken;
    this.#link = new BatchLink(port, {
      onFrames: (reader) => this.#onFrames(reader),
      onFlushed: () => {},
      onBroken: (reason) => this.#break(reason),
    });
  }

  /** Calls whose handlers have not settled. */
  get calls_open(): number {
    return this.#calls.size;
  }

  receive(batch: Uint8Array): void {
    this.#link.receive(batch);
  }

  /** The front is gone: its calls hear that their connection is. */
  abandon(text: string): void {
    this.#broken = true;
    this.#link.close();
    for (const [id, call] of [...this.#calls]) {
      call.onAborted("connection", ErrorCode.NO_ERROR, text);
      this.end(id, undefined, undefined);
    }
    this.#peers.clear();
  }

  // For peers

  frames(): BatchWriter {
    return this.#link.frames();
  }

  /** Whether so many bytes more may wait for the front. */
  hasRoom(bytes: number): boolean {
    return this.#link.waiting_bytes + bytes <= ORIGIN_WAITING_BYTES_MAX;
  }

  /**
   * Says the last of a call, once its handler has settled: until then the call keeps its place on
   * its connection. The front keeps deadlines itself, so no peer waits for this.
   */
  end(id: number, error: GrpcError | undefined, trailers: Metadata | undefined): void {
    const running = this.#calls.get(id)?.handler_running === true;
    if (running) this.#endings.set(id, { error, trailers });
    else this.#sayEnd(id, error, trailers);
  }

  onHandlerSettled(id: number): void {
    const ending = this.#endings.get(id);
    if (ending === undefined) return;
    this.#endings.delete(id);
    this.#sayEnd(id, ending.error, ending.trailers);
  }

  #sayEnd(id: number, error: GrpcError | undefined, trailers: Metadata | undefined): void {
    if (this.#calls.delete(id)) this.share.counters.calls_held--;
    if (this.#broken) return;
    const frames = this.frames();
    frames.frame(FrameKind.END, id);
    frames.u32(error === undefined ? Code.OK : error.code);
    frames.text(error?.message ?? "");
    frames.fields(error?.hasMetadata === true ? error.metadata.fields : NO_FIELDS);
    const details = error === undefined ? undefined : encodeStatusDetails(error, Infinity);
    frames.text(details ?? "");
    frames.fields(trailers?.fields ?? NO_FIELDS);
  }

  // What the front says

  #break(reason: unknown): void {
    if (this.#broken) return;
    this.abandon("the connection's front was given up");
    this.#onBroken(reason);
  }

  #onFrames(reader: BatchReader): void {
    while (!reader.atEnd) {
      const kind = reader.u8();
      const id = reader.u32();
      switch (kind) {
        case FrameKind.PEER:
          this.#peers.set(id, new OriginPeer(this, peerOf(reader.text())));
          break;
        case FrameKind.PEER_GONE:
          this.#peers.delete(id);
          break;
        case FrameKind.OPEN:
          this.#onOpen(id, reader);
          break;
        case FrameKind.DATA:
          this.#onData(id, reader);
          break;
        case FrameKind.CREDIT:
          this.#onCredit(id, reader.u32());
          break;
        case FrameKind.CANCEL:
          this.#onCancel(id, reader.u8(), reader.text());
          break;
        default:
          throw new BatchError(`the front sends a frame of kind ${kind}`);
      }
    }
  }

  #onOpen(id: number, reader: BatchReader): void {
    const route = this.routes[reader.u32()];
    const peer = this.#peers.get(reader.u32());
    const left_ms = reader.f64();
    const fields = reader.fields();
    if (route === undefined || peer === undefined || this.#calls.has(id)) {
      throw new BatchError("the front opens a call that cannot be");
    }
    const call = new ServerCall(peer, id, {
      kind: "call",
      route,
      timeout_ms: Number.isNaN(left_ms) ? undefined : left_ms,
      encoding: "identity",
      accepts: "unnamed",
      fields,
      content_length: undefined,
    });
    this.#calls.set(id, call);
    this.share.counters.calls_held++;
    countStarted(this.share, call);
    call.start(false);
  }

  #onData(id: number, reader: BatchReader): void {
    const last = reader.u8() === 1;
    const length = reader.u32();
    const start = reader.span(length);
    const call = this.#calls.get(id);
    if (call === undefined) return; // Ended while this was under way.
    if (last) call.remote_ended = true;
    call.onData(reader.bytes, start, start + length, last);
  }

  #onCredit(id: number, bytes: number): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    const waited = call.send_window <= 0;
    call.send_window += bytes;
    if (waited && call.send_window > 0) call.onSent();
  }

  #onCancel(id: number, reason: number, text: string): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    if (reason === CancelReason.CANCELLED) call.onAborted("peer", ErrorCode.CANCEL, text);
    else call.onAborted("connection", ErrorCode.NO_ERROR, text);
    this.end(id, undefined, undefined);
  }
}

function peerOf(text: string): Peer {
  let peer: unknown;
  try {
    peer = JSON.parse(text);
  } catch {
    // Judged below.
  }
  if (typeof peer !== "object" || peer === null || !("transport" in peer) || !("address" in peer)) {
    throw new BatchError("the front introduces a peer that is none");
  }
  return peer as Peer;
}
