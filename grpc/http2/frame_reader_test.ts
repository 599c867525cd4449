import assert from "node:assert/strict";
import fc from "fast-check";
import { SERVER_BOUNDS } from "../bounds.ts";
import { frame, setting, uint32 } from "../testing/raw_peer.ts";
import { concat } from "../testing/raw_peer.ts";
import { ConnectionError } from "./connection_error.ts";
import { FrameReader, type FrameSink } from "./frame_reader.ts";
import { CLIENT_PREFACE, ErrorCode, Flag, FrameType } from "./frames.ts";

/** Writes down what a reader reports. */
class Recorder implements FrameSink {
  readonly events: string[] = [];
  onData(id: number, bytes: Uint8Array, start: number, end: number, flow: number, last: boolean) {
    this.events.push(`data ${id} ${bytes.slice(start, end).toHex()} ${flow} ${last}`);
  }
  onHeaderBlock(id: number, bytes: Uint8Array, start: number, end: number, last: boolean) {
    this.events.push(`headers ${id} ${bytes.slice(start, end).toHex()} ${last}`);
  }
  onReset(id: number, code: number) {
    this.events.push(`reset ${id} ${code}`);
  }
  onSettings(bytes: Uint8Array, start: number, end: number) {
    this.events.push(`settings ${bytes.slice(start, end).toHex()}`);
  }
  onSettingsAck() {
    this.events.push("settings ack");
  }
  onPing(bytes: Uint8Array, start: number, ack: boolean) {
    this.events.push(`ping ${bytes.slice(start, start + 8).toHex()} ${ack}`);
  }
  onGoaway(last: number, code: number) {
    this.events.push(`goaway ${last} ${code}`);
  }
  onWindowUpdate(id: number, increment: number) {
    this.events.push(`window ${id} ${increment}`);
  }
  onIgnored() {
    this.events.push("ignored");
  }
  onStreamError(id: number, code: ErrorCode) {
    this.events.push(`stream error ${id} ${code}`);
  }
}

const SETTINGS = frame(FrameType.SETTINGS, 0, 0);

const CONVERSATION = concat(
  CLIENT_PREFACE,
  frame(FrameType.SETTINGS, 0, 0, setting(4, 1000)),
  frame(FrameType.SETTINGS, Flag.ACK, 0),
  frame(FrameType.HEADERS, Flag.END_HEADERS, 1, [0x82]),
  frame(FrameType.DATA, 0, 1, [1, 2, 3]),
  frame(FrameType.DATA, Flag.PADDED | Flag.END_STREAM, 1, [2, 9, 9, 0, 0]),
  frame(FrameType.HEADERS, Flag.END_STREAM | Flag.PADDED | Flag.PRIORITY, 3, [
    ...[1, 0, 0, 0, 0, 16],
    ...[0x84, 0x86, 0],
  ]),
  frame(FrameType.CONTINUATION, 0, 3, [0x87]),
  frame(FrameType.CONTINUATION, Flag.END_HEADERS, 3, []),
  frame(FrameType.PRIORITY, 0, 3, [0, 0, 0, 1, 16]),
  frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(77)),
  frame(FrameType.PING, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]),
  frame(FrameType.RST_STREAM, 0, 3, uint32(8)),
  frame(99, 255, 12, [1]),
  frame(FrameType.GOAWAY, 0, 0, [...uint32(3), ...uint32(0), 65]),
);

const EXPECTED = [
  "settings 0004000003e8",
  "settings ack",
  "headers 1 82 false",
  "data 1 010203 3 false",
  "data 1 0909 5 true",
  "headers 3 848687 true",
  "ignored",
  "window 0 77",
  "ping 0102030405060708 false",
  "reset 3 8",
  "ignored",
  "goaway 3 0",
];

/** Feeds bytes in pieces that end at the given offsets, as a connection would. */
function readInPieces(bytes: Uint8Array, ends: readonly number[]): string[] {
  const recorder = new Recorder();
  const reader = new FrameReader(recorder, SERVER_BOUNDS, true);
  const buffer = new Uint8Array(65_536);
  let filled = 0;
  let from = 0;
  for (const end of [...ends, bytes.length]) {
    buffer.set(bytes.subarray(from, end), filled);
    filled += end - from;
    from = end;
    const used = reader.read(buffer, filled);
    buffer.copyWithin(0, used, filled);
    filled -= used;
  }
  assert.equal(filled, 0);
  return recorder.events;
}

Deno.test("frames are the same wherever the bytes are split", () => {
  for (let end = 0; end <= CONVERSATION.length; end++) {
    assert.deepEqual(readInPieces(CONVERSATION, [end]), EXPECTED);
  }
  const each = Array.from(CONVERSATION, (_, index) => index);
  assert.deepEqual(readInPieces(CONVERSATION, each), EXPECTED);
});

Deno.test("frames are the same however many pieces the bytes come in", () => {
  const ends = fc.array(fc.nat({ max: CONVERSATION.length })).map((all) =>
    all.sort((a, b) => a - b)
  );
  fc.assert(fc.property(ends, (pieces) => {
    assert.deepEqual(readInPieces(CONVERSATION, pieces), EXPECTED);
  }));
});

