import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { encodeBlock } from "../hpack/encoder.ts";
import { Channel, Code, createClient, GrpcError } from "../mod.ts";
import { Echo, EchoMessageSchema } from "../gen/echo_pb.ts";
import {
  concat,
  Flag,
  frame,
  FrameType,
  prefixed,
  RawPeer,
  setting,
  uint32,
} from "../testing/raw_peer.ts";

const HEAD = [":status", "200", "content-type", "application/grpc"];
const head = (id: number, flags: number = Flag.END_HEADERS, fields: readonly string[] = HEAD) =>
  frame(FrameType.HEADERS, flags, id, encodeBlock(fields));
const TRAILERS = encodeBlock(["grpc-status", "0"]);
const EIGHT = new Uint8Array(8);

interface Broken {
  readonly peer: RawPeer;
  /** The stream of the one open call. */
  readonly id: number;
  /** How the call ended. */
  readonly outcome: Promise<unknown>;
}

/**
 * Runs a test with one open call, either waiting for its answer or still sending, and proves that
 * the call ended in a status and that the channel is usable afterwards.
 */
function brokenTest(
  name: string,
  kind: "unary" | "converse",
  run: (test: Broken) => Promise<void>,
): void {
  Deno.test(name, async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const channel = new Channel(`127.0.0.1:${listener.addr.port}`, {
      bounds: { sweep_interval_ms: 5, linger_timeout_ms: 20, settings_timeout_ms: 2000 },
      backoff: { initial_ms: 1, max_ms: 1 },
    });
    const client = createClient(Echo, channel);
    const abort = new AbortController();
    const peers: RawPeer[] = [];
    try {
      const outcome =
        (kind === "unary" ? client.unary({}, { signal: abort.signal }) : (async () => {
          for await (const _ of client.converse(silent(abort.signal), { signal: abort.signal }));
        })()).catch((reason) => reason);
      const peer = await RawPeer.accept(listener);
      peers.push(peer);
      const isOpen = () => peer.frames.some((each) => each.type === FrameType.HEADERS);
      await peer.until(isOpen);
      if (kind === "unary") await peer.request();
      await run({ peer, id: 1, outcome });
      abort.abort();
      const ended = await outcome;
      if (ended instanceof Error) assert.ok(ended instanceof GrpcError, `${ended}`);
      const again = client.unary({});
      // The old connection where it lives on, a new one where not.
      const next = peer.ended ? await RawPeer.accept(listener) : peer;
      if (next !== peer) peers.push(next);
      await next.send(next.answer(await next.request(), [0x18, 7]));
      assert.equal((await again).count, 7);
    } finally {
      for (const peer of peers) peer.close();
      await channel.close();
      listener.close();
    }
  });
}

/** Requests that never come. */
async function* silent(signal: AbortSignal): AsyncGenerator<Record<string, never>> {
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  yield* [];
}

type Case = readonly [
  what: string,
  section: string,
  make: (id: number) => Uint8Array,
  code: string,
];

