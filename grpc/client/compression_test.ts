import assert from "node:assert/strict";
import { gunzipSync, gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Echo, EchoMessageSchema } from "../gen/echo_pb.ts";
import { encodeBlock } from "../hpack/encoder.ts";
import {
  Channel,
  type ChannelOptions,
  type Client,
  Code,
  createClient,
  GrpcError,
} from "../mod.ts";
import {
  concat,
  ErrorCode,
  Flag,
  frame,
  FrameType,
  prefixed,
  RawPeer,
  uint32,
} from "../testing/raw_peer.ts";

const LARGE = "large ".repeat(1000);
const HEAD = [":status", "200", "content-type", "application/grpc"];
const GZIP = [...HEAD, "grpc-encoding", "gzip"];
const UNARY = "/grpc.test.v1.Echo/Unary";

const encode = (init: { text?: string; payload?: Uint8Array }) =>
  toBinary(EchoMessageSchema, create(EchoMessageSchema, init));
const gzipped = (message: Uint8Array) => prefixed(gzipSync(message), 1);

interface Test {
  readonly client: Client<typeof Echo>;
  readonly listener: Deno.TcpListener;
  accept(): Promise<RawPeer>;
}

/** Runs a test on a client whose server is written by hand. */
function rawTest(
  name: string,
  run: (test: Test) => Promise<void>,
  options: ChannelOptions = {},
): void {
  Deno.test(name, async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const bounds = { sweep_interval_ms: 5, linger_timeout_ms: 20, ...options.bounds };
    const channel = new Channel(`127.0.0.1:${listener.addr.port}`, { ...options, bounds });
    const peers: RawPeer[] = [];
    const accept = async () => {
      const peer = await RawPeer.accept(listener);
      peers.push(peer);
      return peer;
    };
    try {
      await run({ client: createClient(Echo, channel), listener, accept });
    } finally {
      for (const peer of peers) peer.close();
      await channel.close();
      listener.close();
    }
  });
}

async function errorOf(call: Promise<unknown>): Promise<GrpcError> {
  const reason = await call.then(() => undefined, (reason: unknown) => reason);
  assert.ok(reason instanceof GrpcError, `it ended with ${reason}`);
  return reason;
}

/** A whole answer. */
function answer(stream_id: number, head: readonly string[], ...data: readonly Uint8Array[]) {
  return concat(
    frame(FrameType.HEADERS, Flag.END_HEADERS, stream_id, encodeBlock(head)),
    ...data.map((each) => frame(FrameType.DATA, 0, stream_id, each)),
    frame(FrameType.HEADERS, 5, stream_id, encodeBlock(["grpc-status", "0"])),
  );
}

/** Header fields and messages of a request. */
function requestOf(peer: RawPeer, stream_id: number) {
  const fields: Record<string, string> = {};
  const data: Uint8Array[] = [];
  for (const each of peer.frames.filter((one) => one.stream_id === stream_id)) {
    if (each.type === FrameType.DATA) data.push(each.payload);
    if (each.type !== FrameType.HEADERS) continue;
    const list = peer.decoder.decode(each.payload, 0, each.payload.length, 1 << 20).fields;
    for (let at = 0; at < list.length; at += 2) fields[list[at] ?? ""] = list[at + 1] ?? "";
  }
  const bytes = concat(...data);
  const messages: { readonly flag: number; readonly message: Uint8Array }[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = new DataView(bytes.buffer).getUint32(at + 1);
    messages.push({ flag: bytes[at] ?? 0, message: bytes.slice(at + 5, at + 5 + length) });
    at += 5 + length;
  }
  return { fields, messages };
}

rawTest("a client reads compressed answers unasked, and sends plain requests", async (test) => {
  const call = test.client.unary({ text: LARGE });
  const peer = await test.accept();
  const stream = await peer.request();
  const { fields, messages } = requestOf(peer, stream);
  assert.equal(fields["grpc-accept-encoding"], "identity,gzip");
  assert.equal(fields["grpc-encoding"], undefined);
  assert.deepEqual(messages, [{ flag: 0, message: encode({ text: LARGE }) }]);
  await peer.send(answer(stream, GZIP, gzipped(encode({ text: LARGE }))));
  assert.equal((await call).text, LARGE);
});

rawTest("compressed and plain answers mix in one stream", async (test) => {
  const call = Array.fromAsync(test.client.expand({}));
  const peer = await test.accept();
  const messages = ["a", "b", "c", "d"].map((text) => encode({ text }));
  const data = messages.map((each, n) => n % 2 === 0 ? gzipped(each) : prefixed(each));
  await peer.send(answer(await peer.request(), GZIP, ...data));
  assert.deepEqual((await call).map(({ text }) => text), ["a", "b", "c", "d"]);
});

