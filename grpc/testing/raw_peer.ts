/**
 * A client or server that writes frames by hand: the tests' way to be a hostile or broken peer.
 *
 * @module
 */

import assert from "node:assert/strict";
import { HpackDecoder } from "../hpack/decoder.ts";
import { encodeBlock } from "../hpack/encoder.ts";
import { CLIENT_PREFACE, ErrorCode, errorCodeName, Flag, FrameType } from "../http2/frames.ts";

/** A received frame. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream_id: number;
  readonly payload: Uint8Array;
}

/** Bytes of one frame; `stated_length` lies about the payload. */
export function frame(
  type: number,
  flags: number,
  stream_id: number,
  payload: Uint8Array | readonly number[] = [],
  stated_length: number = payload.length,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(9 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, stated_length << 8 | type);
  bytes[4] = flags;
  view.setUint32(5, stream_id);
  bytes.set(payload, 9);
  return bytes;
}

/** Four bytes, most significant first. */
export function uint32(value: number): number[] {
  return [value >>> 24 & 255, value >>> 16 & 255, value >>> 8 & 255, value & 255];
}

/** A message with its gRPC prefix. */
export function prefixed(
  message: Uint8Array | readonly number[],
  flag = 0,
): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([flag, ...uint32(message.length), ...message]);
}

/** One entry of a SETTINGS payload. */
export function setting(id: number, value: number): number[] {
  return [0, id, ...uint32(value)];
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Header fields of a sound request; overrides replace by name, undefined leaves out. */
export function requestFields(
  overrides: Readonly<Record<string, string | undefined>> = {},
): string[] {
  const fields: Record<string, string | undefined> = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/grpc.test.v1.Echo/Unary",
    ":authority": "localhost",
    "content-type": "application/grpc",
    "te": "trailers",
    ...overrides,
  };
  return Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [name, value]
  );
}

/** A connection whose every byte the test decides. */
export class RawPeer {
  readonly conn: Deno.Conn;
  readonly frames: Frame[] = [];
  readonly decoder = new HpackDecoder();
  /** The other side ended the connection. */
  ended = false;
  readonly #answered = new Set<number>();
  #waiters: (() => void)[] = [];
  #paused: Promise<void> | undefined;
  #preface_bytes: number;

  private constructor(conn: Deno.Conn, preface_bytes: number) {
    this.conn = conn;
    this.#preface_bytes = preface_bytes;
  }

  /** Takes a client's connection and shakes hands as its server, with a SETTINGS payload. */
  static async accept(
    listener: Deno.TcpListener,
    settings: readonly number[] = [],
  ): Promise<RawPeer> {
    const conn = await listener.accept();
    conn.setNoDelay(true);
    const peer = new RawPeer(conn, CLIENT_PREFACE.length);
    peer.#read();
    await peer.send(frame(FrameType.SETTINGS, 0, 0, settings));
    await peer.until((frames) => frames.some((each) => each.type === FrameType.SETTINGS));
    await peer.send(frame(FrameType.SETTINGS, Flag.ACK, 0));
    return peer;
  }

  /** Connects, to a loopback port or a socket's path; sends nothing. */
  static async dial(address: number | string): Promise<RawPeer> {
    const conn = typeof address === "string"
      ? await Deno.connect({ transport: "unix", path: address })
      : await Deno.connect({ hostname: "127.0.0.1", port: address });
    if ("setNoDelay" in conn) conn.setNoDelay(true);
    const client = new RawPeer(conn, 0);
    client.#read();
    return client;
  }

  /** Connects and shakes hands, with the given SETTINGS payload. */
  static async open(
    address: number | string,
    settings: readonly number[] = [],
  ): Promise<RawPeer> {
    const client = await RawPeer.dial(address);
    await client.send(CLIENT_PREFACE, frame(FrameType.SETTINGS, 0, 0, settings));
    await client.until((frames) => frames.some((each) => each.type === FrameType.SETTINGS));
    await client.send(frame(FrameType.SETTINGS, Flag.ACK, 0));
    return client;
  }

  /** Writes everything; a server that has closed meanwhile is no error. */
  async send(...parts: readonly Uint8Array[]): Promise<void> {
    const bytes = concat(...parts);
    try {
      for (let at = 0; at < bytes.length;) at += await this.conn.write(bytes.subarray(at));
    } catch {
      // The server closed: what it said before is what the test looks at.
    }
  }

  /** Opens a stream with a sound request head. */
  headers(
    stream_id: number,
    flags: number = Flag.END_HEADERS,
    fields: readonly string[] = requestFields(),
  ): Uint8Array<ArrayBuffer> {
    return frame(FrameType.HEADERS, flags, stream_id, encodeBlock(fields));
  }

  /** A whole unary call. */
  unary(stream_id: number, message: readonly number[] = []): Uint8Array<ArrayBuffer> {
    return concat(
      this.headers(stream_id),
      frame(FrameType.DATA, Flag.END_STREAM, stream_id, prefixed(message)),
    );
  }