const CONNECTION_ERRORS: readonly Case[] = [
  ["a frame larger than announced", "4.2", (id) => frame(0, 0, id, [], 16_385), "FRAME_SIZE_ERROR"],
  ["a header block that is no HPACK", "4.3", (id) => frame(1, 4, id, [0x80]), "COMPRESSION_ERROR"],
  [
    "a header block broken off by PING",
    "4.3",
    (id) => concat(frame(1, 0, id, encodeBlock(HEAD)), frame(6, 0, 0, EIGHT)),
    "PROTOCOL_ERROR",
  ],
  ["DATA on an idle stream", "5.1", () => frame(0, 0, 9, [1]), "PROTOCOL_ERROR"],
  ["HEADERS on an idle stream", "5.1", () => head(9), "PROTOCOL_ERROR"],
  ["HEADERS on a stream of the server's", "5.1.1", () => head(2), "PROTOCOL_ERROR"],
  ["RST_STREAM on an idle stream", "5.1", () => frame(3, 0, 9, uint32(8)), "PROTOCOL_ERROR"],
  ["WINDOW_UPDATE on an idle stream", "5.1", () => frame(8, 0, 9, uint32(1)), "PROTOCOL_ERROR"],
  ["DATA on stream 0", "6.1", () => frame(0, 0, 0, [1]), "PROTOCOL_ERROR"],
  ["DATA padded beyond its end", "6.1", (id) => frame(0, 8, id, [9, 1]), "PROTOCOL_ERROR"],
  ["HEADERS on stream 0", "6.2", () => head(0), "PROTOCOL_ERROR"],
  ["HEADERS padded beyond their end", "6.2", (id) => frame(1, 12, id, [9]), "PROTOCOL_ERROR"],
  ["PRIORITY on stream 0", "6.3", () => frame(2, 0, 0, [0, 0, 0, 1, 0]), "PROTOCOL_ERROR"],
  ["RST_STREAM on stream 0", "6.4", () => frame(3, 0, 0, uint32(8)), "PROTOCOL_ERROR"],
  ["RST_STREAM of three bytes", "6.4", (id) => frame(3, 0, id, [0, 0, 8]), "FRAME_SIZE_ERROR"],
  ["SETTINGS ACK with a payload", "6.5", () => frame(4, 1, 0, setting(1, 1)), "FRAME_SIZE_ERROR"],
  ["SETTINGS on a stream", "6.5", (id) => frame(4, 0, id), "PROTOCOL_ERROR"],
  ["SETTINGS of five bytes", "6.5", () => frame(4, 0, 0, [0, 1, 0, 0, 0]), "FRAME_SIZE_ERROR"],
  ["an offer to push", "6.5.2", () => frame(4, 0, 0, setting(2, 1)), "PROTOCOL_ERROR"],
  ["ENABLE_PUSH of 2", "6.5.2", () => frame(4, 0, 0, setting(2, 2)), "PROTOCOL_ERROR"],
  [
    "a window setting above 2^31-1",
    "6.5.2",
    () => frame(4, 0, 0, setting(4, 2 ** 31)),
    "FLOW_CONTROL_ERROR",
  ],
  ["a frame setting too small", "6.5.2", () => frame(4, 0, 0, setting(5, 1)), "PROTOCOL_ERROR"],
  [
    "a frame setting too large",
    "6.5.2",
    () => frame(4, 0, 0, setting(5, 2 ** 24)),
    "PROTOCOL_ERROR",
  ],
  ["PUSH_PROMISE", "6.6", (id) => frame(5, 4, id, uint32(2)), "PROTOCOL_ERROR"],
  ["PUSH_PROMISE on stream 0", "6.6", () => frame(5, 4, 0, uint32(2)), "PROTOCOL_ERROR"],
  ["PING on a stream", "6.7", (id) => frame(6, 0, id, EIGHT), "PROTOCOL_ERROR"],
  ["PING of nine bytes", "6.7", () => frame(6, 0, 0, new Uint8Array(9)), "FRAME_SIZE_ERROR"],
  ["GOAWAY on a stream", "6.8", (id) => frame(7, 0, id, EIGHT), "PROTOCOL_ERROR"],
  ["GOAWAY of seven bytes", "6.8", () => frame(7, 0, 0, new Uint8Array(7)), "FRAME_SIZE_ERROR"],
  ["a second GOAWAY that names more", "6.8", () =>
    concat(
      frame(7, 0, 0, [...uint32(1), ...uint32(0)]),
      frame(7, 0, 0, [...uint32(3), ...uint32(0)]),
    ), "PROTOCOL_ERROR"],
  ["WINDOW_UPDATE of five bytes", "6.9", () => frame(8, 0, 0, [0, 0, 0, 1, 0]), "FRAME_SIZE_ERROR"],
  ["WINDOW_UPDATE by zero", "6.9", () => frame(8, 0, 0, uint32(0)), "PROTOCOL_ERROR"],
  [
    "a connection window past 2^31-1",
    "6.9.1",
    () => frame(8, 0, 0, uint32(0x7fff_ffff)),
    "FLOW_CONTROL_ERROR",
  ],
  [
    "SETTINGS that make a stream window pass 2^31-1",
    "6.9.2",
    (id) => concat(frame(8, 0, id, uint32(0x7fff_0000)), frame(4, 0, 0, setting(4, 0x7fff_ffff))),
    "FLOW_CONTROL_ERROR",
  ],
  ["CONTINUATION without HEADERS", "6.10", (id) => frame(9, 4, id, [0x88]), "PROTOCOL_ERROR"],
  [
    "CONTINUATION on stream 0",
    "6.10",
    (id) => concat(frame(1, 0, id, encodeBlock(HEAD)), frame(9, 4, 0)),
    "PROTOCOL_ERROR",
  ],
  [
    "CONTINUATION of another stream",
    "6.10",
    (id) => concat(frame(1, 0, id, encodeBlock(HEAD)), frame(9, 4, id + 2)),
    "PROTOCOL_ERROR",
  ],
];

