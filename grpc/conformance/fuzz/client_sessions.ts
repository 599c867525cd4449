/**
 * Draws sessions of a client, for a server under test: sound ones, whose outcome is known.
 *
 * @module
 */

import type { Bounds } from "../../bounds.ts";
import { gzipSync } from "node:zlib";
import { HpackWriter } from "../hpack_writer.ts";
import type { Random } from "../random.ts";
import { concat, type Expectation, type FrameOp, type Op, type Session } from "./session.ts";

const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const KINDS = ["Unary", "Expand", "Collect", "Converse"] as const;
const VALUE = " !#%&',;=abcdefghijklmnopqrstuvwxyzABCXYZ0123456789~";

/** A message with its gRPC prefix, compressed now and then when the call's encoding allows it. */
export function framed(
  random: Random,
  message: Uint8Array,
  gzip: boolean,
): Uint8Array<ArrayBuffer> {
  if (!gzip || random.chance(0.3)) return prefixed(message);
  const level = random.below(10);
  return prefixed(gzipSync(message, { level }), 1);
}

/** A message with its gRPC prefix. */
export function prefixed(message: Uint8Array, flag = 0): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(5 + message.length);
  bytes[0] = flag;
  new DataView(bytes.buffer).setUint32(1, message.length);
  bytes.set(message, 5);
  return bytes;
}

/** A frame without tricks. */
export function plain(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array | readonly number[] = [],
): FrameOp {
  return { op: "frame", type, flags, stream, payload: Uint8Array.from(payload) };
}

/** Four bytes, most significant first. */
export function uint32(value: number): number[] {
  return [value >>> 24, value >>> 16 & 255, value >>> 8 & 255, value & 255];
}

/** A SETTINGS payload. */
export function settings(entries: readonly (readonly [id: number, value: number])[]): number[] {
  return entries.flatMap(([id, value]) => [id >>> 8, id & 255, ...uint32(value)]);
}

/** Cuts bytes into pieces at random places; at least one, maybe empty ones. */
export function cut(random: Random, bytes: Uint8Array, pieces_max: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let rest = bytes;
  for (let count = random.between(1, pieces_max); count > 1; count--) {
    const at = random.below(rest.length + 1);
    pieces.push(rest.subarray(0, at));
    rest = rest.subarray(at);
  }
  pieces.push(rest);
  return pieces;
}

/** DATA, with padding now and then. */
export function dataFrame(
  random: Random,
  stream: number,
  payload: Uint8Array,
  end: boolean,
): FrameOp {
  const flags = end ? 1 : 0;
  if (!random.chance(0.1)) return plain(0, flags, stream, payload);
  const padding = random.below(30);
  return plain(0, flags | 8, stream, [padding, ...payload, ...new Uint8Array(padding)]);
}

/** A header block as HEADERS and CONTINUATION, with padding and priority now and then. */
export function headerFrames(
  random: Random,
  stream: number,
  block: Uint8Array,
  end: boolean,
): FrameOp[] {
  const [first = block, ...rest] = cut(random, block, random.chance(0.15) ? 4 : 1);
  let flags = (end ? 1 : 0) | (rest.length === 0 ? 4 : 0);
  let payload = [...first];
  if (random.chance(0.05)) {
    payload = [...uint32(stream === 1 ? 3 : 1), 15, ...payload];
    flags |= 32;
  }
  if (random.chance(0.05)) {
    const padding = random.below(20);
    payload = [padding, ...payload, ...new Uint8Array(padding)];
    flags |= 8;
  }
  const frames = [plain(1, flags, stream, payload)];
  rest.forEach((part, index) => {
    frames.push(plain(9, index === rest.length - 1 ? 4 : 0, stream, part));
  });
  return frames;
}

/** Custom metadata, flat. */
export function someMetadata(random: Random): string[] {
  const fields: string[] = [];
  for (let count = random.skewed(6); count > 0; count--) {
    const name = `x-${random.text(random.between(1, 8), "abcdefgh-_.09")}`;
    if (random.chance(0.3)) {
      fields.push(`${name}-bin`, btoa(random.text(random.below(9), "abc\xff")));
    } else fields.push(name, random.text(random.skewed(60), VALUE).trim());
  }
  return fields;
}

