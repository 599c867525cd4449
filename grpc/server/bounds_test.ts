import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { encodeBlock } from "../hpack/encoder.ts";
import { CLIENT_PREFACE } from "../http2/frames.ts";
import { EchoMessageSchema } from "../gen/echo_pb.ts";
import type { Bounds, ServerOptions } from "../mod.ts";
import { startServer, type TestServer } from "../testing/echo_server.ts";
import { Neighbour } from "../testing/neighbour.ts";
import {
  concat,
  ErrorCode,
  Flag,
  frame,
  FrameType,
  prefixed,
  RawPeer,
  requestFields,
  setting,
  uint32,
} from "../testing/raw_peer.ts";

type Handlers = Parameters<typeof startServer>[1];

/** Timeouts short enough to wait for; everything else as given. */
const SHORT: Partial<Bounds> = { sweep_interval_ms: 5, linger_timeout_ms: 20 };

/** What a test may leave the process grown by: far above noise, far below what an attack sends. */
const GROWTH_BYTES_MAX = 128 * 1024 * 1024;

/**
 * Runs a test against a server and proves that it answers others meanwhile and afterwards, and that
 * its memory stays bounded.
 */
function boundTest(
  name: string,
  options: ServerOptions,
  run: (test: TestServer) => Promise<void>,
  handlers: Handlers = {},
): void {
  Deno.test(name, async () => {
    const bounds = { ...SHORT, ...options.bounds };
    const test = await startServer({ ...options, bounds }, handlers);
    const rss_before = Deno.memoryUsage().rss;
    try {
      const neighbour = await Neighbour.start(test.port);
      await run(test);
      await neighbour.stop();
      const growth = Deno.memoryUsage().rss - rss_before;
      assert.ok(growth < GROWTH_BYTES_MAX, `the process grew by ${growth} bytes`);
      const other = await RawPeer.open(test.port);
      await other.send(other.unary(1));
      assert.equal((await other.response(1))["grpc-status"], "0");
      other.close();
    } finally {
      await test.server.shutdown({ grace_ms: 0 });
    }
    assert.equal(test.server.stats.connections_open, 0);
    assert.equal(test.server.stats.calls_open, 0);
    assert.equal(test.server.stats.buffered_bytes, 0);
    assert.equal(test.server.stats.pending_bytes, 0);
  });
}

const STUCK: Handlers = {
  expand: async function* (request, { signal }) {
    if (request.count === 1) yield create(EchoMessageSchema, { payload: new Uint8Array(1000) });
    else if (!signal.aborted) {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    }
  },
};

const expandFields = requestFields({ ":path": "/grpc.test.v1.Echo/Expand" });
const collectFields = requestFields({ ":path": "/grpc.test.v1.Echo/Collect" });

