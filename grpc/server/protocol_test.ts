import assert from "node:assert/strict";
import { encodeBlock } from "../hpack/encoder.ts";
import { startServer, type TestServer } from "../testing/echo_server.ts";
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
} from "../testing/raw_peer.ts";

/** Runs a test on one raw connection to an echo server. */
function rawTest(
  name: string,
  run: (client: RawPeer, test: TestServer) => Promise<void>,
  settings: readonly number[] = [],
): void {
  Deno.test(name, async () => {
    const bounds = { sweep_interval_ms: 5, linger_timeout_ms: 20 };
    const test = await startServer({ bounds });
    const client = await RawPeer.open(test.port, settings);
    try {
      await run(client, test);
    } finally {
      client.close();
      await test.server.shutdown({ grace_ms: 0 });
    }
    assert.equal(test.server.stats.calls_open, 0);
    assert.equal(test.server.stats.buffered_bytes, 0);
  });
}

const block = (fields: readonly string[]) =>
  frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, encodeBlock(fields));

const MALFORMED: readonly (readonly [string, string[]])[] = [
  ["no :method", requestFields({ ":method": undefined })],
  ["no :scheme", requestFields({ ":scheme": undefined })],
  ["no :path", requestFields({ ":path": undefined })],
  ["an empty :path", requestFields({ ":path": "" })],
  ["a relative :path", requestFields({ ":path": "Unary" })],
  ["two :path", [":path", "/other", ...requestFields()]],
  ["an unknown pseudo header", [":other", "1", ...requestFields()]],
  [":status in a request", [":status", "200", ...requestFields()]],
  ["a pseudo header after a regular one", ["x-first", "1", ...requestFields()]],
  ["an upper-case name", requestFields({ "X-Upper": "1" })],
  ["an empty name", requestFields({ "": "1" })],
  ["a name with a space", requestFields({ "x y": "1" })],
  ["a name with a line break", requestFields({ "x\ny": "1" })],
  ["a value with a line break", requestFields({ "x-value": "a\r\nb" })],
  ["a value with a NUL", requestFields({ "x-value": "a\0b" })],
  ["a value that begins with a blank", requestFields({ "x-value": " a" })],
  ["a value that ends with a tab", requestFields({ "x-value": "a\t" })],
  ["connection", requestFields({ "connection": "close" })],
  ["transfer-encoding", requestFields({ "transfer-encoding": "chunked" })],
  ["te other than trailers", requestFields({ "te": "gzip" })],
  ["a content-length that is no number", requestFields({ "content-length": "1x" })],
];
for (const [what, fields] of MALFORMED) {
  rawTest(`a request with ${what} is malformed: its stream is reset`, async (client, test) => {
    await client.send(block(fields));
    assert.equal(await client.reset(1), "PROTOCOL_ERROR");
    assert.equal(test.server.stats.refused.malformed_request, 1);
    assert.equal(test.server.stats.calls_started, 0);
    await client.alive();
  });
}

rawTest("a content-length that the data does not have is malformed", async (client) => {
  const fields = requestFields({ "content-length": "9" });
  await client.send(
    client.headers(1, Flag.END_HEADERS, fields),
    frame(FrameType.DATA, Flag.END_STREAM, 1, prefixed([])),
  );
  assert.equal(await client.reset(1), "PROTOCOL_ERROR");
});

const REFUSED: readonly (readonly [string, string[], Record<string, string>])[] = [
  ["GET", requestFields({ ":method": "GET" }), { ":status": "405" }],
  ["JSON", requestFields({ "content-type": "application/json" }), { ":status": "415" }],
  ["no content-type", requestFields({ "content-type": undefined }), { ":status": "415" }],
  ["gRPC-Web", requestFields({ "content-type": "application/grpc-web" }), { ":status": "415" }],
  ["an unknown method", requestFields({ ":path": "/a.B/C" }), { "grpc-status": "12" }],
  ["an unknown timeout", requestFields({ "grpc-timeout": "1x" }), { "grpc-status": "3" }],
  ["a long timeout", requestFields({ "grpc-timeout": "123456789S" }), { "grpc-status": "3" }],
  ["binary metadata that is not base64", requestFields({ "x-bin": "!" }), { "grpc-status": "3" }],
  ["an unknown message encoding", requestFields({ "grpc-encoding": "snappy" }), {
    "grpc-status": "12",
    "grpc-accept-encoding": "identity,gzip",
  }],
];
for (const [what, fields, expected] of REFUSED) {
  rawTest(`a request with ${what} is answered ${Object.values(expected)[0]}`, async (client) => {
    await client.send(block(fields));
    const response = await client.response(1);
    for (const [name, value] of Object.entries(expected)) assert.equal(response[name], value);
    await client.alive();
  });
}

