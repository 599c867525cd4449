import assert from "node:assert/strict";
import fc from "fast-check";
import { CALL_ATTEMPTS_MAX, CALL_RETRY_BUFFER_BYTES } from "../bounds.ts";
import { encodeBlock } from "../hpack/encoder.ts";
import {
  Channel,
  Code,
  createClient,
  GrpcError,
  type RetryOptions,
  type RetryPolicy,
} from "../mod.ts";
import { Echo } from "../gen/echo_pb.ts";
import { startServer } from "../testing/echo_server.ts";
import { errorOf, eventually, hostileTest, sealedTest } from "../testing/hostile_server.ts";
import {
  ErrorCode,
  Flag,
  frame,
  FrameType,
  prefixed,
  type RawPeer,
  uint32,
} from "../testing/raw_peer.ts";
import { CallRetry, Retries } from "./retry.ts";

const POLICY: RetryPolicy = {
  max_attempts: 3,
  initial_backoff_ms: 1,
  max_backoff_ms: 4,
  backoff_multiplier: 2,
  retryable_codes: [Code.UNAVAILABLE, Code.ABORTED],
};
const RETRY = { retry: { policy: POLICY } };
const HEAD = [":status", "200", "content-type", "application/grpc"];

/** A response that is all trailers. */
function refuse(id: number, code: Code, pushback?: string) {
  const extra = pushback === undefined ? [] : ["grpc-retry-pushback-ms", pushback];
  const block = encodeBlock([...HEAD, "grpc-status", `${code}`, "grpc-message", "no", ...extra]);
  return frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, id, block);
}

/** The value of a request header. */
function headerOf(peer: RawPeer, id: number, name: string): string | undefined {
  const is = (each: RawPeer["frames"][number]) =>
    each.type === FrameType.HEADERS && each.stream_id === id;
  const block = peer.frames.find(is)?.payload ?? new Uint8Array(0);
  const { fields } = peer.decoder.decode(block, 0, block.length, 10_000);
  const at = fields.indexOf(name);
  return at < 0 ? undefined : fields[at + 1];
}

hostileTest(
  "a call that fails with a retryable status is sent again, and says so",
  async (test) => {
    const trailers: unknown[] = [];
    const call = test.client.unary({}, { onTrailers: (metadata) => trailers.push(metadata) });
    const peer = await test.accept();
    const first = await peer.request();
    await peer.send(refuse(first, Code.UNAVAILABLE));
    const second = await peer.request();
    await peer.send(refuse(second, Code.ABORTED));
    const third = await peer.request();
    await peer.send(peer.answer(third, [0x18, 7]));
    assert.equal((await call).count, 7);
    assert.deepEqual(
      [first, second, third].map((id) => headerOf(peer, id, "grpc-previous-rpc-attempts")),
      [undefined, "1", "2"],
    );
    assert.equal(trailers.length, 1);
  },
  RETRY,
);

hostileTest("a status that is not retryable is final", async ({ client, accept }) => {
  const call = client.unary({});
  const peer = await accept();
  await peer.send(refuse(await peer.request(), Code.INVALID_ARGUMENT));
  assert.equal((await errorOf(call)).code, Code.INVALID_ARGUMENT);
  await peer.alive();
  assert.equal(peer.frames.filter((each) => each.type === FrameType.HEADERS).length, 1);
}, RETRY);

hostileTest("the last attempt's error is the call's", async ({ client, accept }) => {
  const call = client.unary({});
  const peer = await accept();
  for (let attempt = 1; attempt < 3; attempt++) {
    await peer.send(refuse(await peer.request(), Code.UNAVAILABLE));
  }
  await peer.send(refuse(await peer.request(), Code.ABORTED));
  const error = await errorOf(call);
  assert.equal(error.code, Code.ABORTED);
  assert.equal(error.message, "no");
}, RETRY);

hostileTest("a call whose response has begun is not sent again", async ({ client, accept }) => {
  const call = client.unary({});
  const peer = await accept();
  const id = await peer.request();
  await peer.send(
    frame(FrameType.HEADERS, Flag.END_HEADERS, id, encodeBlock(HEAD)),
    frame(FrameType.HEADERS, 5, id, encodeBlock(["grpc-status", `${Code.UNAVAILABLE}`])),
  );
  assert.equal((await errorOf(call)).code, Code.UNAVAILABLE);
  await peer.alive();
  assert.equal(peer.frames.filter((each) => each.type === FrameType.HEADERS).length, 1);
}, RETRY);