boundTest("rapid reset: streams opened and reset end the connection", {
  bounds: { reset_burst: 50, resets_per_second: 1 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  for (let id = 1; id < 400; id += 2) {
    await client.send(client.headers(id), frame(FrameType.RST_STREAM, 0, id, uint32(8)));
  }
  assert.equal(await client.goaway(), "ENHANCE_YOUR_CALM");
  assert.equal(server.stats.refused.resets, 1);
  assert.ok(server.stats.calls_failed <= 52);
});

boundTest("rapid reset: a handler that still works keeps its place", {
  bounds: { concurrent_streams: 3 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  for (let id = 1; id <= 5; id += 2) {
    await client.send(
      client.headers(id),
      frame(FrameType.DATA, Flag.END_STREAM, id, prefixed([])),
      frame(FrameType.RST_STREAM, 0, id, uint32(8)),
    );
  }
  await client.send(client.unary(7));
  assert.equal(await client.reset(7), "REFUSED_STREAM");
  assert.equal(server.stats.refused.concurrent_streams, 1);
  client.close();
}, {
  unary: (request) =>
    request.text === "" ? new Promise((ok) => setTimeout(ok, 50, request)) : request,
});

boundTest("streams the peer makes us reset count as resets", {
  bounds: { reset_burst: 20, resets_per_second: 1 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  for (let id = 1; id < 200; id += 2) {
    await client.send(client.headers(id), frame(FrameType.WINDOW_UPDATE, 0, id, uint32(0)));
  }
  assert.equal(await client.goaway(), "ENHANCE_YOUR_CALM");
  assert.equal(server.stats.refused.resets, 1);
});

boundTest("a flood of CONTINUATION frames ends the connection", {}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  await client.send(frame(FrameType.HEADERS, 0, 1, encodeBlock(requestFields())));
  for (let count = 0; count < 40; count++) {
    await client.send(frame(FrameType.CONTINUATION, 0, 1, count % 2 === 0 ? [] : [0x82]));
  }
  assert.equal(await client.goaway(), "ENHANCE_YOUR_CALM");
  assert.equal(server.stats.refused.continuation_frames, 1);
});

boundTest("a header block larger than its bound ends the connection", {}, async (test) => {
  const client = await RawPeer.open(test.port);
  const part = new Uint8Array(16_000).fill(0x82);
  await client.send(
    frame(FrameType.HEADERS, 0, 1, part),
    frame(FrameType.CONTINUATION, 0, 1, part),
    frame(FrameType.CONTINUATION, Flag.END_HEADERS, 1, part),
  );
  assert.equal(await client.goaway(), "ENHANCE_YOUR_CALM");
  assert.equal(test.server.stats.refused.header_block_bytes, 1);
});

boundTest("a header list larger than its bound ends the call, not the connection", {
  bounds: { header_list_bytes: 1000 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  await client.send(client.headers(1, 5, requestFields({ "x-long": "v".repeat(1000) })));
  const response = await client.response(1);
  assert.equal(response["grpc-status"], "8");
  assert.match(response["grpc-message"] ?? "", /larger than 1000 bytes/);
  assert.equal(server.stats.refused.header_list_bytes, 1);
  await client.send(client.unary(3));
  assert.equal((await client.response(3))["grpc-status"], "0");
  client.close();
});

boundTest("an HPACK bomb is refused and the compression state survives it", {}, async (test) => {
  const client = await RawPeer.open(test.port);
  const insert = [0x40, 6, ...new TextEncoder().encode("x-bomb"), 0x7f, 0xa1, 0x1e];
  const bomb = [...insert, ...new Array(4000).fill(0x62), ...new Array(10_000).fill(0xbe)];
  const block = concat(encodeBlock(requestFields()), Uint8Array.from(bomb));
  await client.send(frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, block));
  assert.equal((await client.response(1))["grpc-status"], "8");
  await client.send(
    frame(
      FrameType.HEADERS,
      Flag.END_HEADERS,
      3,
      concat(encodeBlock(requestFields()), Uint8Array.of(0xbe)),
    ),
    frame(FrameType.DATA, Flag.END_STREAM, 3, prefixed([])),
  );
  assert.equal((await client.response(3))["grpc-status"], "0");
  client.close();
});

const BROKEN_BLOCKS: readonly (readonly [string, readonly number[]])[] = [
  ["an integer that overflows", [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]],
  ["a text longer than its block", [0x00, 0x7f, 0xff, 0x7f, 0x61]],
  ["Huffman code with EOS", [0x00, 0x01, 0x61, 0x84, 0xff, 0xff, 0xff, 0xff]],
  ["Huffman code with long padding", [0x00, 0x01, 0x61, 0x82, 0x1f, 0xff]],
  ["an index outside the tables", [0xff, 0x00]],
  ["a table larger than announced", [0x3f, 0xe2, 0x1f]],
];
for (const [what, block] of BROKEN_BLOCKS) {
  boundTest(`HPACK with ${what} ends the connection`, {}, async ({ server, port }) => {
    const client = await RawPeer.open(port);
    await client.send(frame(FrameType.HEADERS, Flag.END_HEADERS, 1, block));
    assert.equal(await client.goaway(), "COMPRESSION_ERROR");
    assert.equal(server.stats.refused.hpack, 1);
  });
}

const FLOODS: readonly (readonly [string, (client: RawPeer) => Uint8Array])[] = [
  ["SETTINGS", () => frame(FrameType.SETTINGS, 0, 0, setting(4, 1000))],
  ["SETTINGS ACK", () => frame(FrameType.SETTINGS, Flag.ACK, 0)],
  ["PING", () => frame(FrameType.PING, 0, 0, new Uint8Array(8))],
  ["PRIORITY", () => frame(FrameType.PRIORITY, 0, 1, [0, 0, 0, 3, 0])],
  ["unknown", () => frame(200, 0, 0, [1, 2, 3])],
  ["empty DATA", () => frame(FrameType.DATA, 0, 1)],
  ["padding-only DATA", () => frame(FrameType.DATA, Flag.PADDED, 1, [2, 0, 0])],
];
for (const [what, make] of FLOODS) {
  boundTest(`a flood of ${what} frames ends the connection`, {
    bounds: { control_frame_burst: 100, control_frames_per_second: 1 },
  }, async ({ server, port }) => {
    const client = await RawPeer.open(port);
    await client.send(client.headers(1));
    await client.send(...Array.from({ length: 300 }, () => make(client)));
    assert.equal(await client.goaway(), "ENHANCE_YOUR_CALM");
    assert.equal(server.stats.refused.control_frames, 1);
  });
}

boundTest("a flood of WINDOW_UPDATE frames ends the connection", {
  bounds: { window_update_burst: 100, window_updates_per_second: 1 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  const update = frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(1));
  await client.send(...Array.from({ length: 300 }, () => update));
  assert.equal(await client.goaway(), "ENHANCE_YOUR_CALM");
  assert.equal(server.stats.refused.window_updates, 1);
});

boundTest("WINDOW_UPDATE frames that answer our data never run out", {
  bounds: { window_update_burst: 10, window_updates_per_second: 1 },
}, async ({ port }) => {
  const client = await RawPeer.open(port);
  for (let id = 1; id < 400; id += 2) {
    await client.send(client.unary(id, [0x0a, 1, 0x61]));
    await client.response(id);
    await client.send(frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(8)));
  }
  await client.alive();
  client.close();
});

boundTest("a frame larger than announced ends the connection", {}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  await client.send(frame(FrameType.DATA, 0, 1, [], 20_000));
  assert.equal(await client.goaway(), "FRAME_SIZE_ERROR");
  assert.equal(server.stats.refused.frame_bytes, 1);
});