rawTest("a refused request whose data goes on is asked to stop", async (client) => {
  const fields = requestFields({ ":path": "/a.B/C" });
  await client.send(client.headers(1, Flag.END_HEADERS, fields));
  assert.equal((await client.response(1))["grpc-status"], "12");
  const resets = () => client.frames.filter((each) => each.type === FrameType.RST_STREAM).length;
  await client.send(frame(FrameType.DATA, 0, 1, new Uint8Array(16_384)));
  await client.alive();
  assert.equal(resets(), 0);
  await client.send(frame(FrameType.DATA, 0, 1, [1]));
  assert.equal(await client.reset(1), "NO_ERROR");
  await client.send(frame(FrameType.DATA, Flag.END_STREAM, 1, prefixed([])));
  await client.alive();
  assert.equal(resets(), 1);
});

rawTest("a refused request that ends soon costs no reset", async (client) => {
  const fields = requestFields({ ":path": "/a.B/C" });
  await client.send(
    client.headers(1, Flag.END_HEADERS, fields),
    frame(FrameType.DATA, Flag.END_STREAM, 1, prefixed([])),
  );
  assert.equal((await client.response(1))["grpc-status"], "12");
  await client.alive();
  assert.ok(!client.frames.some((each) => each.type === FrameType.RST_STREAM));
});

rawTest("a request that is no gRPC is answered in words, but not to HEAD", async (client) => {
  await client.send(block(requestFields({ ":method": "GET" })));
  const response = await client.response(1);
  assert.equal(response["allow"], "POST");
  const data = client.frames.find((each) => each.type === FrameType.DATA);
  assert.equal(String(data?.payload.length), response["content-length"]);
  assert.match(new TextDecoder().decode(data?.payload), /speaks gRPC/);
  const head = encodeBlock(requestFields({ ":method": "HEAD" }));
  await client.send(frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 3, head));
  assert.equal((await client.response(3))[":status"], "405");
  assert.ok(!client.frames.some((each) => each.type === FrameType.DATA && each.stream_id === 3));
});

/** What a peer may still do wrong on a stream whose request was refused. */
const AFTER_REFUSAL: readonly (readonly [string, Uint8Array, string])[] = [
  ["headers without the end", frame(1, 4, 1, encodeBlock(["a", "b"])), "PROTOCOL_ERROR"],
  ["a pseudo header as trailer", frame(1, 5, 1, encodeBlock([":path", "/"])), "PROTOCOL_ERROR"],
  ["a window update by zero", frame(8, 0, 1, uint32(0)), "PROTOCOL_ERROR"],
  [
    "a window past 2^31-1",
    concat(frame(8, 0, 1, uint32(0x7fff_ffff)), frame(8, 0, 1, uint32(0x7fff_ffff))),
    "FLOW_CONTROL_ERROR",
  ],
  ["less data than announced", frame(FrameType.DATA, 1, 1, [1]), "PROTOCOL_ERROR"],
  [
    "data after its end",
    concat(frame(FrameType.DATA, 1, 1, [1, 2, 3, 4, 5]), frame(FrameType.DATA, 0, 1, [1])),
    "STREAM_CLOSED",
  ],
];
for (const [what, bytes, code] of AFTER_REFUSAL) {
  rawTest(`a refused request obeys the rules of streams: ${what}`, async (client) => {
    const fields = requestFields({ ":method": "PUT", "content-length": "5" });
    await client.send(client.headers(1, Flag.END_HEADERS, fields), bytes);
    assert.equal(await client.reset(1), code);
    await client.alive();
  }, setting(4, 1));
}