/** Bounds of an endpoint under test: mostly the defaults, else tight enough to be run into. */
export function someBounds(random: Random): Partial<Bounds> {
  const sweep_interval_ms = 5000;
  if (random.chance(0.5)) return { sweep_interval_ms };
  const tight: { -readonly [K in keyof Bounds]?: number } = { sweep_interval_ms };
  const maybe = (name: keyof Bounds, value: number) => {
    if (random.chance(0.35)) tight[name] = value;
  };
  maybe("receive_message_bytes", random.between(16, 2000));
  maybe("send_message_bytes", random.between(16, 2000));
  maybe("header_list_bytes", random.between(512, 2000));
  maybe("header_block_bytes", random.between(300, 2000));
  maybe("continuation_frames", random.between(1, 3));
  maybe("header_table_bytes", random.below(600));
  maybe("concurrent_streams", random.between(1, 3));
  maybe("reset_burst", random.between(2, 6));
  maybe("control_frame_burst", random.between(12, 30));
  maybe("window_update_burst", random.between(10, 20));
  maybe("stream_window_bytes", random.between(1, 3000));
  maybe("connection_window_bytes", random.between(65_535, 80_000));
  maybe("connection_buffer_bytes", random.between(64, 4000));
  maybe("server_buffer_bytes", random.between(64, 4000));
  maybe("connection_pending_bytes", random.between(64, 4000));
  maybe("output_high_water_bytes", random.between(1, 3000));
  maybe("output_bytes", random.between(1, 3000));
  maybe("status_message_bytes", random.below(40));
  maybe("compression_min_bytes", random.below(100));
  if (random.chance(0.5)) return tight;
  maybe("settings_timeout_ms", random.between(100, 6000));
  maybe("request_timeout_ms", random.between(100, 20_000));
  maybe("window_stall_timeout_ms", random.between(100, 20_000));
  maybe("idle_timeout_ms", random.between(100, 20_000));
  maybe("keepalive_interval_ms", random.between(100, 20_000));
  maybe("keepalive_timeout_ms", random.between(100, 20_000));
  maybe("max_connection_age_ms", random.between(100, 20_000));
  maybe("max_connection_age_grace_ms", random.between(100, 20_000));
  maybe("min_ping_interval_ms", random.below(2000));
  maybe("min_ping_interval_without_calls_ms", random.below(2000));
  maybe("ping_strikes", random.below(3));
  return tight;
}

/** Draws one sound session. */
export class ClientSessions {
  readonly #random: Random;
  #ops: Op[] = [];
  #hpack: HpackWriter;
  #next_stream = 1;
  #pings = 0;
  #expect: Expectation[] = [];

  constructor(random: Random) {
    this.#random = random;
    this.#hpack = new HpackWriter(random);
  }

