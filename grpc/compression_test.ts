import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { type Bounds, DECOMPRESSION_FAILURES_A_TURN_MAX, SERVER_BOUNDS } from "./bounds.ts";
import {
  acceptsGzip,
  compress,
  CompressedMessage,
  decompress,
  Decompressor,
} from "./compression.ts";
import { Channel, type Compression, createClient, GrpcServer } from "./mod.ts";
import { Echo } from "./gen/echo_pb.ts";
import { startServer } from "./testing/echo_server.ts";
import { concat } from "./testing/raw_peer.ts";

/** The next turn of the event loop, when failures are forgotten. */
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

/** Bytes that repeat, and bytes that do not. */
const message = fc.tuple(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: 100 })).map(
  ([piece, times]) => concat(...Array.from({ length: times }, () => piece)),
);

Deno.test("whatever the message, it comes out as it went in, or travels as it is", () => {
  fc.assert(fc.property(message, fc.nat({ max: 2000 }), (bytes, bytes_min) => {
    const outgoing = compress(bytes, bytes_min);
    if (outgoing instanceof CompressedMessage) {
      assert.ok(bytes.length >= bytes_min);
      assert.ok(outgoing.length < bytes.length);
      assert.deepEqual(decompress(outgoing.bytes, bytes.length), bytes);
      assert.equal(decompress(outgoing.bytes, bytes.length - 1), "too_long");
    } else {
      assert.equal(outgoing, bytes);
    }
    assert.deepEqual(decompress(gzipSync(bytes), bytes.length), bytes);
  }));
});

Deno.test("a decompressed message has memory of its own, and no more than it needs", () => {
  const taken = decompress(gzipSync(Uint8Array.of(1, 2, 3)), 100);
  assert.ok(taken instanceof Uint8Array);
  assert.equal(Object.getPrototypeOf(taken), Uint8Array.prototype);
  assert.equal(taken.buffer.byteLength, 3);
});

Deno.test("what is no whole gzip is corrupt, wherever it is cut and whatever follows", async () => {
  const whole = gzipSync(new TextEncoder().encode("some text, some text, some other text"));
  for (let end = 0; end < whole.length; end++) {
    assert.equal(decompress(whole.subarray(0, end), 100), "corrupt", `cut at ${end}`);
    const flipped = Uint8Array.from(whole);
    flipped[end] = (flipped[end] ?? 0) ^ 0xff;
    // Time, level and system in the header are not covered by a checksum; the rest is.
    if (end < 4 || end > 9) assert.equal(decompress(flipped, 100), "corrupt", `flipped ${end}`);
  }
  await turn();
  assert.equal(decompress(concat(whole, Uint8Array.of(1, 2, 3)), 100), "corrupt");
  assert.equal(decompress(concat(whole, whole.subarray(0, 8)), 100), "corrupt");
  assert.equal(decompress(new TextEncoder().encode("this is no gzip"), 100), "corrupt");
  await turn();
});

Deno.test("a message of several gzip members is one, and counts as one against its bound", () => {
  const members = concat(gzipSync(Uint8Array.of(1, 2)), gzipSync(Uint8Array.of(3)));
  assert.deepEqual(decompress(members, 3), Uint8Array.of(1, 2, 3));
  assert.equal(decompress(members, 2), "too_long");
});

Deno.test("the bound holds to the byte, whatever a message would become", () => {
  const empty = gzipSync(new Uint8Array(0));
  assert.deepEqual(decompress(empty, 0), new Uint8Array(0));
  assert.equal(decompress(gzipSync(Uint8Array.of(1)), 0), "too_long");
  assert.deepEqual(decompress(empty, Number.POSITIVE_INFINITY), new Uint8Array(0));
  for (const length of [1, 16_383, 16_384, 16_385, 65_536, 1_000_000]) {
    const compressed = gzipSync(new Uint8Array(length));
    assert.equal(decompress(compressed, length).length, length);
    assert.equal(decompress(compressed, length - 1), "too_long");
  }
});

Deno.test("gigabytes in a message of 4 MB never take more memory than the bound", () => {
  const member = gzipSync(new Uint8Array(64 * 1024 * 1024));
  const bomb = concat(...Array.from({ length: 60 }, () => member));
  assert.ok(bomb.length < 4 * 1024 * 1024);
  const before = Deno.memoryUsage().rss;
  for (let round = 0; round < 20; round++) {
    assert.equal(decompress(bomb, 4 * 1024 * 1024), "too_long");
  }
  const grown = Deno.memoryUsage().rss - before;
  assert.ok(grown < 512 * 1024 * 1024, `${grown} bytes more`);
});