function codeOf(...frames: Uint8Array[]): string {
  const bytes = concat(...frames);
  const reader = new FrameReader(new Recorder(), SERVER_BOUNDS, false);
  try {
    reader.read(bytes, bytes.length);
  } catch (reason) {
    assert.ok(reason instanceof ConnectionError);
    return Object.entries(ErrorCode).find(([, code]) => code === reason.code)?.[0] ?? "?";
  }
  return "none";
}

const MALFORMED: readonly (readonly [string, Uint8Array, string])[] = [
  ["DATA on stream 0", frame(0, 0, 0, [1]), "PROTOCOL_ERROR"],
  ["DATA padded beyond its end", frame(0, Flag.PADDED, 1, [9, 1]), "PROTOCOL_ERROR"],
  ["DATA padded without a length", frame(0, Flag.PADDED, 1), "FRAME_SIZE_ERROR"],
  ["HEADERS on stream 0", frame(1, Flag.END_HEADERS, 0), "PROTOCOL_ERROR"],
  ["HEADERS padded beyond its end", frame(1, Flag.PADDED, 1, [9]), "PROTOCOL_ERROR"],
  ["HEADERS padded without a length", frame(1, Flag.PADDED, 1), "FRAME_SIZE_ERROR"],
  ["HEADERS too short for priority", frame(1, Flag.PRIORITY, 1, [0, 0]), "FRAME_SIZE_ERROR"],
  ["PRIORITY on stream 0", frame(2, 0, 0, [0, 0, 0, 1, 0]), "PROTOCOL_ERROR"],
  ["RST_STREAM on stream 0", frame(3, 0, 0, uint32(0)), "PROTOCOL_ERROR"],
  ["RST_STREAM of three bytes", frame(3, 0, 1, [0, 0, 0]), "FRAME_SIZE_ERROR"],
  ["SETTINGS on a stream", frame(4, 0, 1), "PROTOCOL_ERROR"],
  ["SETTINGS ACK with payload", frame(4, Flag.ACK, 0, setting(1, 1)), "FRAME_SIZE_ERROR"],
  ["PUSH_PROMISE", frame(5, Flag.END_HEADERS, 1, uint32(2)), "PROTOCOL_ERROR"],
  ["PING on a stream", frame(6, 0, 1, new Array(8).fill(0)), "PROTOCOL_ERROR"],
  ["PING of seven bytes", frame(6, 0, 0, new Array(7).fill(0)), "FRAME_SIZE_ERROR"],
  ["GOAWAY on a stream", frame(7, 0, 1, new Array(8).fill(0)), "PROTOCOL_ERROR"],
  ["GOAWAY of seven bytes", frame(7, 0, 0, new Array(7).fill(0)), "FRAME_SIZE_ERROR"],
  ["WINDOW_UPDATE of three bytes", frame(8, 0, 0, [0, 0, 1]), "FRAME_SIZE_ERROR"],
  ["WINDOW_UPDATE by zero", frame(8, 0, 0, uint32(0)), "PROTOCOL_ERROR"],
  ["CONTINUATION without HEADERS", frame(9, Flag.END_HEADERS, 1), "PROTOCOL_ERROR"],
  ["a frame one byte too long", frame(0, 0, 1, [], 16_385), "FRAME_SIZE_ERROR"],
];

for (const [name, bytes, code] of MALFORMED) {
  Deno.test(`${name} ends the connection with ${code}`, () => {
    assert.equal(codeOf(SETTINGS, bytes), code);
  });
}

Deno.test("a header block broken by another frame or stream ends the connection", () => {
  const open = frame(FrameType.HEADERS, 0, 1, [0x82]);
  assert.equal(codeOf(SETTINGS, open, frame(FrameType.DATA, 0, 1)), "PROTOCOL_ERROR");
  assert.equal(codeOf(SETTINGS, open, frame(99, 0, 0)), "PROTOCOL_ERROR");
  assert.equal(codeOf(SETTINGS, open, frame(FrameType.CONTINUATION, 4, 3)), "PROTOCOL_ERROR");
});

Deno.test("a conversation that does not begin with SETTINGS ends the connection", () => {
  assert.equal(codeOf(frame(FrameType.PING, 0, 0, new Array(8).fill(0))), "PROTOCOL_ERROR");
  assert.equal(codeOf(frame(FrameType.SETTINGS, Flag.ACK, 0)), "PROTOCOL_ERROR");
  assert.equal(codeOf(SETTINGS), "none");
});

Deno.test("errors that RFC 9113 confines to a stream stay there", () => {
  const recorder = new Recorder();
  const reader = new FrameReader(recorder, SERVER_BOUNDS, false);
  const bytes = concat(
    SETTINGS,
    frame(FrameType.WINDOW_UPDATE, 0, 5, uint32(0)),
    frame(FrameType.PRIORITY, 0, 5, [0, 0, 0, 5, 0]),
    frame(FrameType.PRIORITY, 0, 5, [0, 0, 0]),
    frame(FrameType.HEADERS, Flag.PRIORITY | Flag.END_HEADERS, 5, [...uint32(5), 0, 0x82]),
  );
  reader.read(bytes, bytes.length);
  assert.deepEqual(recorder.events.filter((event) => event !== "ignored").slice(1), [
    "stream error 5 1",
    "stream error 5 1",
    "stream error 5 6",
    "headers 5 82 false",
    "stream error 5 1",
  ]);
});