  draw(): Session {
    const random = this.#random;
    const bounds = someBounds(random);
    const tight = Object.keys(bounds).length > 1;
    this.#ops = [];
    this.#expect = [];
    this.#next_stream = 1;
    this.#pings = 0;
    this.#hpack = new HpackWriter(random, Math.min(4096, bounds.header_table_bytes ?? 4096));
    this.#handshake();
    const calls = Array.from({ length: 1 + random.skewed(4) }, () => this.#call(!tight));
    while (calls.length > 0) {
      const index = random.below(calls.length);
      const step = calls[index]?.next();
      if (step?.done !== false) calls.splice(index, 1);
      else this.#ops.push(...step.value);
      if (random.chance(0.15)) this.#ops.push(...this.#aside());
      if (random.chance(0.3)) this.#ops.push({ op: "turn" });
    }
    this.#ops.push({ op: "turn" }, { op: "wait", ms: 1000 });
    return {
      half: "server",
      seed: random.uint32(),
      reads: random.pick(["whole", "whole", "whole", "pieces", "pieces", "bytes"]),
      writes: random.pick(["whole", "whole", "pieces"]),
      bounds,
      ...(random.chance(0.2) ? { compresses: true } : {}),
      ops: this.#ops,
      ...(tight ? {} : { expect: this.#expect }),
    };
  }

  #handshake(): void {
    const random = this.#random;
    const entries: [number, number][] = [[4, 1 << 20]];
    if (random.chance(0.3)) entries.push([1, random.pick([0, 100, 4096, 65_536])]);
    if (random.chance(0.2)) entries.push([5, random.pick([16_384, 20_000, 16_777_215])]);
    if (random.chance(0.2)) entries.push([2, 0], [3, 100], [6, 8192], [9, 7]);
    this.#ops.push({ op: "raw", bytes: PREFACE }, plain(4, 0, 0, settings(entries)));
    if (random.chance(0.5)) this.#ops.push({ op: "turn" });
    this.#ops.push(plain(8, 0, 0, uint32(1 << 24)), plain(4, 1, 0));
  }

  *#call(sound: boolean): Generator<Op[], undefined> {
    const random = this.#random;
    const kind = random.pick(KINDS);
    const id = this.#next_stream;
    this.#next_stream += 2;
    const wish = random.chance(0.3) ? this.#wish(kind) : "";
    const gate = random.chance(0.1) ? random.pick(["deny", "pass"]) : "";
    const messages = this.#messages(kind);
    const gzip = random.chance(0.15);
    const fails = wish !== "" && wish !== "async" && wish !== "sleep" && wish !== "metadata";
    if (sound && !fails && gate !== "deny") {
      this.#expect.push({ call: id, messages: expected(kind, messages) });
    }
    yield headerFrames(random, id, this.#hpack.block(this.#fields(kind, wish, gate, gzip)), false);
    const bytes = concat(messages.map((message) => framed(random, message, gzip)));
    const ending = random.below(4);
    const pieces = cut(random, bytes, random.chance(0.5) ? 1 : 5);
    for (const [index, piece] of pieces.entries()) {
      for (let from = 0; from === 0 || from < piece.length; from += 16_000) {
        const part = piece.subarray(from, from + 16_000);
        const last = index === pieces.length - 1 && from + 16_000 >= piece.length;
        yield [dataFrame(random, id, part, last && ending < 2)];
      }
    }
    if (ending === 2) yield [plain(0, 1, id)];
    if (ending === 3) {
      const trailers = random.chance(0.5) ? someMetadata(random) : [];
      yield headerFrames(random, id, this.#hpack.block(trailers), true);
    }
    return undefined;
  }

  #wish(kind: (typeof KINDS)[number]): string {
    const wishes = ["async", "sleep", "deaf", "hang", "throw"];
    if (kind === "Unary") wishes.push("throw_other", "reject", "metadata", "large_metadata");
    if (kind === "Collect") wishes.push("early", "leave");
    return this.#random.pick(wishes);
  }

  #messages(kind: (typeof KINDS)[number]): Uint8Array[] {
    const random = this.#random;
    const single = kind === "Unary" || kind === "Expand";
    const count = single ? 1 : random.skewed(8);
    // One large message at most: together they must fit the window of one stream.
    const large = kind !== "Expand" && random.chance(0.05) ? 0 : -1;
    return Array.from({ length: count }, (_, index) => {
      const message = random.bytes(random.skewed(index === large ? 70_000 : 200));
      // Marks of the fuzzer's codec: not a message, cannot be written.
      if ((message[0] ?? 0) >= 0xfe) message[0] = 1;
      return message;
    });
  }

  #fields(kind: string, wish: string, gate: string, gzip: boolean): string[] {
    const random = this.#random;
    const fields = [":method", "POST", ":scheme", "http", ":path", `/grpc.test.v1.Echo/${kind}`];
    if (random.chance(0.8)) fields.push(":authority", "localhost");
    fields.push(
      "te",
      "trailers",
      "content-type",
      random.pick([
        "application/grpc",
        "application/grpc+proto",
        "application/grpc;charset=utf-8",
      ]),
    );
    if (random.chance(0.2)) fields.push("grpc-timeout", random.pick(["30S", "60000m", "1H"]));
    if (random.chance(0.1)) fields.push("user-agent", "fuzzer/1.0");
    if (gzip) fields.push("grpc-encoding", "gzip");
    if (random.chance(0.3)) {
      fields.push(
        "grpc-accept-encoding",
        random.pick(["gzip", "identity,gzip", "identity,deflate"]),
      );
    }
    if (wish !== "") fields.push("x-do", wish);
    if (gate !== "") fields.push("x-gate", gate);
    if (random.chance(0.3)) fields.push(...someMetadata(random));
    return fields;
  }

  #aside(): Op[] {
    const random = this.#random;
    switch (random.below(7)) {
      case 0:
        // A third in a row would be one too many.
        return this.#pings++ < 2 ? [plain(6, 0, 0, random.bytes(8))] : [];
      case 1:
        return [plain(4, 0, 0, settings([[4, random.between(100_000, 2_000_000)]]))];
      case 2:
        return [plain(8, 0, 0, uint32(random.between(1, 100_000)))];
      case 3:
        return [plain(2, 0, 101, [0, 0, 0, 1, 16])];
      case 4:
        return [
          plain(random.between(10, 255), random.below(256), random.below(9), random.bytes(9)),
        ];
      case 5:
        return [{ op: "stall" }, { op: "turn" }, { op: "flow" }];
      default:
        return [{ op: "wait", ms: random.skewed(300) }];
    }
  }
}

function expected(kind: (typeof KINDS)[number], messages: readonly Uint8Array[]): Uint8Array[] {
  const [first = new Uint8Array(0)] = messages;
  switch (kind) {
    case "Unary":
      return [first];
    case "Expand":
      return Array.from({ length: (first[0] ?? 0) % 16 }, () => first);
    case "Collect": {
      const bytes = messages.reduce((sum, message) => sum + message.length, 0);
      return [Uint8Array.from([bytes >>> 16, bytes >>> 8, bytes])];
    }
    case "Converse":
      return [...messages];
  }
}