boundTest("more streams than announced are refused, the others live", {
  bounds: { concurrent_streams: 4 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  for (let id = 1; id <= 9; id += 2) await client.send(client.headers(id));
  assert.equal(await client.reset(9), "REFUSED_STREAM");
  assert.equal(server.stats.refused.concurrent_streams, 1);
  await client.send(frame(FrameType.DATA, Flag.END_STREAM, 1, prefixed([])));
  assert.equal((await client.response(1))["grpc-status"], "0");
  client.close();
});

Deno.test("more connections than allowed are closed unread, and places become free", async () => {
  const { server, port } = await startServer({ bounds: { ...SHORT, connections: 2 } });
  const first = await RawPeer.open(port);
  const second = await RawPeer.open(port);
  const third = await RawPeer.dial(port);
  await third.untilEnded();
  assert.deepEqual(third.frames, []);
  assert.equal(server.stats.refused.connections, 1);
  await Promise.all([first.alive(), second.alive()]);
  first.close();
  while (server.stats.connections_open === 2) await new Promise((ok) => setTimeout(ok, 1));
  const fourth = await RawPeer.open(port);
  await fourth.alive();
  for (const client of [second, third, fourth]) client.close();
  await server.shutdown({ grace_ms: 0 });
});

boundTest("a peer that never sends its preface is closed", {
  bounds: { handshake_timeout_ms: 20 },
}, async ({ server, port }) => {
  const silent = await RawPeer.dial(port);
  const slow = await RawPeer.dial(port);
  await slow.send(CLIENT_PREFACE.subarray(0, 10));
  await Promise.all([silent.untilEnded(), slow.untilEnded()]);
  assert.equal(server.stats.refused.handshake_timeout, 2);
  silent.close();
  slow.close();
});

boundTest("a peer that never sends SETTINGS is closed", {
  bounds: { handshake_timeout_ms: 20 },
}, async ({ server, port }) => {
  const client = await RawPeer.dial(port);
  await client.send(CLIENT_PREFACE);
  await client.untilEnded();
  assert.equal(server.stats.refused.handshake_timeout, 1);
  client.close();
});

boundTest("a frame that is begun and never finished ends the connection", {
  bounds: { frame_timeout_ms: 20 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  await client.send(frame(FrameType.DATA, 0, 1, [1, 2], 1000));
  assert.equal(await client.goaway(), "ENHANCE_YOUR_CALM");
  assert.equal(server.stats.refused.frame_timeout, 1);
});

boundTest("a header block that is begun and never finished ends the connection", {
  bounds: { frame_timeout_ms: 20 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  await client.send(frame(FrameType.HEADERS, 0, 1, [0x82]));
  assert.equal(await client.goaway(), "ENHANCE_YOUR_CALM");
  assert.equal(server.stats.refused.frame_timeout, 1);
});

boundTest("a request message that never arrives in full ends its call", {
  bounds: { request_timeout_ms: 20 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  await client.send(client.headers(1), frame(FrameType.DATA, 0, 1, [0, 0, 0, 0, 9, 1]));
  assert.equal((await client.response(1))["grpc-status"], "4");
  assert.equal(server.stats.refused.request_timeout, 1);
  await client.alive();
  client.close();
});

boundTest("a refused request that never ends is stopped", {
  bounds: { refused_request_timeout_ms: 20 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  const fields = requestFields({ ":method": "PUT" });
  await client.send(client.headers(1, Flag.END_HEADERS, fields));
  assert.equal((await client.response(1))[":status"], "405");
  assert.equal(await client.reset(1), "NO_ERROR");
  assert.equal(server.stats.refused.http_method, 1);
  client.close();
});

boundTest("a refused request that sends on and on is stopped", {
  bounds: { refused_request_timeout_ms: 600_000, refused_body_bytes: 100 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  await client.send(
    client.headers(1, Flag.END_HEADERS, requestFields({ ":method": "PUT" })),
    frame(FrameType.DATA, 0, 1, new Uint8Array(101)),
  );
  assert.equal(await client.reset(1), "NO_ERROR");
  assert.equal(server.stats.refused.http_method, 1);
  client.close();
});

boundTest("refused requests take the places of streams", {
  bounds: { concurrent_streams: 2 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port, setting(4, 0));
  const get = requestFields({ ":method": "GET" });
  for (let id = 1; id <= 5; id += 2) await client.send(client.headers(id, 5, get));
  assert.equal(await client.reset(5), "REFUSED_STREAM");
  assert.equal(server.stats.refused.concurrent_streams, 1);
  await client.send(frame(FrameType.SETTINGS, 0, 0, setting(4, 1000)));
  await Promise.all([client.response(1), client.response(3)]);
  client.close();
});

boundTest("a connection nobody uses is closed, however many PING it sends", {
  bounds: { idle_timeout_ms: 60 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  await client.send(client.unary(1));
  await client.response(1);
  while (!client.ended) {
    await client.send(frame(FrameType.PING, 0, 0, new Uint8Array(8)));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(await client.goaway(), "NO_ERROR");
  assert.equal(server.stats.refused.idle_timeout, 1);
});

boundTest("a silent peer is asked for a sign of life and closed without one", {
  bounds: { keepalive_interval_ms: 20, keepalive_timeout_ms: 20 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  await client.untilEnded();
  const pings = client.frames.filter((each) => each.type === FrameType.PING);
  assert.equal(pings.length, 1);
  assert.equal(server.stats.refused.keepalive_timeout, 1);
});

boundTest("a window that stays closed resets the stream and aborts its handler", {
  bounds: { window_stall_timeout_ms: 20 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port, setting(4, 0));
  await client.send(
    client.headers(1, Flag.END_HEADERS, expandFields),
    frame(FrameType.DATA, Flag.END_STREAM, 1, prefixed([0x18, 1])),
  );
  assert.equal(await client.reset(1), "CANCEL");
  assert.equal(server.stats.refused.window_stall_timeout, 1);
  await client.alive();
  client.close();
}, STUCK);

boundTest("a window opened a byte at a time is as good as closed", {
  bounds: { window_stall_timeout_ms: 150 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port, setting(4, 0));
  await client.send(
    client.headers(1, Flag.END_HEADERS, expandFields),
    frame(FrameType.DATA, Flag.END_STREAM, 1, prefixed([0x18, 1])),
  );
  const isReset = () => client.frames.some((each) => each.type === FrameType.RST_STREAM);
  while (!isReset()) {
    await client.send(frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(1)));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.equal(await client.reset(1), "CANCEL");
  assert.equal(server.stats.refused.window_stall_timeout, 1);
  const taken = client.frames.filter((each) => each.type === FrameType.DATA).length;
  assert.ok(taken > 5 && taken < 1000, `${taken} bytes were taken`);
  client.close();
}, STUCK);

boundTest("a slow reader that takes what it should is left in peace", {
  bounds: { window_stall_timeout_ms: 150, stall_bytes: 10 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port, setting(4, 0));
  await client.send(
    client.headers(1, Flag.END_HEADERS, expandFields),
    frame(FrameType.DATA, Flag.END_STREAM, 1, prefixed([0x18, 1])),
  );
  for (let taken = 0; taken < 1100; taken += 50) {
    await client.send(frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(50)));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal((await client.response(1))["grpc-status"], "0");
  assert.equal(server.stats.refused.window_stall_timeout, undefined);
  client.close();
}, STUCK);

boundTest("a message of several that is begun and never finished ends its call", {
  bounds: { request_timeout_ms: 120 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  await client.send(client.headers(1, Flag.END_HEADERS, collectFields));
  // Each message has its own time, and between messages a stream may rest as long as it likes.
  for (let count = 0; count < 4; count++) {
    await client.send(frame(FrameType.DATA, 0, 1, [0, 0, 0, 0, 3, 0x0a]));
    await new Promise((resolve) => setTimeout(resolve, 40));
    await client.send(frame(FrameType.DATA, 0, 1, [1, 0x61]));
  }
  for (let count = 0; count < 3; count++) {
    await client.send(frame(FrameType.DATA, 0, 1, prefixed([0x0a, 1, 0x61])));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.equal(server.stats.refused.request_timeout, undefined);
  await client.send(frame(FrameType.DATA, 0, 1, [0, 0, 0, 0, 9, 1]));
  assert.equal((await client.response(1))["grpc-status"], "4");
  assert.equal(server.stats.refused.request_timeout, 1);
  client.close();
});

boundTest("header lists too large cost the peer its control frames", {
  bounds: { header_list_bytes: 1000, control_frame_burst: 20, control_frames_per_second: 1 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  for (let id = 1; id < 200; id += 2) {
    await client.send(client.headers(id, 5, requestFields({ "x-long": "v".repeat(1000) })));
  }
  assert.equal(await client.goaway(), "ENHANCE_YOUR_CALM");
  assert.equal(server.stats.refused.control_frames, 1);
  assert.ok((server.stats.refused.header_list_bytes ?? 0) <= 20);
});

boundTest("table size updates without end cost no memory and end at the rate of requests", {
  bounds: { reset_burst: 100, resets_per_second: 1 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  const entry = [0x40, 1, 0x61, 0x7f, 0xa1, 0x1e, ...new Array(4000).fill(0x62)];
  const churn = concat(
    Uint8Array.from([0x20, 0x3f, 0xe1, 0x1f]), // to zero, to 4096
    encodeBlock(requestFields()),
    Uint8Array.from(entry),
  );
  for (let id = 1; id < 400; id += 2) {
    await client.send(
      frame(FrameType.HEADERS, Flag.END_HEADERS, id, churn),
      frame(FrameType.RST_STREAM, 0, id, uint32(8)),
    );
  }
  assert.equal(await client.goaway(), "ENHANCE_YOUR_CALM");
  assert.equal(server.stats.refused.resets, 1);
});

boundTest("a flood of SETTINGS that churn the table and the windows ends the connection", {
  bounds: { control_frame_burst: 100, control_frames_per_second: 1 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port, setting(4, 0));
  for (let id = 1; id < 100; id += 2) {
    await client.send(client.headers(id, Flag.END_HEADERS, collectFields));
  }
  const settings = [0, 1, 4096, 65_535].flatMap((value) => [
    frame(FrameType.SETTINGS, 0, 0, [...setting(1, value), ...setting(4, value)]),
  ]);
  for (let round = 0; round < 100; round++) await client.send(...settings);
  assert.equal(await client.goaway(), "ENHANCE_YOUR_CALM");
  assert.equal(server.stats.refused.control_frames, 1);
});

boundTest("empty names and values count 32 bytes each: a list of them is too large", {
  bounds: { header_list_bytes: 2000 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  const empty = new Array(200).fill([0x00, 0, 0]).flat();
  const block = concat(encodeBlock(requestFields()), Uint8Array.from(empty));
  await client.send(frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, block));
  assert.equal((await client.response(1))["grpc-status"], "8");
  assert.equal(server.stats.refused.header_list_bytes, 1);
  client.close();
});

boundTest("a flood of GOAWAY frames ends the connection", {
  bounds: { control_frame_burst: 100, control_frames_per_second: 1 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  const goaway = frame(FrameType.GOAWAY, 0, 0, new Uint8Array(1000));
  await client.send(...Array.from({ length: 300 }, () => goaway));
  assert.equal(await client.goaway(), "ENHANCE_YOUR_CALM");
  assert.equal(server.stats.refused.control_frames, 1);
});

boundTest("resets the server is tricked into count like the peer's own, however it is tricked", {
  bounds: { reset_burst: 20, resets_per_second: 1 },
}, async ({ server, port }) => {
  const tricks: readonly ((id: number) => Uint8Array)[] = [
    (id) => frame(FrameType.WINDOW_UPDATE, 0, id, uint32(0x7fff_ffff)),
    (id) => frame(FrameType.WINDOW_UPDATE, 0, id, uint32(0)),
    (id) => frame(FrameType.PRIORITY, 0, id, [0, 0, 0, 1]),
    (id) => frame(FrameType.PRIORITY, 0, id, [...uint32(id), 0]),
    (id) => frame(FrameType.HEADERS, 4, id, encodeBlock([":path", "/"])),
  ];
  for (const trick of tricks) {
    const before = server.stats.refused.resets ?? 0;
    const client = await RawPeer.open(port);
    for (let id = 1; id < 200; id += 2) {
      await client.send(client.headers(id, Flag.END_HEADERS, collectFields), trick(id));
    }
    assert.equal(await client.goaway(), "ENHANCE_YOUR_CALM");
    assert.equal(server.stats.refused.resets, before + 1);
  }
});

boundTest("a peer that stops reading its socket is closed", {
  bounds: { write_timeout_ms: 100 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port, setting(4, 0x7fff_ffff));
  await client.send(frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(0x7000_0000)));
  const resume = client.pause();
  await client.send(
    client.headers(1, Flag.END_HEADERS, expandFields),
    frame(FrameType.DATA, Flag.END_STREAM, 1, prefixed([])),
  );
  while (server.stats.refused.write_timeout === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  resume();
  await client.untilEnded();
}, {
  expand: async function* (_, { signal }) {
    const payload = new Uint8Array(100_000);
    while (!signal.aborted) yield await Promise.resolve(create(EchoMessageSchema, { payload }));
  },
});

boundTest("a slow reader holds the handler back", {}, async ({ port }) => {
  produced = 0;
  const client = await RawPeer.open(port);
  await client.send(
    client.headers(1, Flag.END_HEADERS, expandFields),
    frame(FrameType.DATA, Flag.END_STREAM, 1, prefixed([])),
  );
  // The window of 65535 bytes is never opened: the handler must stop after it.
  await client.until((frames) =>
    frames.filter((each) => each.type === FrameType.DATA)
      .reduce((sum, each) => sum + each.payload.length, 0) === 65_535
  );
  for (let round = 0; round < 5; round++) await client.alive();
  assert.ok(produced <= 65_535 / 1000 + 2, `${produced} messages were produced`);
  client.close();
}, {
  expand: async function* (_, { signal }) {
    const message = create(EchoMessageSchema, { payload: new Uint8Array(1000) });
    for (; !signal.aborted; produced++) yield await Promise.resolve(message);
  },
});
let produced = 0;

boundTest("a slow handler holds the sender back", {
  bounds: { stream_window_bytes: 10_000 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  await client.send(client.headers(1, Flag.END_HEADERS, collectFields));
  const message = prefixed([0x12, 0x80, 0x07, ...new Array(896).fill(1)]);
  for (let count = 0; count < 11; count++) {
    await client.send(frame(FrameType.DATA, 0, 1, message));
  }
  await client.alive();
  const updates = client.frames.filter((each) => each.type === FrameType.WINDOW_UPDATE);
  assert.ok(!updates.some((each) => each.stream_id === 1), "the window was opened unread");
  assert.equal(server.stats.buffered_bytes, 11 * message.length);
  await client.send(frame(FrameType.DATA, 0, 1, message));
  assert.equal(await client.reset(1), "FLOW_CONTROL_ERROR");
  assert.equal(server.stats.refused.flow_control, 1);
  client.close();
}, { collect: (_, { signal }) => new Promise((_, no) => signal.addEventListener("abort", no)) });

boundTest("data past the connection window ends the connection", {
  // Half-used windows are given back at once, so it takes one frame larger than the window.
  bounds: { frame_bytes: 65_536, connection_window_bytes: 65_535 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  await client.send(client.headers(1), frame(FrameType.DATA, 0, 1, new Uint8Array(65_536)));
  assert.equal(await client.goaway(), "FLOW_CONTROL_ERROR");
  assert.equal(server.stats.refused.flow_control, 1);
});

boundTest("a window opened past 2^31-1 ends the stream or the connection", {}, async (test) => {
  const client = await RawPeer.open(test.port);
  await client.send(client.headers(1));
  await client.send(frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(0x7fff_ffff)));
  assert.equal(await client.reset(1), "FLOW_CONTROL_ERROR");
  await client.send(frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(0x7fff_ffff)));
  assert.equal(await client.goaway(), "FLOW_CONTROL_ERROR");
});

boundTest("SETTINGS that make a stream window overflow end the connection", {}, async (test) => {
  const client = await RawPeer.open(test.port);
  await client.send(
    client.headers(1),
    frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(0x7fff_0000)),
    frame(FrameType.SETTINGS, 0, 0, setting(4, 0x7fff_ffff)),
  );
  assert.equal(await client.goaway(), "FLOW_CONTROL_ERROR");
});

boundTest("a message larger than its bound ends the call before it is read", {
  bounds: { receive_message_bytes: 1000 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  await client.send(client.headers(1), frame(FrameType.DATA, 0, 1, [0, ...uint32(1001), 1]));
  assert.equal((await client.response(1))["grpc-status"], "8");
  assert.equal(await client.reset(1), "NO_ERROR");
  await client.send(
    client.headers(3, Flag.END_HEADERS, collectFields),
    frame(FrameType.DATA, 0, 3, [0, ...uint32(0xffff_ffff)]),
  );
  assert.equal((await client.response(3))["grpc-status"], "8");
  assert.equal(server.stats.refused.message_bytes, 2);
  client.close();
});

boundTest("unfinished messages of one connection share one bounded buffer", {
  bounds: { connection_buffer_bytes: 50_000 },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  const part = new Uint8Array([0, ...uint32(1_000_000), ...new Array(16_000).fill(1)]);
  for (let id = 1; id <= 7; id += 2) {
    await client.send(client.headers(id), frame(FrameType.DATA, 0, id, part));
  }
  assert.equal((await client.response(7))["grpc-status"], "8");
  assert.equal(server.stats.refused.buffer_bytes, 1);
  assert.ok(server.stats.buffered_bytes <= 50_000);
  client.close();
  while (server.stats.connections_open > 1) await new Promise((ok) => setTimeout(ok, 1));
  assert.equal(server.stats.buffered_bytes, 0);
});

boundTest("unfinished messages of all connections share one bounded buffer", {
  bounds: { server_buffer_bytes: 50_000 },
}, async ({ server, port }) => {
  const clients = [];
  const part = new Uint8Array([0, ...uint32(1_000_000), ...new Array(16_000).fill(1)]);
  for (let count = 0; count < 4; count++) {
    const client = await RawPeer.open(port);
    await client.send(client.headers(1), frame(FrameType.DATA, 0, 1, part));
    await client.alive();
    clients.push(client);
  }
  assert.equal((await clients[3]?.response(1))?.["grpc-status"], "8");
  assert.equal(server.stats.refused.buffer_bytes, 1);
  for (const client of clients) client.close();
});

boundTest("a peer that sends and never reads is closed", {
  bounds: {
    control_frame_burst: 10_000_000,
    write_timeout_ms: 200,
    output_bytes: 100_000,
  },
}, async ({ server, port }) => {
  const client = await RawPeer.open(port);
  const resume = client.pause();
  const pings = concat(...new Array(5000).fill(frame(FrameType.PING, 0, 0, new Uint8Array(8))));
  // Far more than the sockets between can hold: sending stalls once the server stops reading.
  const flood = (async () => {
    for (let round = 0; round < 400; round++) await client.send(pings);
  })();
  while (server.stats.refused.write_timeout === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  resume();
  await flood;
  await client.untilEnded();
});

boundTest("DATA on streams that are gone still counts and is given back", {
  bounds: { connection_window_bytes: 65_535 },
}, async ({ port }) => {
  const client = await RawPeer.open(port);
  await client.send(client.headers(1));
  await client.send(frame(FrameType.RST_STREAM, 0, 1, uint32(ErrorCode.CANCEL)));
  const part = new Uint8Array(10_000);
  let sent = 0;
  for (let round = 0; round < 20; round++) {
    await client.send(frame(FrameType.DATA, 0, 1, part));
    sent += part.length;
    await client.alive();
  }
  const given = client.frames
    .filter((each) => each.type === FrameType.WINDOW_UPDATE && each.stream_id === 0)
    .reduce((sum, each) => sum + new DataView(each.payload.buffer).getUint32(0), 0);
  assert.ok(given > sent - 65_535 && given <= sent, `${given} of ${sent} bytes were given back`);
  await client.send(client.unary(3));
  assert.equal((await client.response(3))["grpc-status"], "0");
  client.close();
});
