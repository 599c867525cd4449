import assert from "node:assert/strict";
import { encodeBlock } from "../hpack/encoder.ts";
import { Channel, type ChannelOptions, Code, createClient, type GrpcError } from "../mod.ts";
import { Echo } from "../gen/echo_pb.ts";
import { startServer } from "../testing/echo_server.ts";
import { errorOf, type Hostile, hostileTest, sealedTest } from "../testing/hostile_server.ts";
import {
  concat,
  ErrorCode,
  Flag,
  frame,
  FrameType,
  prefixed,
  type RawPeer,
  setting,
  uint32,
} from "../testing/raw_peer.ts";

sealedTest("a channel says how it stands, and connects with its first call", async () => {
  const { server, target } = await startServer();
  const channel = new Channel(target);
  const client = createClient(Echo, channel);
  assert.equal(channel.state, "idle");
  assert.equal(server.stats.connections_accepted, 0);
  const call = client.unary({});
  assert.equal(channel.state, "connecting");
  await call;
  assert.equal(channel.state, "ready");
  await channel.close();
  assert.equal(channel.state, "shutdown");
  assert.equal((await errorOf(client.unary({}))).code, Code.CANCELLED);
  await server.shutdown();
});

sealedTest("a failed connect is UNAVAILABLE with its reason, and tried again later", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const channel = new Channel(`127.0.0.1:${port}`, { backoff: { initial_ms: 40, max_ms: 40 } });
  const client = createClient(Echo, channel);
  const error = await errorOf(client.unary({}));
  assert.equal(error.code, Code.UNAVAILABLE);
  assert.match(
    error.message,
    new RegExp(`cannot connect to \`127.0.0.1:${port}\`: .*refused`, "i"),
  );
  assert.equal(channel.state, "transient_failure");
  assert.equal((await errorOf(client.unary({}))).code, Code.UNAVAILABLE);
  const { server } = await startServer();
  const late = await server.listen({ transport: "tcp", hostname: "127.0.0.1", port });
  while (channel.state === "transient_failure") await new Promise((ok) => setTimeout(ok, 5));
  assert.equal((await client.unary({ text: "x" })).text, "x");
  await channel.close();
  await late.close();
  await server.shutdown();
});

sealedTest("targets that make no sense are refused at once", () => {
  for (const target of ["", "host", "host:0", "host:99999", "unix:", "a b:1", "http://a:1"]) {
    assert.throws(() => new Channel(target), TypeError, target);
  }
  assert.throws(() => new Channel("a:1", { tls: { cert: "x" } }), TypeError);
  assert.throws(() => new Channel("a:1", { max_receive_message_bytes: -1 }), RangeError);
  assert.throws(() => new Channel("a:1", { idle_timeout_ms: NaN }), RangeError);
  assert.throws(() => new Channel("a:1", { backoff: { initial_ms: 0, max_ms: 1 } }), RangeError);
  assert.throws(() => new Channel("a:1", { authority: "a\nb" }), TypeError);
  assert.throws(() => new Channel("a:1", { authority: "" }), TypeError);
  const random = { load_balancing: "random" } as unknown as ChannelOptions;
  assert.throws(() => new Channel("a:1", random), /load_balancing is `random`/);
});

sealedTest("a server that never shakes hands does not hold calls forever", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const channel = new Channel(`127.0.0.1:${listener.addr.port}`, { connect_timeout_ms: 50 });
  const client = createClient(Echo, channel);
  const error = await errorOf(client.unary({}, { timeout_ms: 10 }));
  assert.equal(error.code, Code.DEADLINE_EXCEEDED);
  const second = await errorOf(client.unary({}));
  assert.equal(second.code, Code.UNAVAILABLE);
  assert.match(second.message, /within 50 ms/);
  await channel.close();
  listener.close();
});

sealedTest("a server that does not speak HTTP/2 is named so", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const answering = (async () => {
    const conn = await listener.accept();
    await conn.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"));
    await conn.read(new Uint8Array(1000));
    conn.close();
  })();
  const channel = new Channel(`127.0.0.1:${listener.addr.port}`);
  const error = await errorOf(createClient(Echo, channel).unary({}));
  assert.equal(error.code, Code.UNAVAILABLE);
  assert.match(error.message, /no HTTP\/2 at the other end/);
  await answering;
  await channel.close();
  listener.close();
});