hostileTest("a call whose connection is lost is sent again on another", async (test) => {
  const call = test.client.unary({});
  const first = await test.accept();
  await first.request();
  first.close();
  const second = await test.accept();
  await second.send(second.answer(await second.request(), [0x18, 3]));
  assert.equal((await call).count, 3);
}, RETRY);

hostileTest("a proxy's 503 is sent again, its 404 is not", async ({ client, accept }) => {
  const call = client.unary({});
  const peer = await accept();
  const id = await peer.request();
  const status = (id: number, code: string) =>
    frame(FrameType.HEADERS, 5, id, encodeBlock([":status", code]));
  await peer.send(status(id, "503"));
  await peer.send(status(await peer.request(), "404"));
  assert.equal((await errorOf(call)).code, Code.UNIMPLEMENTED);
}, RETRY);

hostileTest("the server says when to try again", async ({ client, accept }) => {
  const call = client.unary({}, { timeout_ms: 20_000 });
  const peer = await accept();
  await peer.send(refuse(await peer.request(), Code.UNAVAILABLE, "0"));
  await peer.send(peer.answer(await peer.request()));
  await call;
}, { retry: { policy: { ...POLICY, initial_backoff_ms: 60_000, max_backoff_ms: 60_000 } } });

for (const pushback of ["-1", "x", "", "1.5", "+1", "01", "99999999999"]) {
  hostileTest(`a server that pushes back with \`${pushback}\` wants no retry`, async (test) => {
    const call = test.client.unary({});
    const peer = await test.accept();
    await peer.send(refuse(await peer.request(), Code.UNAVAILABLE, pushback));
    assert.equal((await errorOf(call)).code, Code.UNAVAILABLE);
  }, RETRY);
}

hostileTest("too many failures stop retries until calls go well again", async (test) => {
  const first = errorOf(test.client.unary({}));
  const peer = await test.accept();
  const attempts = async (call: Promise<unknown>) => {
    let count = 0;
    let done = false;
    const ended = call.finally(() => done = true);
    while (!done) {
      const id = await Promise.race([peer.request(), ended.then(() => 0)]);
      if (id === 0) break;
      count++;
      await peer.send(refuse(id, Code.UNAVAILABLE));
    }
    return count;
  };
  // Of 4 tokens: 3 and a retry, 2 and none.
  assert.equal(await attempts(first), 2);
  assert.equal(await attempts(errorOf(test.client.unary({ text: "a" }))), 1);
  const well = test.client.unary({ text: "b" });
  await peer.send(peer.answer(await peer.request()));
  await well;
  // 1 and 3 more, at most 4: again one retry.
  assert.equal(await attempts(errorOf(test.client.unary({ text: "c" }))), 2);
}, { retry: { policy: POLICY, throttle: { max_tokens: 4, token_ratio: 3 } } });

hostileTest("the deadline covers every attempt and the waits between", async (test) => {
  const call = test.client.unary({}, { timeout_ms: 60 });
  const peer = await test.accept();
  await peer.send(refuse(await peer.request(), Code.UNAVAILABLE, "30000"));
  assert.equal((await errorOf(call)).code, Code.DEADLINE_EXCEEDED);
}, RETRY);

hostileTest("a wait for the next attempt ends with a cancel, or the channel", async (test) => {
  const abort = new AbortController();
  const cancelled = errorOf(test.client.unary({}, { signal: abort.signal }));
  const closed = errorOf(test.client.unary({}));
  const peer = await test.accept();
  await peer.send(refuse(await peer.request(), Code.UNAVAILABLE, "30000"));
  await peer.send(refuse(await peer.request(), Code.UNAVAILABLE, "30000"));
  await peer.alive();
  abort.abort();
  assert.equal((await cancelled).code, Code.CANCELLED);
  await test.channel.close();
  assert.equal((await closed).code, Code.CANCELLED);
}, RETRY);

sealedTest("a connect that fails is an attempt that failed", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const channel = new Channel(`127.0.0.1:${port}`, {
    backoff: { initial_ms: 5, max_ms: 5 },
    retry: { policy: { ...POLICY, max_attempts: 5, initial_backoff_ms: 200, max_backoff_ms: 200 } },
  });
  const call = createClient(Echo, channel).unary({ text: "x" });
  await eventually("it failed", () => channel.state === "transient_failure");
  const { server } = await startServer();
  await server.listen({ transport: "tcp", hostname: "127.0.0.1", port });
  assert.equal((await call).text, "x");
  await channel.close();
  await server.shutdown();
});

