import assert from "node:assert/strict";
import { gunzipSync, gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import type { Bounds } from "../bounds.ts";
import { type EchoMessage, EchoMessageSchema } from "../gen/echo_pb.ts";
import type { CallContext, ServerOptions } from "../mod.ts";
import { startServer, type TestServer } from "../testing/echo_server.ts";
import { concat, Flag, frame, FrameType, prefixed, RawPeer } from "../testing/raw_peer.ts";
import { requestFields } from "../testing/raw_peer.ts";

const GZIP = { "grpc-encoding": "gzip", "grpc-accept-encoding": "identity,deflate,gzip" };
const END = Flag.END_STREAM;

type Handlers = Parameters<typeof startServer>[1];

/** Runs a test on one raw connection to an echo server. */
function rawTest(
  name: string,
  run: (client: RawPeer, test: TestServer) => Promise<void>,
  options: Omit<ServerOptions, "bounds"> & { readonly bounds?: Partial<Bounds> } = {},
  handlers: Handlers = {},
): void {
  Deno.test(name, async () => {
    const bounds = { sweep_interval_ms: 5, linger_timeout_ms: 20, ...options.bounds };
    const test = await startServer({ ...options, bounds }, handlers);
    const client = await RawPeer.open(test.port);
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

const encode = (init: { text?: string; payload?: Uint8Array; count?: number }) =>
  toBinary(EchoMessageSchema, create(EchoMessageSchema, init));
const gzipped = (message: Uint8Array) => prefixed(gzipSync(message), 1);
/** A message that compresses well. */
const zeros = (bytes: number) => encode({ payload: new Uint8Array(bytes) });

/** A whole call of one request body. */
function call(
  client: RawPeer,
  stream_id: number,
  body: Uint8Array,
  overrides: Readonly<Record<string, string | undefined>> = GZIP,
): Uint8Array<ArrayBuffer> {
  const parts = [client.headers(stream_id, Flag.END_HEADERS, requestFields(overrides))];
  for (let at = 0; at < body.length; at += 16_384) {
    const end = Math.min(body.length, at + 16_384);
    const flags = end === body.length ? END : 0;
    parts.push(frame(FrameType.DATA, flags, stream_id, body.subarray(at, end)));
  }
  if (body.length === 0) parts.push(frame(FrameType.DATA, END, stream_id));
  return concat(...parts);
}

/** The messages of a response, each with its flag. */
function messagesOf(client: RawPeer, stream_id: number): [flag: number, message: Uint8Array][] {
  const frames = client.frames.filter((each) =>
    each.type === FrameType.DATA && each.stream_id === stream_id
  );
  const data = concat(...frames.map((each) => each.payload));
  const messages: [number, Uint8Array][] = [];
  for (let at = 0; at < data.length;) {
    const length = new DataView(data.buffer).getUint32(at + 1);
    messages.push([data[at] ?? 0, data.slice(at + 5, at + 5 + length)]);
    at += 5 + length;
  }
  return messages;
}

rawTest("a compressed request is understood, and answered plain by default", async (client) => {
  const message = encode({ text: "hello ".repeat(100), count: 7 });
  await client.send(call(client, 1, gzipped(message)));
  const response = await client.response(1);
  assert.equal(response["grpc-status"], "0");
  assert.equal(response["grpc-encoding"], undefined);
  assert.equal(response["grpc-accept-encoding"], "identity,gzip");
  assert.deepEqual(messagesOf(client, 1), [[0, message]]);
});

rawTest("a client that does not speak of encodings hears nothing of them", async (client) => {
  await client.send(call(client, 1, prefixed(zeros(5000)), {}));
  const response = await client.response(1);
  assert.equal(response["grpc-accept-encoding"], undefined);
  assert.equal(response["grpc-encoding"], undefined);
  assert.equal(messagesOf(client, 1)[0]?.[0], 0);
}, { compression: "gzip" });

rawTest("compressed and plain messages mix in one stream", async (client) => {
  const messages = Array.from({ length: 20 }, (_, count) => encode({ count, text: "x" }));
  const body = concat(
    ...messages.map((each, index) => index % 2 === 0 ? prefixed(each) : gzipped(each)),
  );
  await client.send(call(client, 1, body, { ...GZIP, ":path": "/grpc.test.v1.Echo/Converse" }));
  assert.equal((await client.response(1))["grpc-status"], "0");
  assert.deepEqual(messagesOf(client, 1).map(([, message]) => message), messages);
});

rawTest("a compressed request split into frames of one byte is understood", async (client) => {
  await client.send(client.headers(1, Flag.END_HEADERS, requestFields(GZIP)));
  const body = gzipped(encode({ text: "hi" }));
  for (const [index, byte] of body.entries()) {
    await client.send(frame(FrameType.DATA, index + 1 === body.length ? END : 0, 1, [byte]));
  }
  assert.equal((await client.response(1))["grpc-status"], "0");
});

const whole = gzipSync(encode({ text: "hello hello hello" }));
const UNSOUND: readonly (readonly [string, Uint8Array, Record<string, string>, string])[] = [
  ["a compressed message and no encoding", prefixed(whole, 1), {}, "13"],
  ["a compressed message as identity", prefixed(whole, 1), { "grpc-encoding": "identity" }, "13"],
  ["flag 2", prefixed(whole, 2), GZIP, "13"],
  ["a message that is no gzip", prefixed([1, 2, 3, 4], 1), GZIP, "13"],
  ["a cut gzip", prefixed(whole.subarray(0, -1), 1), GZIP, "13"],
  ["bytes after a gzip", prefixed([...whole, 9, 9], 1), GZIP, "13"],
  ["an empty compressed message", prefixed([], 1), GZIP, "13"],
  ["a gzip of what is no protobuf", gzipped(Uint8Array.of(0xff, 0xff)), GZIP, "13"],
  ["two compressed messages", concat(prefixed(whole, 1), prefixed(whole, 1)), GZIP, "12"],
  ["an unfinished compressed message", prefixed(whole, 1).subarray(0, -1), GZIP, "13"],
  ["no message", new Uint8Array(0), GZIP, "12"],
];
for (const [what, body, overrides, code] of UNSOUND) {
  rawTest(`a unary request of ${what} ends with status ${code}`, async (client) => {
    await client.send(call(client, 1, body, overrides));
    assert.equal((await client.response(1))["grpc-status"], code);
    await client.alive();
  });
  if (code === "12") continue;
  rawTest(`a streamed request of ${what} ends with status ${code}`, async (client) => {
    const path = { ":path": "/grpc.test.v1.Echo/Collect" };
    await client.send(call(client, 1, body, { ...overrides, ...path }));
    assert.equal((await client.response(1))["grpc-status"], code);
    await client.alive();
  });
}

rawTest("an unknown encoding is answered with those that are read", async (client) => {
  await client.send(call(client, 1, prefixed([]), { "grpc-encoding": "deflate" }));
  const response = await client.response(1);
  assert.equal(response["grpc-status"], "12");
  assert.equal(response["grpc-accept-encoding"], "identity,gzip");
  assert.match(response["grpc-message"] ?? "", /`deflate`/);
});

const EXACT = zeros(50_000);
for (const [what, limit, code] of [["exactly at", 0, "0"], ["one byte over", -1, "8"]] as const) {
  for (const method of ["Unary", "Collect"]) {
    rawTest(`a message ${what} the bound once decompressed: ${method}`, async (client, test) => {
      const path = { ":path": `/grpc.test.v1.Echo/${method}` };
      await client.send(call(client, 1, gzipped(EXACT), { ...GZIP, ...path }));
      assert.equal((await client.response(1))["grpc-status"], code);
      assert.equal(test.server.stats.refused.message_bytes, code === "0" ? undefined : 1);
      await client.alive();
    }, { bounds: { receive_message_bytes: EXACT.length + limit } });
  }
}

rawTest("a message over the bound as it travels is refused unread", async (client, test) => {
  await client.send(call(client, 1, Uint8Array.of(1, 0, 0, 4, 1)));
  assert.equal((await client.response(1))["grpc-status"], "8");
  assert.equal(test.server.stats.refused.message_bytes, 1);
}, { bounds: { receive_message_bytes: 1024 } });

for (const method of ["Unary", "Collect"]) {
  const path = { ":path": `/grpc.test.v1.Echo/${method}` };
  rawTest(
    `bombs in a loop cost the connection, not the server: ${method}`,
    async (client, test) => {
      const member = gzipSync(new Uint8Array(16 * 1024 * 1024));
      const bomb = prefixed(member, 1);
      const calls = Array.from(
        { length: 100 },
        (_, n) => call(client, 2 * n + 1, bomb, { ...GZIP, ...path }),
      );
      await client.send(...calls);
      assert.equal(await client.goaway(), "ENHANCE_YOUR_CALM");
      // 32 MiB of burst and 4 MiB each, with some earned back meanwhile.
      const refused = test.server.stats.refused;
      assert.ok((refused.message_bytes ?? 0) <= 12, `${refused.message_bytes} were tried`);
      assert.ok((refused.decompression ?? 0) >= 1);
      const other = await RawPeer.open(test.port);
      await other.send(call(other, 1, gzipped(encode({ text: "hi" }))));
      assert.equal((await other.response(1))["grpc-status"], "0");
      other.close();
    },
  );
}

rawTest("messages that are no gzip cost the connection too", async (client) => {
  for (let id = 1; !client.ended; id += 200) {
    assert.ok(id < 20_000, "the server never minds");
    const ids = Array.from({ length: 100 }, (_, n) => id + 2 * n);
    await client.send(...ids.map((each) => call(client, each, prefixed([1, 2], 1))));
    await Promise.race([client.alive().catch(() => {}), client.untilEnded()]);
  }
  assert.equal(await client.goaway(), "ENHANCE_YOUR_CALM");
});

rawTest(
  "a client that sends what compresses well keeps its connection",
  async (client) => {
    const text = "2026-01-01T00:00:00Z some line of a log, much like the others\n".repeat(3000);
    const message = encode({ text: `${text}${crypto.randomUUID()}` });
    const body = gzipped(message);
    const counted = message.length - 20 * body.length;
    const rounds = 40;
    assert.ok(counted * rounds < 32 * 1024 * 1024, "the test sends more than the bound explains");
    for (let n = 0; n < rounds; n++) {
      await client.send(call(client, 2 * n + 1, body));
      assert.equal((await client.response(2 * n + 1))["grpc-status"], "0");
    }
    await client.alive();
  },
  {},
  { unary: () => create(EchoMessageSchema) },
);

/** A handler that waits until it is let go. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { promise, open: resolve };
}

const held = gate();
rawTest(
  "what a handler holds of decompressed messages counts as buffered until it is done",
  async (client, test) => {
    const { stats } = test.server;
    const body = gzipped(zeros(100_000));
    for (const id of [1, 3]) await client.send(call(client, id, body));
    const path = { ":path": "/grpc.test.v1.Echo/Collect" };
    await client.send(call(client, 5, body, { ...GZIP, ...path }));
    // The third does not fit any more, in either kind.
    assert.equal((await client.response(5))["grpc-status"], "8");
    await client.send(call(client, 7, body));
    assert.equal((await client.response(7))["grpc-status"], "8");
    assert.equal(stats.refused.buffer_bytes, 2);
    assert.ok(stats.buffered_bytes > 200_000, `${stats.buffered_bytes} bytes`);
    // A cancelled call's handler still holds its message.
    await client.send(frame(FrameType.RST_STREAM, 0, 1, [0, 0, 0, 8]));
    await client.alive();
    assert.ok(stats.buffered_bytes > 200_000, `${stats.buffered_bytes} bytes`);
    held.open();
    assert.equal((await client.response(3))["grpc-status"], "0");
    assert.equal(stats.buffered_bytes, 0);
    await client.send(call(client, 9, body));
    assert.equal((await client.response(9))["grpc-status"], "0");
  },
  { bounds: { connection_buffer_bytes: 250_000 } },
  { unary: async () => (await held.promise, create(EchoMessageSchema)) },
);

const judged = gate();
rawTest(
  "a request is decompressed only once interceptors let it in",
  async (client, test) => {
    await client.send(call(client, 1, gzipped(zeros(1_000_000))));
    await client.alive();
    const { buffered_bytes } = test.server.stats;
    assert.ok(buffered_bytes > 0 && buffered_bytes < 5000, `${buffered_bytes} bytes`);
    judged.open();
    assert.equal((await client.response(1))["grpc-status"], "0");
  },
  { interceptors: [() => judged.promise] },
  { unary: () => create(EchoMessageSchema) },
);

const LARGE = "large ".repeat(1000);
const streamed: Handlers = {
  expand: async function* () {
    for (const text of [LARGE, "small", LARGE]) {
      yield await Promise.resolve(create(EchoMessageSchema, { text }));
    }
  },
};

rawTest(
  "messages are compressed where asked for and worth it, each for itself",
  async (client) => {
    const path = { ":path": "/grpc.test.v1.Echo/Expand" };
    await client.send(call(client, 1, prefixed([]), { ...GZIP, ...path }));
    assert.equal((await client.response(1))["grpc-encoding"], "gzip");
    const [first, second, third] = messagesOf(client, 1);
    const large = encode({ text: LARGE });
    assert.deepEqual([first?.[0], second?.[0], third?.[0]], [1, 0, 1]);
    assert.deepEqual(Uint8Array.from(gunzipSync(first?.[1] ?? new Uint8Array(0))), large);
    assert.deepEqual(second?.[1], encode({ text: "small" }));
    // Random bytes would only grow.
    const random = encode({ payload: crypto.getRandomValues(new Uint8Array(5000)) });
    await client.send(call(client, 3, prefixed(random)));
    assert.equal((await client.response(3))["grpc-encoding"], "gzip");
    assert.deepEqual(messagesOf(client, 3), [[0, random]]);
  },
  { compression: "gzip" },
  streamed,
);

rawTest("a compressed answer larger than the windows arrives whole", async (client) => {
  const payload = new Uint8Array(200_000);
  crypto.getRandomValues(payload.subarray(0, 60_000));
  const message = encode({ payload });
  await client.send(call(client, 1, prefixed(message)));
  // A window of 65535 lets the first part go; what waits keeps its flag.
  await client.alive();
  await client.send(
    frame(FrameType.WINDOW_UPDATE, 0, 1, [0, 15, 0, 0]),
    frame(FrameType.WINDOW_UPDATE, 0, 0, [0, 15, 0, 0]),
  );
  await client.response(1);
  const [answer] = messagesOf(client, 1);
  assert.equal(answer?.[0], 1);
  assert.deepEqual(Uint8Array.from(gunzipSync(answer?.[1] ?? new Uint8Array(0))), message);
}, { compression: "gzip" });

const decisions: Handlers = {
  unary: (request: EchoMessage, context: CallContext) => {
    context.compression = request.count === 1 ? "gzip" : "identity";
    return request;
  },
  expand: async function* (_request: EchoMessage, context: CallContext) {
    for (const compression of ["gzip", "identity", "gzip"] as const) {
      context.compression = compression;
      yield await Promise.resolve(create(EchoMessageSchema, { text: LARGE }));
    }
  },
  converse: async function* (_requests, context: CallContext) {
    for (const compression of ["identity", "gzip"] as const) {
      context.compression = compression;
      yield await Promise.resolve(create(EchoMessageSchema, { text: LARGE }));
    }
  },
};

rawTest(
  "a handler decides for its call, before the headers or message by message",
  async (client) => {
    const flags = async (id: number, message: Uint8Array, path: string) => {
      const overrides = { ...GZIP, ":path": `/grpc.test.v1.Echo/${path}` };
      await client.send(call(client, id, prefixed(message), overrides));
      const encoding = (await client.response(id))["grpc-encoding"];
      return [encoding, ...messagesOf(client, id).map(([flag]) => flag)];
    };
    assert.deepEqual(await flags(1, encode({ text: LARGE, count: 1 }), "Unary"), ["gzip", 1]);
    assert.deepEqual(await flags(3, encode({ text: LARGE }), "Unary"), [undefined, 0]);
    assert.deepEqual(await flags(5, encode({}), "Expand"), ["gzip", 1, 0, 1]);
    assert.deepEqual(await flags(7, encode({}), "Converse"), [undefined, 0, 0]);
  },
  {},
  decisions,
);