  /** Waits until the received frames satisfy a condition; fails when the connection ends before. */
  async until(condition: (frames: readonly Frame[]) => boolean): Promise<void> {
    while (!condition(this.frames)) {
      assert.ok(!this.ended, `the server closed first; it sent ${this.describe()}`);
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  /** Waits for the server to end the connection. */
  async untilEnded(): Promise<void> {
    while (!this.ended) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** Waits for GOAWAY and the end of the connection; the name of its error code. */
  async goaway(): Promise<string> {
    await this.untilEnded();
    const last = this.frames.findLast((each) => each.type === FrameType.GOAWAY);
    assert.ok(last, `no GOAWAY; the server sent ${this.describe()}`);
    return errorCodeName(new DataView(last.payload.buffer, last.payload.byteOffset).getUint32(4));
  }

  /** As a server: waits for the next request that is complete, and returns its stream. */
  async request(): Promise<number> {
    let found = 0;
    await this.until((frames) => {
      found = frames.find((each) =>
        each.type <= FrameType.HEADERS && (each.flags & Flag.END_STREAM) !== 0 &&
        !this.#answered.has(each.stream_id)
      )?.stream_id ?? 0;
      return found > 0;
    });
    this.#answered.add(found);
    return found;
  }

  /** As a server: a whole answer of one message. */
  answer(stream_id: number, message: readonly number[] = []): Uint8Array<ArrayBuffer> {
    const head = encodeBlock([":status", "200", "content-type", "application/grpc"]);
    return concat(
      frame(FrameType.HEADERS, Flag.END_HEADERS, stream_id, head),
      frame(FrameType.DATA, 0, stream_id, prefixed(message)),
      frame(FrameType.HEADERS, 5, stream_id, encodeBlock(["grpc-status", "0"])),
    );
  }

  /** Waits for RST_STREAM on a stream; the name of its error code. */
  async reset(stream_id: number): Promise<string> {
    const is = (each: Frame) => each.type === FrameType.RST_STREAM && each.stream_id === stream_id;
    await this.until((frames) => frames.some(is));
    const payload = this.frames.find(is)?.payload ?? new Uint8Array(4);
    return errorCodeName(new DataView(payload.buffer, payload.byteOffset).getUint32(0));
  }

  /** Waits for the end of a stream's response; all its header fields by name. */
  async response(stream_id: number): Promise<Record<string, string>> {
    const of = (each: Frame) => each.stream_id === stream_id;
    await this.until((frames) =>
      frames.some((each) =>
        of(each) && (each.flags & Flag.END_STREAM) !== 0 && each.type <= FrameType.HEADERS
      )
    );
    const fields: Record<string, string> = {};
    for (const each of this.frames.filter(of)) {
      if (each.type !== FrameType.HEADERS) continue;
      const list = this.decoder.decode(each.payload, 0, each.payload.length, 1 << 20).fields;
      for (let at = 0; at < list.length; at += 2) fields[list[at] ?? ""] = list[at + 1] ?? "";
    }
    return fields;
  }

  /** Proves the connection still works: a PING is answered. */
  async alive(): Promise<void> {
    const is = (each: Frame) => each.type === FrameType.PING && (each.flags & Flag.ACK) !== 0;
    const before = this.frames.filter(is).length;
    await this.send(frame(FrameType.PING, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]));
    await this.until((frames) => frames.filter(is).length > before);
  }

  /** Stops reading until the returned function is called. */
  pause(): () => void {
    let resume = () => {};
    this.#paused = new Promise((resolve) => resume = resolve);
    return resume;
  }

  describe(): string {
    return this.frames.map((each) => `${each.type}/${each.flags}@${each.stream_id}`).join(" ");
  }

  close(): void {
    try {
      this.conn.close();
    } catch {
      // Already closed.
    }
  }

  async #read(): Promise<void> {
    const chunk = new Uint8Array(65_536);
    let buffered = new Uint8Array(0);
    try {
      for (;;) {
        await this.#paused;
        const count = await this.conn.read(chunk);
        if (count === null) break;
        if (this.#preface_bytes > 0) {
          // Assumed to come whole, as it does over loopback.
          buffered = chunk.slice(this.#preface_bytes, count);
          this.#preface_bytes = 0;
          buffered = this.#cut(buffered);
          this.#wake();
          continue;
        }
        buffered = this.#cut(concat(buffered, chunk.subarray(0, count)));
        this.#wake();
      }
    } catch {
      // Closed by either side.
    }
    this.ended = true;
    this.#wake();
  }

  #cut(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    let at = 0;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    while (bytes.length - at >= 9) {
      const length = view.getUint32(at) >>> 8;
      if (bytes.length - at < 9 + length) break;
      this.frames.push({
        type: bytes[at + 3] ?? 0,
        flags: bytes[at + 4] ?? 0,
        stream_id: view.getUint32(at + 5),
        payload: bytes.slice(at + 9, at + 9 + length),
      });
      at += 9 + length;
    }
    return bytes.slice(at);
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

export { ErrorCode, Flag, FrameType };
