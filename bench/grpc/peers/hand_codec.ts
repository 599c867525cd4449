/**
 * EchoMessage read and written by hand: what a codec made for one message costs beside protobuf-es,
 * which reads every message by its descriptor.
 *
 * @module
 */

import { create } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { type EchoMessage, EchoMessageSchema } from "../gen/echo_pb.ts";

const UTF8 = new TextEncoder();

/** Reads an EchoMessage; unknown fields are dropped. */
export function decodeEcho(bytes: Uint8Array): EchoMessage {
  const reader = new BinaryReader(bytes);
  const message = create(EchoMessageSchema);
  while (reader.pos < reader.len) {
    const [field, wire_type] = reader.tag();
    if (field === 1 && wire_type === WireType.LengthDelimited) message.text = reader.string();
    else if (field === 2 && wire_type === WireType.LengthDelimited) {
      message.payload = reader.bytes() as Uint8Array<ArrayBuffer>;
    } else if (field === 3 && wire_type === WireType.Varint) message.count = reader.int32();
    else reader.skip(wire_type, field);
  }
  return message;
}

/** Writes an EchoMessage into bytes of its own. */
export function encodeEcho(message: EchoMessage): Uint8Array {
  // Three bytes a UTF-16 unit at most; eleven a varint with its tag.
  const out = new Uint8Array(message.text.length * 3 + message.payload.length + 33);
  let end = 0;
  if (message.text !== "") {
    // The length goes before the text, so the text is written where a length of its maximum fits
    // and moved when its own is shorter.
    const room = varintBytes(message.text.length * 3);
    const { written } = UTF8.encodeInto(message.text, out.subarray(1 + room));
    out[0] = (1 << 3) | WireType.LengthDelimited;
    end = putVarint(out, 1, written);
    if (end !== 1 + room) out.copyWithin(end, 1 + room, 1 + room + written);
    end += written;
  }
  if (message.payload.length > 0) {
    out[end] = (2 << 3) | WireType.LengthDelimited;
    end = putVarint(out, end + 1, message.payload.length);
    out.set(message.payload, end);
    end += message.payload.length;
  }
  if (message.count !== 0) {
    out[end] = (3 << 3) | WireType.Varint;
    end = putInt32(out, end + 1, message.count);
  }
  return out.subarray(0, end);
}

function varintBytes(value: number): number {
  let count = 1;
  for (let rest = value; rest >= 128; rest >>>= 7) count++;
  return count;
}

function putVarint(out: Uint8Array, offset: number, value: number): number {
  let rest = value;
  while (rest >= 128) {
    out[offset++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  out[offset++] = rest;
  return offset;
}

/** A negative number takes ten bytes, its sign extended to 64 bits. */
function putInt32(out: Uint8Array, offset: number, value: number): number {
  if (value >= 0) return putVarint(out, offset, value);
  for (let index = 0; index < 4; index++) {
    out[offset++] = (value & 127) | 128;
    value >>= 7;
  }
  out[offset++] = (value & 127) | 128;
  out.fill(0xff, offset, offset + 4);
  out[offset + 4] = 1;
  return offset + 5;
}