const whole = gzipSync(encode({ text: "hello hello hello" }));
const over = gzipped(encode({ payload: new Uint8Array(20_000) }));
const UNSOUND: readonly (readonly [string, readonly string[], Uint8Array, Code])[] = [
  ["a compressed answer and no encoding", HEAD, prefixed(whole, 1), Code.INTERNAL],
  [
    "a compressed answer as identity",
    [...HEAD, "grpc-encoding", "identity"],
    prefixed(whole, 1),
    Code.INTERNAL,
  ],
  ["an unknown encoding", [...HEAD, "grpc-encoding", "br"], prefixed([]), Code.INTERNAL],
  ["flag 2", GZIP, prefixed(whole, 2), Code.INTERNAL],
  ["an answer that is no gzip", GZIP, prefixed([1, 2, 3], 1), Code.INTERNAL],
  ["an answer cut in its gzip", GZIP, prefixed(whole.subarray(0, -1), 1), Code.INTERNAL],
  ["an empty compressed answer", GZIP, prefixed([], 1), Code.INTERNAL],
  ["an answer past the bound once decompressed", GZIP, over, Code.RESOURCE_EXHAUSTED],
];
for (const [what, head, data, code] of UNSOUND) {
  const bounds = { receive_message_bytes: 20_000 };
  rawTest(`${what} ends a unary call with ${code}`, async (test) => {
    const call = errorOf(test.client.unary({}));
    const peer = await test.accept();
    await peer.send(answer(await peer.request(), head, data));
    assert.equal((await call).code, code);
    await peer.alive();
  }, { bounds });
  rawTest(`${what} ends a streaming call with ${code}, after what came before`, async (test) => {
    const seen: string[] = [];
    const call = errorOf((async () => {
      for await (const { text } of test.client.expand({})) seen.push(text);
    })());
    const peer = await test.accept();
    // Everything at once: the status is there before the message is looked at.
    await peer.send(answer(await peer.request(), head, prefixed(encode({ text: "first" })), data));
    assert.equal((await call).code, code);
    if (!what.includes("unknown")) assert.deepEqual(seen, ["first"]);
    await peer.alive();
  }, { bounds });
}

rawTest("an answer of exactly the bound once decompressed is read", async (test) => {
  const payload = encode({ payload: new Uint8Array(19_000) });
  const message = concat(payload, encode({ text: "x".repeat(20_000 - payload.length - 3) }));
  assert.equal(message.length, 20_000);
  const call = test.client.unary({});
  const peer = await test.accept();
  await peer.send(answer(await peer.request(), GZIP, gzipped(message)));
  assert.equal((await call).payload.length, 19_000);
}, { bounds: { receive_message_bytes: 20_000 } });

rawTest("a server of bombs loses its connection, the next call has another", async (test) => {
  const bomb = gzipped(new Uint8Array(16 * 1024 * 1024));
  const codes = new Set<Code>();
  let call = errorOf(test.client.unary({}));
  const hostile = await test.accept();
  for (let round = 0; round < 100; round++) {
    await hostile.send(answer(await hostile.request(), GZIP, bomb));
    codes.add((await call).code);
    await Promise.race([hostile.alive().catch(() => {}), hostile.untilEnded()]);
    if (hostile.ended) break;
    call = errorOf(test.client.unary({}));
  }
  assert.equal(await hostile.goaway(), "ENHANCE_YOUR_CALM");
  assert.deepEqual([...codes], [Code.RESOURCE_EXHAUSTED]);
  const last = test.client.unary({});
  const peer = await test.accept();
  await peer.send(answer(await peer.request(), HEAD, prefixed(encode({ text: "well" }))));
  assert.equal((await last).text, "well");
}, { bounds: { decompression_burst_bytes: 32 * 1024 * 1024, decompression_bytes_per_second: 0 } });

rawTest("requests are compressed where asked for and worth it, call by call", async (test) => {
  const client = test.client;
  const calls = [
    client.unary({ text: LARGE }),
    client.unary({ text: "small" }),
    client.unary({ text: LARGE }, { compression: "identity" }),
  ];
  const peer = await test.accept();
  const seen: unknown[] = [];
  for (const _ of calls) {
    const stream = await peer.request();
    const { fields, messages } = requestOf(peer, stream);
    assert.equal(fields[":path"], UNARY);
    seen.push([fields["grpc-encoding"], messages[0]?.flag, messages.length]);
    const { flag, message = new Uint8Array() } = messages[0] ?? {};
    const plain = flag === 1 ? Uint8Array.from(gunzipSync(message)) : message;
    await peer.send(answer(stream, HEAD, prefixed(plain)));
  }
  assert.deepEqual(seen, [["gzip", 1, 1], ["gzip", 0, 1], [undefined, 0, 1]]);
  const answers = await Promise.all(calls);
  assert.deepEqual(answers.map(({ text }) => text), [LARGE, "small", LARGE]);
}, { compression: "gzip" });

rawTest("a server that does not read gzip says so, and the caller hears it", async (test) => {
  const call = errorOf(test.client.unary({ text: LARGE }, { compression: "gzip" }));
  const peer = await test.accept();
  const stream = await peer.request();
  const text = "grpc: Decompressor is not installed";
  const fields = [...HEAD, "grpc-status", "12", "grpc-message", text];
  await peer.send(frame(FrameType.HEADERS, 5, stream, encodeBlock(fields)));
  const error = await call;
  assert.equal(error.code, Code.UNIMPLEMENTED);
  assert.equal(error.message, text);
});

rawTest("compressed requests of a stream are sent anew as they were", async (test) => {
  async function* requests() {
    for (const text of [LARGE, "small", LARGE]) yield await Promise.resolve({ text });
  }
  const call = test.client.collect(requests(), { compression: "gzip" });
  const peer = await test.accept();
  const first = await peer.request();
  const refused = [...uint32(ErrorCode.REFUSED_STREAM)];
  await peer.send(frame(FrameType.RST_STREAM, 0, first, refused));
  const second = await peer.request();
  assert.deepEqual(requestOf(peer, second).messages, requestOf(peer, first).messages);
  assert.deepEqual(requestOf(peer, second).messages.map(({ flag }) => flag), [1, 0, 1]);
  await peer.send(answer(second, HEAD, prefixed(encode({ text: "done" }))));
  assert.equal((await call).text, "done");
});