for (const [what, section, make, code] of CONNECTION_ERRORS) {
  brokenTest(
    `a server that sends ${what} is left with ${code} (RFC 9113 ${section})`,
    "converse",
    async ({ peer, id, outcome }) => {
      await peer.send(make(id));
      assert.equal(await peer.goaway(), code);
      assert.equal((await outcome as GrpcError).code, Code.UNAVAILABLE);
    },
  );
}

const STREAM_ERRORS: readonly Case[] = [
  [
    "DATA after its end",
    "5.1",
    (id) =>
      concat(
        head(id),
        frame(0, 0, id, prefixed([])),
        frame(1, 5, id, TRAILERS),
        frame(0, 0, id, [1]),
      ),
    "STREAM_CLOSED",
  ],
  [
    "HEADERS after its end",
    "5.1",
    (id) => concat(head(id), frame(0, 0, id, prefixed([])), frame(1, 5, id, TRAILERS), head(id)),
    "STREAM_CLOSED",
  ],
  ["PRIORITY of four bytes", "6.3", (id) => frame(2, 0, id, [0, 0, 0, 1]), "FRAME_SIZE_ERROR"],
  ["WINDOW_UPDATE by zero", "6.9", (id) => frame(8, 0, id, uint32(0)), "PROTOCOL_ERROR"],
  [
    "headers without :status",
    "8.3.2",
    (id) => head(id, 4, ["content-type", "application/grpc"]),
    "PROTOCOL_ERROR",
  ],
  ["two :status", "8.3.2", (id) => head(id, 4, [":status", "200", ...HEAD]), "PROTOCOL_ERROR"],
  ["a :status of two digits", "8.3.2", (id) => head(id, 4, [":status", "20"]), "PROTOCOL_ERROR"],
  [
    "a request's pseudo header",
    "8.3",
    (id) => head(id, 4, [...HEAD.slice(0, 2), ":path", "/"]),
    "PROTOCOL_ERROR",
  ],
  ["an upper-case name", "8.2.1", (id) => head(id, 4, [...HEAD, "X-A", "1"]), "PROTOCOL_ERROR"],
  [
    "connection headers",
    "8.2.2",
    (id) => head(id, 4, [...HEAD, "connection", "close"]),
    "PROTOCOL_ERROR",
  ],
  ["101", "8.6", (id) => head(id, 4, [":status", "101"]), "PROTOCOL_ERROR"],
  [
    "an interim answer that ends it",
    "8.1",
    (id) => head(id, 5, [":status", "103"]),
    "PROTOCOL_ERROR",
  ],
  [
    "trailers without the end",
    "8.1",
    (id) => concat(head(id), frame(1, 4, id, TRAILERS)),
    "PROTOCOL_ERROR",
  ],
  [
    "a pseudo header in its trailers",
    "8.1",
    (id) => concat(head(id), frame(1, 5, id, encodeBlock([":status", "200"]))),
    "PROTOCOL_ERROR",
  ],
];

