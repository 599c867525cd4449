/**
 * One connection's worth of each attack on an HTTP/2 server, to be run side by side and over again.
 *
 * @module
 */

import { encodeBlock } from "../hpack/encoder.ts";
import { CLIENT_PREFACE } from "../http2/frames.ts";
import {
  concat,
  Flag,
  frame,
  FrameType,
  prefixed,
  RawPeer,
  requestFields,
  setting,
  uint32,
} from "./raw_peer.ts";

const COLLECT = requestFields({ ":path": "/grpc.test.v1.Echo/Collect" });
const EXPAND = requestFields({ ":path": "/grpc.test.v1.Echo/Expand" });
const END = Flag.END_HEADERS | Flag.END_STREAM;
const EIGHT = new Uint8Array(8);
/** Longer than any timeout of the attacked server. */
const HOLD_MS = 1200;

type Attack = (client: RawPeer) => Promise<void>;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Sends the same again and again, until the server has had enough. */
function flood(make: (round: number) => Uint8Array, rounds: number): Attack {
  return async (client) => {
    for (let round = 0; round < rounds && !client.ended; round++) await client.send(make(round));
  };
}

const id = (round: number) => 2 * round + 1;
const many = (count: number, bytes: Uint8Array) => concat(...new Array(count).fill(bytes));

/** Begins something and leaves it at that. */
function hold(make: () => Uint8Array): Attack {
  return async (client) => {
    await client.send(make());
    await pause(HOLD_MS);
  };
}

/** Attacks that begin with a sound handshake, by name. */
export const ATTACKS: Readonly<Record<string, Attack>> = {
  "rapid reset": flood((round) =>
    concat(
      frame(1, 4, id(round), encodeBlock(COLLECT)),
      frame(FrameType.RST_STREAM, 0, id(round), uint32(8)),
    ), 2000),
  "reset by the server": flood((round) =>
    concat(
      frame(1, 4, id(round), encodeBlock(COLLECT)),
      frame(FrameType.WINDOW_UPDATE, 0, id(round), uint32(0)),
    ), 2000),
  "CONTINUATION flood": flood((round) => frame(round === 0 ? 1 : 9, 0, 1, [0x82]), 2000),
  "SETTINGS flood": flood(() => many(100, frame(4, 0, 0, setting(4, 1))), 200),
  "PING flood": flood(() => many(100, frame(6, 0, 0, EIGHT)), 200),
  "empty DATA flood": flood(
    (round) => round === 0 ? frame(1, 4, 1, encodeBlock(COLLECT)) : many(100, frame(0, 0, 1)),
    200,
  ),
  "PRIORITY flood": flood(() => many(100, frame(2, 0, 1, [0, 0, 0, 3, 0])), 200),
  "GOAWAY flood": flood(() => many(100, frame(7, 0, 0, EIGHT)), 200),
  "unknown frames": flood(() => many(100, frame(99, 255, 7, EIGHT)), 200),
  "window updates": flood(() => many(1000, frame(8, 0, 0, uint32(1))), 200),
  "window overflow": flood(() => many(2, frame(8, 0, 0, uint32(0x7fff_ffff))), 1),
  "HPACK bomb": flood((round) => {
    const bomb = [0x40, 1, 0x61, 0x7f, 0xa1, 0x1e, ...new Array(4000).fill(0x62)];
    const block = [...encodeBlock(COLLECT), ...bomb, ...new Array(10_000).fill(0xbe)];
    return frame(1, END, id(round), block);
  }, 300),
  "broken HPACK": flood(() => frame(1, END, 1, [0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), 1),
  "handlers that never end": flood((round) => frame(1, 4, id(round), encodeBlock(COLLECT)), 300),
  "requests that are no gRPC": flood(
    (round) => frame(1, 4, id(round), encodeBlock(requestFields({ ":method": "GET" }))),
    300,
  ),
  "unfinished messages": flood((round) =>
    concat(
      frame(1, 4, id(round), encodeBlock(requestFields())),
      frame(0, 0, id(round), [0, 0, 63, 255, 255, ...new Array(15_000).fill(1)]),
    ), 200),
  "a frame never finished": hold(() => frame(0, 0, 1, [1], 16_000)),
  "a header block never finished": hold(() => frame(1, 0, 1, [0x82])),
  "a window never opened": hold(() =>
    concat(
      frame(4, 0, 0, setting(4, 0)),
      ...Array.from({ length: 50 }, (_, round) =>
        concat(
          frame(1, 4, id(round), encodeBlock(EXPAND)),
          frame(0, 1, id(round), prefixed([0x18, 5, 0x12, 3, 1, 2, 3])),
        )),
    )
  ),
  "answers never read": async (client) => {
    const resume = client.pause();
    await client.send(frame(4, 0, 0, setting(4, 0x7fff_ffff)), frame(8, 0, 0, uint32(0x7000_0000)));
    const payload = [0x18, 0xff, 0x7f, 0x12, 0x80, 0x40, ...new Array(8192).fill(1)];
    for (let round = 0; round < 20; round++) {
      await client.send(
        frame(1, 4, id(round), encodeBlock(EXPAND)),
        frame(0, 1, id(round), prefixed(payload)),
      );
    }
    await pause(HOLD_MS);
    resume();
  },
  "random bytes": flood(() => crypto.getRandomValues(new Uint8Array(5000)), 3),
  "cut off in the middle": async (client) => {
    await client.send(frame(1, 4, 1, encodeBlock(COLLECT)), frame(0, 0, 1, [1, 2, 3], 500));
    client.close();
  },
};

/** Connections that never get as far as HTTP/2, by name. */
export const STRANGERS: Readonly<Record<string, Attack>> = {
  "silence": hold(() => new Uint8Array(0)),
  "half a preface": hold(() => CLIENT_PREFACE.subarray(0, 10)),
  "HTTP/1.1": hold(() => new TextEncoder().encode("GET / HTTP/1.1\r\nhost: a\r\n\r\n")),
  "TLS": hold(() => Uint8Array.of(22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3)),
  "SETTINGS never acknowledged": hold(() => concat(CLIENT_PREFACE, frame(4, 0, 0))),
};

/** Runs one attack on a connection of its own; how the connection ends is no failure. */
export async function attack(port: number, run: Attack, greets: boolean): Promise<void> {
  let client: RawPeer | undefined;
  try {
    client = greets ? await RawPeer.open(port) : await RawPeer.dial(port);
    await run(client);
  } catch {
    // Refused or closed: what attackers deserve.
  } finally {
    client?.close();
  }
}