const BODIES: readonly (readonly [string, Uint8Array, string])[] = [
  ["no message", new Uint8Array(0), "12"],
  ["two messages", concat(prefixed([]), prefixed([])), "12"],
  ["half a prefix", Uint8Array.of(0, 0, 0), "13"],
  ["half a message", Uint8Array.of(0, 0, 0, 0, 5, 1, 2), "13"],
  ["a compressed message without an encoding", prefixed([1, 2, 3], 1), "13"],
  ["an unknown flag", prefixed([1, 2, 3], 7), "13"],
  ["a message that is not protobuf", prefixed([0xff, 0xff]), "13"],
  ["text that is not UTF-8", prefixed([0x0a, 1, 0xff]), "13"],
];
for (const [what, body, code] of BODIES) {
  rawTest(`a unary request of ${what} ends with status ${code}`, async (client) => {
    await client.send(client.headers(1), frame(FrameType.DATA, Flag.END_STREAM, 1, body));
    const response = await client.response(1);
    assert.equal(response["grpc-status"], code);
    assert.equal(response[":status"], "200");
    await client.alive();
  });
  if (what === "no message" || what === "two messages") continue;
  rawTest(`a streamed request of ${what} ends with status ${code}`, async (client) => {
    const fields = requestFields({ ":path": "/grpc.test.v1.Echo/Collect" });
    await client.send(
      client.headers(1, Flag.END_HEADERS, fields),
      frame(FrameType.DATA, Flag.END_STREAM, 1, body),
    );
    assert.equal((await client.response(1))["grpc-status"], code);
    await client.alive();
  });
}

rawTest("a request split into frames of one byte is understood", async (client) => {
  await client.send(client.headers(1));
  for (const byte of prefixed([0x0a, 2, 0x68, 0x69])) {
    await client.send(frame(FrameType.DATA, 0, 1, [byte]));
  }
  await client.send(frame(FrameType.DATA, Flag.END_STREAM, 1));
  assert.equal((await client.response(1))["grpc-status"], "0");
  const data = client.frames.find((each) => each.type === FrameType.DATA);
  assert.deepEqual(data?.payload, prefixed([0x0a, 2, 0x68, 0x69]));
});

rawTest("a request may end with trailers", async (client) => {
  await client.send(
    client.headers(1),
    frame(FrameType.DATA, 0, 1, prefixed([])),
    frame(FrameType.HEADERS, 5, 1, encodeBlock(["x-trailer", "1"])),
  );
  assert.equal((await client.response(1))["grpc-status"], "0");
});

rawTest("trailers with pseudo headers, or without the end, are malformed", async (client) => {
  await client.send(client.headers(1), frame(FrameType.HEADERS, 5, 1, encodeBlock([":path", "/"])));
  assert.equal(await client.reset(1), "PROTOCOL_ERROR");
  await client.send(client.headers(3), frame(FrameType.HEADERS, 4, 3, encodeBlock(["a", "b"])));
  assert.equal(await client.reset(3), "PROTOCOL_ERROR");
  await client.alive();
});

rawTest("data after the end of a request resets the stream", async (client) => {
  const fields = requestFields({ ":path": "/grpc.test.v1.Echo/Expand" });
  // The closed window keeps the stream half-closed while the data comes.
  await client.send(
    client.headers(1, Flag.END_HEADERS, fields),
    frame(FrameType.DATA, Flag.END_STREAM, 1, prefixed([0x18, 1])),
    frame(FrameType.DATA, 0, 1, [1]),
  );
  assert.equal(await client.reset(1), "STREAM_CLOSED");
  await client.alive();
}, setting(4, 0));

rawTest("data on a finished stream is answered with STREAM_CLOSED", async (client) => {
  await client.send(client.unary(1));
  await client.response(1);
  await client.send(frame(FrameType.DATA, 0, 1, [1]));
  assert.equal(await client.reset(1), "STREAM_CLOSED");
  await client.alive();
});