hostileTest("GOAWAY: begun calls finish, others move to a new connection", async (test) => {
  const first_call = test.client.unary({ count: 1 });
  const first = await test.accept();
  await first.request();
  const second_call = test.client.unary({ count: 2 });
  await first.request();
  await first.send(frame(FrameType.GOAWAY, 0, 0, [...uint32(1), ...uint32(0)]));
  const second = await test.accept();
  await second.send(second.answer(await second.request(), [0x18, 22]));
  assert.equal((await second_call).count, 22);
  await first.send(first.answer(1, [0x18, 11]));
  assert.equal((await first_call).count, 11);
  await first.untilEnded();
  const third_call = test.client.unary({});
  await second.send(second.answer(await second.request()));
  await third_call;
});

hostileTest("300 calls, idle, GOAWAY: the process lives and connects anew", async (test) => {
  for (let round = 0; round < 3; round++) {
    let accepted: Promise<RawPeer> | undefined = test.accept();
    let peer: RawPeer | undefined;
    for (let count = 0; count < 300; count++) {
      const call = test.client.unary({});
      if (accepted !== undefined) peer = await accepted;
      accepted = undefined;
      assert.ok(peer);
      await peer.send(peer.answer(await peer.request()));
      await call;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    await peer?.send(frame(FrameType.GOAWAY, 0, 0, [...uint32(599), ...uint32(0)]));
    await peer?.untilEnded();
    peer?.close();
  }
});

hostileTest("a call refused unprocessed is sent again, one begun is not", async (test) => {
  const call = test.client.unary({});
  const peer = await test.accept();
  const refused = await peer.request();
  await peer.send(frame(FrameType.RST_STREAM, 0, refused, uint32(ErrorCode.REFUSED_STREAM)));
  await peer.send(peer.answer(await peer.request(), [0x18, 5]));
  assert.equal((await call).count, 5);
  const lost = test.client.unary({});
  const begun = await peer.request();
  const head = encodeBlock([":status", "200", "content-type", "application/grpc"]);
  await peer.send(
    frame(FrameType.HEADERS, 4, begun, head),
    frame(FrameType.RST_STREAM, 0, begun, uint32(ErrorCode.REFUSED_STREAM)),
  );
  assert.equal((await errorOf(lost)).code, Code.UNAVAILABLE);
});

hostileTest("a call refused again and again ends with UNAVAILABLE", async (test) => {
  const call = test.client.unary({});
  const peer = await test.accept();
  for (let count = 0; count < 3; count++) {
    const refused = await peer.request();
    await peer.send(frame(FrameType.RST_STREAM, 0, refused, uint32(ErrorCode.REFUSED_STREAM)));
  }
  assert.equal((await errorOf(call)).code, Code.UNAVAILABLE);
});

const RESETS: readonly (readonly [keyof typeof ErrorCode, Code])[] = [
  ["NO_ERROR", Code.INTERNAL],
  ["PROTOCOL_ERROR", Code.INTERNAL],
  ["INTERNAL_ERROR", Code.INTERNAL],
  ["FLOW_CONTROL_ERROR", Code.INTERNAL],
  ["CANCEL", Code.CANCELLED],
  ["ENHANCE_YOUR_CALM", Code.RESOURCE_EXHAUSTED],
  ["INADEQUATE_SECURITY", Code.PERMISSION_DENIED],
];
for (const [name, code] of RESETS) {
  hostileTest(`a reset with ${name} becomes its gRPC status`, async ({ client, accept }) => {
    const call = client.unary({});
    const peer = await accept();
    const id = await peer.request();
    await peer.send(frame(FrameType.RST_STREAM, 0, id, uint32(ErrorCode[name])));
    const error = await errorOf(call);
    assert.equal(error.code, code);
    assert.match(error.message, new RegExp(name));
  });
}

/** Answers one request with raw frames and returns how the call ended. */
async function endOf(test: Hostile, make: (id: number) => Uint8Array): Promise<GrpcError> {
  const call = test.client.unary({});
  const peer = await test.accept();
  await peer.send(make(await peer.request()));
  return await errorOf(call);
}

const headers = (id: number, flags: number, fields: readonly string[]) =>
  frame(FrameType.HEADERS, flags, id, encodeBlock(fields));
const HEAD = [":status", "200", "content-type", "application/grpc"];

const ANSWERS: readonly (readonly [string, (id: number) => Uint8Array, Code])[] = [
  ["HTTP 503", (id) => headers(id, 5, [":status", "503"]), Code.UNAVAILABLE],
  ["HTTP 404", (id) => headers(id, 5, [":status", "404"]), Code.UNIMPLEMENTED],
  ["HTTP 401", (id) => headers(id, 4, [":status", "401"]), Code.UNAUTHENTICATED],
  ["HTTP 418", (id) => headers(id, 5, [":status", "418"]), Code.UNKNOWN],
  ["HTML", (id) => headers(id, 4, [":status", "200", "content-type", "text/html"]), Code.UNKNOWN],
  [
    "an unknown message encoding",
    (id) => headers(id, 4, [...HEAD, "grpc-encoding", "snappy"]),
    Code.INTERNAL,
  ],
  ["no status", (id) => headers(id, 5, HEAD), Code.UNKNOWN],
  [
    "a status that is no number",
    (id) => headers(id, 5, [...HEAD, "grpc-status", "x"]),
    Code.UNKNOWN,
  ],
  ["status 99", (id) => headers(id, 5, [...HEAD, "grpc-status", "99"]), Code.UNKNOWN],
  [
    "OK without a message",
    (id) => headers(id, 5, [...HEAD, "grpc-status", "0"]),
    Code.UNIMPLEMENTED,
  ],
  ["data before headers", (id) => frame(FrameType.DATA, 0, id, prefixed([])), Code.INTERNAL],
  [
    "the end without trailers",
    (id) => concat(headers(id, 4, HEAD), frame(FrameType.DATA, 1, id, prefixed([]))),
    Code.INTERNAL,
  ],
  [
    "two messages",
    (id) =>
      concat(
        headers(id, 4, HEAD),
        frame(FrameType.DATA, 0, id, prefixed([])),
        frame(FrameType.DATA, 0, id, prefixed([])),
        headers(id, 5, ["grpc-status", "0"]),
      ),
    Code.UNIMPLEMENTED,
  ],
  [
    "half a message",
    (id) =>
      concat(
        headers(id, 4, HEAD),
        frame(FrameType.DATA, 0, id, [0, 0, 0, 0, 9, 1]),
        headers(id, 5, ["grpc-status", "0"]),
      ),
    Code.INTERNAL,
  ],
  [
    "a compressed message",
    (id) => concat(headers(id, 4, HEAD), frame(FrameType.DATA, 0, id, prefixed([1], 1))),
    Code.INTERNAL,
  ],
  [
    "a message too long",
    (id) => concat(headers(id, 4, HEAD), frame(0, 0, id, [0, ...uint32(2 ** 31)])),
    Code.RESOURCE_EXHAUSTED,
  ],
  [
    "a message that is not protobuf",
    (id) =>
      concat(
        headers(id, 4, HEAD),
        frame(FrameType.DATA, 0, id, prefixed([0xff])),
        headers(id, 5, ["grpc-status", "0"]),
      ),
    Code.INTERNAL,
  ],
  ["metadata that is not base64", (id) => headers(id, 4, [...HEAD, "x-bin", "!"]), Code.INTERNAL],
  ["a head without :status", (id) => headers(id, 4, ["content-type", "x"]), Code.INTERNAL],
  ["an upper-case name", (id) => headers(id, 4, [...HEAD, "X-A", "1"]), Code.INTERNAL],
  ["headers too large", (id) => headers(id, 4, [...HEAD, "x", "y".repeat(17_000)]), Code.INTERNAL],
  ["broken HPACK", (id) => frame(FrameType.HEADERS, 4, id, [0x80]), Code.UNAVAILABLE],
  ["a push promise", (id) => frame(FrameType.PUSH_PROMISE, 4, id, uint32(2)), Code.UNAVAILABLE],
  ["a frame too large", (id) => frame(FrameType.DATA, 0, id, [], 99_999), Code.UNAVAILABLE],
  ["headers on an idle stream", () => headers(99, 5, HEAD), Code.UNAVAILABLE],
];
for (const [what, make, code] of ANSWERS) {
  hostileTest(`a server that answers with ${what} ends the call`, async (test) => {
    assert.equal((await endOf(test, make)).code, code);
  });
}

hostileTest("informational answers are skipped", async ({ client, accept }) => {
  const call = client.unary({});
  const peer = await accept();
  const id = await peer.request();
  await peer.send(headers(id, 4, [":status", "103"]), headers(id, 4, [":status", "100"]));
  await peer.send(peer.answer(id, [0x18, 9]));
  assert.equal((await call).count, 9);
});

hostileTest("a lost connection ends its calls with UNAVAILABLE and is replaced", async (test) => {
  const lost = test.client.unary({});
  const first = await test.accept();
  await first.request();
  first.close();
  assert.equal((await errorOf(lost)).code, Code.UNAVAILABLE);
  const call = test.client.unary({});
  const second = await test.accept();
  await second.send(second.answer(await second.request()));
  await call;
});

hostileTest("calls wait for the server's stream limit", async ({ client, accept }) => {
  const calls = Array.from({ length: 5 }, (_, count) => client.unary({ count }));
  const peer = await accept(setting(3, 2));
  let open = 0;
  for (let done = 0; done < 5; done++) {
    const id = await peer.request();
    await peer.alive();
    open = peer.frames.filter((each) => each.type === FrameType.HEADERS).length - done;
    assert.ok(open <= 2, `${open} streams are open`);
    await peer.send(peer.answer(id));
  }
  await Promise.all(calls);
});

hostileTest("messages read before a failure are delivered before it", async (test) => {
  const seen: number[] = [];
  const reading = (async () => {
    for await (const answer of test.client.expand({})) seen.push(answer.count);
  })();
  const peer = await test.accept();
  const id = await peer.request();
  await peer.send(
    headers(id, 4, HEAD),
    frame(FrameType.DATA, 0, id, concat(prefixed([0x18, 1]), prefixed([0x18, 2]))),
    headers(id, 5, ["grpc-status", "10", "grpc-message", "h%C3%A4%"]),
  );
  const error = await errorOf(reading);
  assert.deepEqual(seen, [1, 2]);
  assert.equal(error.code, Code.ABORTED);
  assert.equal(error.message, "hä%");
});

hostileTest("a silent server is noticed by keepalive", async ({ client, accept }) => {
  const call = client.unary({});
  const peer = await accept();
  await peer.request();
  const error = await errorOf(call);
  assert.equal(error.code, Code.UNAVAILABLE);
  assert.match(error.message, /keepalive/);
  assert.equal(peer.frames.filter((each) => each.type === FrameType.PING).length, 1);
}, { keepalive_interval_ms: 20, keepalive_timeout_ms: 20 });

hostileTest("a server that floods is left", async ({ client, accept }) => {
  const call = client.unary({});
  const peer = await accept();
  await peer.request();
  await peer.send(concat(...new Array(2000).fill(frame(FrameType.PING, 0, 0, new Uint8Array(8)))));
  assert.equal((await errorOf(call)).code, Code.UNAVAILABLE);
  assert.equal(await peer.goaway(), "ENHANCE_YOUR_CALM");
});

hostileTest("the call's deadline travels to the server", async ({ client, accept }) => {
  const call = client.unary({}, { timeout_ms: 5000 });
  const peer = await accept();
  const id = await peer.request();
  const block = peer.frames.find((each) => each.type === FrameType.HEADERS)?.payload;
  assert.ok(block);
  const { fields } = peer.decoder.decode(block, 0, block.length, 10_000);
  const timeout = fields[fields.indexOf("grpc-timeout") + 1] ?? "";
  assert.match(timeout, /^\d{4}m$/);
  assert.ok(Number(timeout.slice(0, -1)) <= 5000);
  await peer.send(peer.answer(id));
  await call;
});

hostileTest("closing a channel ends its calls with CANCELLED and says goodbye", async (test) => {
  const open = test.client.unary({});
  const peer = await test.accept();
  await peer.request();
  const [error] = await Promise.all([errorOf(open), test.channel.close()]);
  assert.equal(error.code, Code.CANCELLED);
  await peer.untilEnded();
  assert.ok(peer.frames.some((each) => each.type === FrameType.GOAWAY));
  assert.ok(
    peer.frames.some((each) => each.type === FrameType.RST_STREAM && (each.flags & Flag.ACK) === 0),
  );
});