Deno.test("failures of one turn of the event loop are bounded, then all is well again", async () => {
  const broken = Uint8Array.of(1, 2, 3);
  const sound = gzipSync(Uint8Array.of(7));
  await turn();
  for (let count = 0; count < DECOMPRESSION_FAILURES_A_TURN_MAX; count++) {
    assert.equal(decompress(broken, 100), "corrupt");
  }
  assert.equal(decompress(sound, 100), "busy");
  await turn();
  assert.deepEqual(decompress(sound, 100), Uint8Array.of(7));
});

/** How many messages a decompressor reads until its sender has cost too much. */
async function readsOf(bounds: Partial<Bounds>, compressed: Uint8Array): Promise<number> {
  let exhausted = 0;
  const all: Bounds = { ...SERVER_BOUNDS, decompression_bytes_per_second: 0, ...bounds };
  const decompressor = new Decompressor(all, () => exhausted++);
  for (let reads = 0; reads < 1000; reads++) {
    if (decompressor.decompress(compressed) !== "exhausted") continue;
    assert.equal(decompressor.decompress(compressed), "exhausted");
    await turn();
    assert.equal(exhausted, 1);
    return reads;
  }
  await turn();
  return Number.POSITIVE_INFINITY;
}

Deno.test("messages that grow a lot cost their sender, those that grow a little do not", async () => {
  const zeros = gzipSync(new Uint8Array(100_000));
  const ratio = 100_000 / zeros.length;
  assert.equal(
    await readsOf({ decompression_burst_bytes: 1_000_000, decompression_ratio: 0 }, zeros),
    10,
  );
  const bounds = { decompression_burst_bytes: 1_000_000, decompression_ratio: ratio / 2 };
  assert.equal(await readsOf(bounds, zeros), 20);
  const explained = { decompression_burst_bytes: 1, decompression_ratio: Math.ceil(ratio) };
  assert.equal(await readsOf(explained, zeros), Number.POSITIVE_INFINITY);
});

Deno.test("messages that fail cost what they could have become, and 64 KiB at least", async () => {
  const bounds = { decompression_burst_bytes: 1024 * 1024, receive_message_bytes: 256 * 1024 };
  assert.equal(await readsOf(bounds, Uint8Array.of(1, 2, 3)), 16);
  assert.equal(await readsOf(bounds, new Uint8Array(128)), 7); // 132096 bytes each.
  assert.equal(await readsOf(bounds, gzipSync(new Uint8Array(1024 * 1024))), 4);
});

Deno.test("gzip is accepted where a list names it", () => {
  for (const list of ["gzip", "identity,gzip", "identity, deflate, gzip", "gzip ,identity"]) {
    assert.ok(acceptsGzip(list), list);
  }
  for (const list of ["", "identity", "x-gzip", "gzipped,deflate"]) assert.ok(!acceptsGzip(list));
});

Deno.test("an unknown compression is refused where it is asked for", async () => {
  const compression = "br" as Compression;
  assert.throws(() => new GrpcServer({ compression }), TypeError);
  assert.throws(() => new GrpcServer().addService(Echo, {}, { compression }), TypeError);
  assert.throws(() => new Channel("localhost:1", { compression }), TypeError);
  const channel = new Channel("localhost:1");
  await assert.rejects(createClient(Echo, channel).unary({}, { compression }), TypeError);
  await channel.close();
});

for (const requests of ["identity", "gzip"] as const) {
  for (const responses of ["identity", "gzip"] as const) {
    const title = `${requests} requests and ${responses} responses`;
    Deno.test(`any messages survive ${title}, in all four kinds of calls`, async () => {
      const bounds = { compression_min_bytes: 100 };
      const { server, target } = await startServer({ bounds, compression: responses });
      const channel = new Channel(target, { bounds, compression: requests });
      const client = createClient(Echo, channel);
      const payloads = fc.array(message, { maxLength: 5 });
      await fc.assert(
        fc.asyncProperty(payloads, fc.string(), async (payloads, text) => {
          async function* sent() {
            for (const payload of payloads) yield await Promise.resolve({ text, payload });
          }
          for (const payload of payloads) {
            const answer = await client.unary({ text, payload });
            assert.deepEqual([answer.text, answer.payload], [text, payload]);
            const expanded = await Array.fromAsync(client.expand({ payload, count: 3 }));
            assert.deepEqual(expanded.map((each) => each.payload), [payload, payload, payload]);
          }
          const collected = await client.collect(sent());
          assert.deepEqual(
            [collected.count, collected.text],
            [payloads.length, text.repeat(payloads.length)],
          );
          const conversed = await Array.fromAsync(client.converse(sent()));
          assert.deepEqual(conversed.map((each) => each.payload), payloads);
        }),
        { numRuns: 20 },
      );
      await channel.close();
      await server.shutdown({ grace_ms: 0 });
      assert.equal(server.stats.buffered_bytes, 0);
      assert.equal(server.stats.calls_failed, 0);
    });
  }
}