const FATAL: readonly (readonly [string, Uint8Array, string])[] = [
  ["data on an idle stream", frame(FrameType.DATA, 0, 9, [1]), "PROTOCOL_ERROR"],
  ["a reset of an idle stream", frame(FrameType.RST_STREAM, 0, 9, uint32(8)), "PROTOCOL_ERROR"],
  [
    "a window update of an idle stream",
    frame(FrameType.WINDOW_UPDATE, 0, 9, uint32(8)),
    "PROTOCOL_ERROR",
  ],
  [
    "a window update by zero of an idle stream",
    frame(FrameType.WINDOW_UPDATE, 0, 9, uint32(0)),
    "PROTOCOL_ERROR",
  ],
  [
    "a priority of an idle stream that depends on itself",
    frame(FrameType.PRIORITY, 0, 9, [...uint32(9), 0]),
    "PROTOCOL_ERROR",
  ],
  ["a short priority of an idle stream", frame(FrameType.PRIORITY, 0, 9, [0]), "FRAME_SIZE_ERROR"],
  [
    "headers on a server's stream",
    frame(FrameType.HEADERS, 5, 2, encodeBlock(requestFields())),
    "PROTOCOL_ERROR",
  ],
  ["a push promise", frame(FrameType.PUSH_PROMISE, 4, 1, uint32(2)), "PROTOCOL_ERROR"],
  ["ENABLE_PUSH of 2", frame(FrameType.SETTINGS, 0, 0, setting(2, 2)), "PROTOCOL_ERROR"],
  [
    "a window setting above 2^31-1",
    frame(FrameType.SETTINGS, 0, 0, setting(4, 2 ** 31)),
    "FLOW_CONTROL_ERROR",
  ],
  ["a frame setting too small", frame(FrameType.SETTINGS, 0, 0, setting(5, 99)), "PROTOCOL_ERROR"],
  ["a frame setting too large", frame(4, 0, 0, setting(5, 2 ** 24)), "PROTOCOL_ERROR"],
  ["SETTINGS of five bytes", frame(FrameType.SETTINGS, 0, 0, [0, 1, 0, 0, 0]), "FRAME_SIZE_ERROR"],
];
for (const [what, bytes, code] of FATAL) {
  rawTest(`${what} ends the connection with ${code}`, async (client) => {
    await client.send(bytes);
    assert.equal(await client.goaway(), code);
  });
}

rawTest("headers on a finished stream end the connection", async (client) => {
  await client.send(client.unary(1));
  await client.response(1);
  await client.send(client.headers(1));
  assert.equal(await client.goaway(), "STREAM_CLOSED");
});

rawTest("a stream id lower than the last ends the connection", async (client) => {
  await client.send(client.unary(5));
  await client.response(5);
  await client.send(client.headers(3));
  assert.equal(await client.goaway(), "STREAM_CLOSED");
});

Deno.test("a peer that speaks something else is told so and closed", async () => {
  const { server, port } = await startServer({ bounds: { sweep_interval_ms: 5 } });
  const client = await RawPeer.dial(port);
  await client.send(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
  assert.equal(await client.goaway(), "PROTOCOL_ERROR");
  client.close();
  await server.shutdown({ grace_ms: 0 });
});

rawTest("PING is answered with its own bytes, ACK is not answered", async (client) => {
  await client.send(
    frame(FrameType.PING, Flag.ACK, 0, new Uint8Array(8)),
    frame(FrameType.PING, 0, 0, [8, 7, 6, 5, 4, 3, 2, 1]),
  );
  await client.until((frames) => frames.some((each) => each.type === FrameType.PING));
  const pings = client.frames.filter((each) => each.type === FrameType.PING);
  assert.deepEqual(pings.map((each) => each.payload.toHex()), ["0807060504030201"]);
});

rawTest("a window of one byte at a time still carries the answer", async (client) => {
  await client.send(client.unary(1, [0x0a, 1, 0x61]));
  for (let count = 0; count < 8; count++) {
    await client.alive();
    assert.equal(client.frames.filter((each) => each.type === FrameType.DATA).length, count);
    await client.send(frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(1)));
  }
  assert.equal((await client.response(1))["grpc-status"], "0");
}, setting(4, 0));