for (const [what, section, make, code] of STREAM_ERRORS) {
  const kind = code === "STREAM_CLOSED" ? "unary" : "converse";
  brokenTest(
    `a stream on which the server sends ${what} ends with ${code} (RFC 9113 ${section})`,
    kind,
    async ({ peer, id }) => {
      await peer.send(make(id));
      assert.equal(await peer.reset(id), code);
      await peer.alive();
    },
  );
}

brokenTest(
  "a stream whose window the server opens past 2^31-1 is reset",
  "converse",
  async ({ peer, id, outcome }) => {
    await peer.send(frame(8, 0, id, uint32(0x7fff_ffff)), frame(8, 0, id, uint32(0x7fff_ffff)));
    assert.equal(await peer.reset(id), "FLOW_CONTROL_ERROR");
    assert.equal((await outcome as GrpcError).code, Code.INTERNAL);
    await peer.alive();
  },
);

const IGNORED: readonly (readonly [string, (id: number) => Uint8Array])[] = [
  ["an unknown frame", (id) => frame(99, 255, id, [1, 2, 3])],
  ["PRIORITY_UPDATE of RFC 9218", (id) => frame(0x10, 0, 0, [...uint32(id), 0x75, 0x3d, 0x31])],
  ["PRIORITY", (id) => frame(2, 0, id, [0, 0, 0, 0, 16])],
  ["unknown settings", () => frame(4, 0, 0, [...setting(9, 1), ...setting(0x99, 7)])],
  ["ENABLE_PUSH of 0", () => frame(4, 0, 0, setting(2, 0))],
  ["unknown flags", () => frame(6, 0xfe, 0, EIGHT)],
  ["a reserved bit", () => {
    const bytes = frame(8, 0, 0, uint32(1));
    bytes[5] = 0x80;
    return bytes;
  }],
  [
    "interim answers",
    (id) => concat(head(id, 4, [":status", "103"]), head(id, 4, [":status", "100"])),
  ],
];
for (const [what, make] of IGNORED) {
  brokenTest(
    `a server may send ${what}: the call goes on`,
    "unary",
    async ({ peer, id, outcome }) => {
      await peer.send(make(id));
      await peer.alive();
      await peer.send(peer.answer(id, [0x18, 3]));
      assert.deepEqual(await outcome, create(EchoMessageSchema, { count: 3 }));
    },
  );
}

brokenTest(
  "padding and priority in a server's frames are thrown away",
  "unary",
  async ({ peer, id, outcome }) => {
    const padded = [2, ...prefixed([0x18, 4]), 0, 0];
    await peer.send(
      frame(1, Flag.END_HEADERS | Flag.PADDED | Flag.PRIORITY, id, [
        ...[3, 0, 0, 0, 0, 16],
        ...encodeBlock(HEAD),
        ...[0, 0, 0],
      ]),
      frame(0, Flag.PADDED, id, padded),
      frame(1, 5, id, TRAILERS),
    );
    assert.deepEqual(await outcome, create(EchoMessageSchema, { count: 4 }));
  },
);

Deno.test("a server whose first frame is not SETTINGS is left", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const channel = new Channel(`127.0.0.1:${listener.addr.port}`);
  const call = createClient(Echo, channel).unary({}).catch((reason) => reason);
  const conn = await listener.accept();
  await conn.write(frame(FrameType.PING, 0, 0, EIGHT));
  const error = await call;
  assert.equal(error.code, Code.UNAVAILABLE);
  assert.match(error.message, /first frame is not SETTINGS/);
  conn.close();
  await channel.close();
  listener.close();
});

Deno.test("a server that acknowledges no SETTINGS is left", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const channel = new Channel(`127.0.0.1:${listener.addr.port}`, {
    bounds: { settings_timeout_ms: 30, sweep_interval_ms: 5 },
  });
  const call = createClient(Echo, channel).unary({}).catch((reason) => reason);
  const conn = await listener.accept();
  await conn.write(frame(FrameType.SETTINGS, 0, 0));
  const error = await call;
  assert.equal(error.code, Code.UNAVAILABLE);
  assert.match(error.message, /SETTINGS were not acknowledged/);
  conn.close();
  await channel.close();
  listener.close();
});