/** Payload bytes of a stream's DATA frames. */
function dataOf(peer: RawPeer, id: number): string {
  return peer.frames.filter((each) => each.type === FrameType.DATA && each.stream_id === id)
    .map((each) => each.payload.toHex()).join("");
}

hostileTest("streamed requests are sent again from the first", async ({ client, accept }) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  async function* requests() {
    yield { count: 1 };
    yield { count: 2 };
    await promise;
    yield { count: 3 };
  }
  const call = client.collect(requests());
  const peer = await accept();
  const message = (count: number) => prefixed([0x18, count]).toHex();
  await peer.until(() => dataOf(peer, 1) === message(1) + message(2));
  await peer.send(refuse(1, Code.UNAVAILABLE));
  await peer.until(() => dataOf(peer, 3) === message(1) + message(2));
  resolve();
  const id = await peer.request();
  assert.equal(id, 3);
  assert.equal(dataOf(peer, 3), message(1) + message(2) + message(3));
  await peer.send(peer.answer(id, [0x18, 9]));
  assert.equal((await call).count, 9);
}, RETRY);

hostileTest("a stream the server never began moves with its requests", async (test) => {
  const release = Promise.withResolvers<void>();
  async function* requests() {
    yield { count: 1 };
    await release.promise;
    yield { count: 2 };
  }
  const call = test.client.collect(requests());
  const first = await test.accept();
  await first.until(() => dataOf(first, 1) !== "");
  await first.send(frame(FrameType.GOAWAY, 0, 0, [...uint32(0), ...uint32(0)]));
  const second = await test.accept();
  await second.until(() => dataOf(second, 1) === prefixed([0x18, 1]).toHex());
  await second.send(
    frame(FrameType.RST_STREAM, 0, 1, uint32(ErrorCode.REFUSED_STREAM)),
  );
  await second.until(() => dataOf(second, 3) === prefixed([0x18, 1]).toHex());
  release.resolve();
  await second.send(second.answer(await second.request(), [0x18, 5]));
  assert.equal((await call).count, 5);
});

hostileTest(
  "requests past the bound are not kept, and their call has one attempt",
  async (test) => {
    const payload = new Uint8Array(CALL_RETRY_BUFFER_BYTES / 8);
    const release = Promise.withResolvers<void>();
    async function* requests() {
      for (let count = 0; count < 9; count++) yield { payload };
      await release.promise;
    }
    const call = errorOf(test.client.collect(requests()));
    const peer = await test.accept();
    await peer.send(frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(2 ** 24)));
    await peer.until(() => peer.frames.some((each) => each.type === FrameType.HEADERS));
    await peer.send(frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(2 ** 24)));
    await peer.until(() => dataOf(peer, 1).length / 2 > 9 * payload.length);
    await peer.send(refuse(1, Code.UNAVAILABLE));
    assert.equal((await call).code, Code.UNAVAILABLE);
    release.resolve();
  },
  RETRY,
);

sealedTest("methods and services may have policies of their own, or none", async () => {
  const counts = { unary: 0, expand: 0 };
  const { server, target } = await startServer({}, {
    unary: (request) => {
      if (++counts.unary < 3) throw new GrpcError("no", Code.UNAVAILABLE);
      return request;
    },
    // deno-lint-ignore require-yield
    expand: async function* () {
      counts.expand++;
      await Promise.resolve();
      throw new GrpcError("no", Code.UNAVAILABLE);
    },
  });
  const channel = new Channel(target, {
    retry: {
      methods: { "grpc.test.v1.Echo": POLICY, "grpc.test.v1.Echo/Expand": null },
    },
  });
  const client = createClient(Echo, channel);
  assert.equal((await client.unary({ text: "x" })).text, "x");
  assert.equal((await errorOf(Array.fromAsync(client.expand({})))).code, Code.UNAVAILABLE);
  assert.deepEqual(counts, { unary: 3, expand: 1 });
  await channel.close();
  await server.shutdown();
});