rawTest("settings that open windows are acknowledged before data uses them", async (client) => {
  await client.send(client.unary(1, [0x0a, 1, 0x61]));
  await client.alive();
  const before = client.frames.length;
  await client.send(frame(FrameType.SETTINGS, 0, 0, setting(4, 100)));
  assert.equal((await client.response(1))["grpc-status"], "0");
  const types = client.frames.slice(before).map((each) => each.type);
  assert.deepEqual(types, [FrameType.SETTINGS, FrameType.DATA, FrameType.HEADERS]);
}, setting(4, 0));

rawTest("a header table of zero is acknowledged with a table size update", async (client) => {
  await client.send(client.unary(1), client.unary(3));
  await Promise.all([client.response(1), client.response(3)]);
  const blocks = client.frames.filter((each) => each.type === FrameType.HEADERS);
  assert.deepEqual(blocks.map((each) => each.payload[0] === 0x20), [true, false, false, false]);
}, setting(1, 0));

rawTest("equal header blocks are understood alike after the table has changed", async (client) => {
  // Index 62 is x-a in the first call and x-b in the second, so an equal block differs in meaning.
  const insert = (name: string) => [0x40, 3, ...new TextEncoder().encode(name), 1, 0x31];
  const path = (text: string) => encodeBlock(requestFields({ ":path": text }));
  const call = (id: number, ...parts: Uint8Array[]) =>
    concat(
      frame(FrameType.HEADERS, Flag.END_HEADERS, id, concat(...parts)),
      frame(FrameType.DATA, Flag.END_STREAM, id, prefixed([])),
    );
  const unary = path("/grpc.test.v1.Echo/Unary");
  const indexed = concat(unary, Uint8Array.of(0xbe));
  await client.send(call(1, unary, Uint8Array.from(insert("x-a"))));
  await client.send(call(3, indexed), call(5, indexed));
  await client.send(
    call(7, unary, Uint8Array.from([0x40, 5, ...new TextEncoder().encode("x-bin"), 1, 0x21])),
  );
  for (const id of [1, 3, 5]) assert.equal((await client.response(id))["grpc-status"], "0");
  assert.equal((await client.response(7))["grpc-status"], "3");
  await client.send(call(9, indexed));
  assert.equal((await client.response(9))["grpc-status"], "3");
});

Deno.test("300 calls, idle, GOAWAY: the server lives on", async () => {
  const { server, port } = await startServer();
  for (let round = 0; round < 5; round++) {
    const client = await RawPeer.open(port);
    for (let id = 1; id <= 600; id += 2) {
      await client.send(client.unary(id));
      await client.response(id);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    await client.send(frame(FrameType.GOAWAY, 0, 0, new Uint8Array(8)));
    await client.send(client.unary(601));
    assert.equal((await client.response(601))["grpc-status"], "0");
    client.close();
  }
  const last = await RawPeer.open(port);
  await last.send(last.unary(1));
  assert.equal((await last.response(1))["grpc-status"], "0");
  last.close();
  await server.shutdown({ grace_ms: 0 });
  assert.equal(server.stats.calls_ok, 5 * 301 + 1);
});

Deno.test("random frames never stop the server", async () => {
  const { server, port } = await startServer({ bounds: { sweep_interval_ms: 5 } });
  let seed = 12345;
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor(seed / 2 ** 31 * below);
  };
  for (let round = 0; round < 60; round++) {
    const client = await RawPeer.open(port);
    for (let count = 0; count < 40 && !client.ended; count++) {
      const payload = Uint8Array.from({ length: random(40) }, () => random(256));
      const id = random(3) === 0 ? 0 : 1 + 2 * random(6);
      const sound = random(2) === 0 ? client.headers(1 + 2 * count, random(64)) : new Uint8Array(0);
      await client.send(sound, frame(random(11), random(64), id, payload));
    }
    client.close();
  }
  const last = await RawPeer.open(port);
  await last.send(last.unary(1));
  assert.equal((await last.response(1))["grpc-status"], "0");
  last.close();
  await server.shutdown({ grace_ms: 0 });
  assert.equal(server.stats.buffered_bytes, 0);
  assert.equal(server.stats.connections_open, 0);
});