sealedTest("a policy that makes no sense is refused with its place", () => {
  const policy = (change: Partial<RetryPolicy>): RetryOptions => ({
    policy: { ...POLICY, ...change },
  });
  const cases: readonly (readonly [RetryOptions, RegExp])[] = [
    [policy({ max_attempts: 1 }), /^retry\.policy\.max_attempts is `1`: expected .* at least 2$/],
    [policy({ max_attempts: 2.5 }), /max_attempts is `2\.5`/],
    [policy({ initial_backoff_ms: 0 }), /^retry\.policy\.initial_backoff_ms is `0`/],
    [policy({ max_backoff_ms: Infinity }), /max_backoff_ms is `Infinity`/],
    [policy({ backoff_multiplier: NaN }), /backoff_multiplier is `NaN`/],
    [policy({ retryable_codes: [] }), /retryable_codes is empty/],
    [policy({ retryable_codes: [Code.OK] }), /retryable_codes has `0`/],
    [policy({ retryable_codes: [99 as Code] }), /retryable_codes has `99`/],
    [{ methods: { "a.B/C": { ...POLICY, max_attempts: 0 } } }, /^retry\.methods\["a\.B\/C"\]\.max/],
    [{ methods: { "/a.B/C": POLICY } }, /^retry\.methods\["\/a\.B\/C"\]: expected `package/],
    [{ throttle: { max_tokens: 1001, token_ratio: 1 } }, /^retry\.throttle\.max_tokens is `1001`/],
    [{ throttle: { max_tokens: 10, token_ratio: 0 } }, /^retry\.throttle\.token_ratio is `0`/],
  ];
  for (const [retry, message] of cases) {
    assert.throws(() => new Channel("a:1", { retry }), { name: "TypeError", message });
  }
});

sealedTest("no policy asks for more attempts than the bound, or waits longer than it says", () => {
  const wait = fc.double({ min: 0.001, max: 10_000, noNaN: true });
  fc.assert(fc.property(
    fc.integer({ min: 2, max: 1000 }),
    wait,
    wait,
    fc.double({ min: 0.001, max: 1000, noNaN: true }),
    (max_attempts, initial_backoff_ms, max_backoff_ms, backoff_multiplier) => {
      const retry = new CallRetry({
        max_attempts,
        initial_backoff_ms,
        max_backoff_ms,
        backoff_multiplier,
        retryable_codes: [Code.UNAVAILABLE],
      }, undefined);
      let attempts = 1;
      for (;;) {
        const wait_ms = retry.nextWaitMs(Code.UNAVAILABLE, undefined, false);
        if (wait_ms === undefined) break;
        attempts++;
        assert.ok(wait_ms >= 0 && wait_ms <= max_backoff_ms * 1.2);
      }
      assert.equal(attempts, Math.min(max_attempts, CALL_ATTEMPTS_MAX));
    },
  ));
});

sealedTest("a method's policy counts before its service's, that before the channel's", () => {
  const retries = new Retries({
    policy: { ...POLICY, retryable_codes: [Code.ABORTED] },
    methods: {
      "a.B": { ...POLICY, retryable_codes: [Code.INTERNAL] },
      "a.B/C": { ...POLICY, retryable_codes: [Code.UNKNOWN] },
      "a.None": null,
    },
  });
  const tries = (path: string, code: Code) =>
    retries.of(path)?.nextWaitMs(code, undefined, false) !== undefined;
  assert.ok(tries("/a.B/C", Code.UNKNOWN) && !tries("/a.B/C", Code.INTERNAL));
  assert.ok(tries("/a.B/D", Code.INTERNAL) && !tries("/a.B/D", Code.ABORTED));
  assert.ok(tries("/a.C/C", Code.ABORTED) && tries("/a.B2/C", Code.ABORTED));
  assert.equal(retries.of("/a.None/C"), undefined);
});

sealedTest("after a pushback the waits begin anew", () => {
  const retry = new CallRetry({
    ...POLICY,
    max_attempts: 5,
    initial_backoff_ms: 10,
    max_backoff_ms: 100_000,
    backoff_multiplier: 100,
  }, undefined);
  const waits = [undefined, undefined, "7", undefined].map((pushback) =>
    retry.nextWaitMs(Code.UNAVAILABLE, pushback, false) ?? -1
  );
  const isAbout = (wait_ms: number | undefined, expected_ms: number) =>
    assert.ok(wait_ms !== undefined && Math.abs(wait_ms / expected_ms - 1) <= 0.2, `${wait_ms}`);
  isAbout(waits[0], 10);
  isAbout(waits[1], 1000);
  assert.equal(waits[2], 7);
  isAbout(waits[3], 10);
});
