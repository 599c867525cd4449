import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { Channel, Code, createClient, GrpcError, GrpcServer, Metadata } from "./mod.ts";
import type { CallContext, ServerEvent, ServerOptions } from "./mod.ts";
import { Echo, EchoMessageSchema } from "./gen/echo_pb.ts";
import { startServer } from "./testing/echo_server.ts";

type Handlers = Parameters<typeof startServer>[1];
type EchoClient = ReturnType<typeof createClient<typeof Echo>>;

const SHORT = { sweep_interval_ms: 5, linger_timeout_ms: 20 };

/** Runs a test with a server, a channel and a client. */
function callTest(
  name: string,
  handlers: Handlers,
  run: (client: EchoClient, server: GrpcServer, channel: Channel) => Promise<void>,
  options: ServerOptions = {},
): void {
  Deno.test(name, async () => {
    const bounds = { ...SHORT, ...options.bounds };
    const { server, target } = await startServer({ ...options, bounds }, handlers);
    const channel = new Channel(target);
    try {
      await run(createClient(Echo, channel), server, channel);
    } finally {
      await channel.close();
      await server.shutdown({ grace_ms: 0 });
    }
    assert.equal(server.stats.calls_open, 0);
    assert.equal(server.stats.connections_open, 0);
  });
}

/** A promise and what settles it. */
function signalled<T>() {
  return Promise.withResolvers<T>();
}

/** Waits for the abort of a call and passes its reason on. */
function untilAborted(signal: AbortSignal): Promise<GrpcError> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(signal.reason);
    signal.addEventListener("abort", () => resolve(signal.reason));
  });
}

const message = (count: number) => create(EchoMessageSchema, { count });

Deno.test("metadata travels both ways, text and bytes, headers and trailers", async () => {
  const { server, target } = await startServer({}, {
    unary: (request, context) => {
      assert.equal(context.method, "/grpc.test.v1.Echo/Unary");
      assert.deepEqual([...context.metadata.entries()], [
        ["x-channel", "c"],
        ["x-text", "one"],
        ["x-text", "two"],
        ["x-raw-bin", Uint8Array.of(0, 1, 255)],
      ]);
      context.headers.set("x-head", "h").setBinary("h-bin", Uint8Array.of(7));
      context.trailers.append("x-tail", "1").append("x-tail", "2");
      return request;
    },
  });
  const channel = new Channel(target, { metadata: new Metadata().set("x-channel", "c") });
  let headers = new Metadata();
  let trailers = new Metadata();
  await createClient(Echo, channel).unary({}, {
    metadata: new Metadata().append("X-Text", "one").append("x-text", "two")
      .setBinary("x-raw-bin", Uint8Array.of(0, 1, 255)),
    onHeaders: (metadata) => headers = metadata,
    onTrailers: (metadata) => trailers = metadata,
  });
  assert.equal(headers.get("x-head"), "h");
  assert.deepEqual(headers.getBinary("h-bin"), Uint8Array.of(7));
  assert.deepEqual(trailers.getAll("x-tail"), ["1", "2"]);
  await channel.close();
  await server.shutdown();
});

callTest("a refusal carries code, text in any language, and metadata", {
  unary: () => {
    const metadata = new Metadata().set("x-rule", "r1");
    throw new GrpcError("niemals: 100 % – 禁止\n", Code.PERMISSION_DENIED, { metadata });
  },
}, async (client) => {
  await assert.rejects(client.unary({}), (reason: unknown) => {
    assert.ok(reason instanceof GrpcError);
    assert.equal(reason.code, Code.PERMISSION_DENIED);
    assert.equal(reason.message, "niemals: 100 % – 禁止\n");
    assert.equal(reason.metadata.get("x-rule"), "r1");
    return true;
  });
});

Deno.test("what a handler throws by mistake is told to the operator, not to the peer", async () => {
  const events: ServerEvent[] = [];
  const { server, target } = await startServer({ onEvent: (event) => void events.push(event) }, {
    unary: () => {
      throw new Error("password is hunter2");
    },
    expand: async function* () {
      yield await Promise.resolve(message(1));
      throw new Error("password is hunter2");
    },
  });
  const channel = new Channel(target);
  const client = createClient(Echo, channel);
  const neutral = { code: Code.INTERNAL, message: "internal error" };
  await assert.rejects(client.unary({}), neutral);
  await assert.rejects(Array.fromAsync(client.expand({})), neutral);
  const failures = events.filter((event) => event.type === "handler_failed");
  assert.equal(failures.length, 2);
  assert.equal((failures[0]?.reason as Error).message, "password is hunter2");
  const ended = events.filter((event) => event.type === "call_ended");
  assert.deepEqual(ended.map((event) => event.code), [Code.INTERNAL, Code.INTERNAL]);
  await channel.close();
  await server.shutdown();
});

const aborted = signalled<GrpcError>();
callTest("a deadline ends the call on both sides and reaches the handler", {
  unary: async (request, context) => {
    const left_ms = (context.deadline_ms ?? 0) - Date.now();
    assert.ok(left_ms > 0 && left_ms <= 30);
    aborted.resolve(await untilAborted(context.signal));
    return request;
  },
}, async (client) => {
  await assert.rejects(client.unary({}, { timeout_ms: 30 }), { code: Code.DEADLINE_EXCEEDED });
  const reason = await aborted.promise;
  assert.ok(reason.code === Code.DEADLINE_EXCEEDED || reason.code === Code.CANCELLED);
});

const cancelled = signalled<GrpcError>();
callTest("cancelling a unary call reaches its handler", {
  unary: async (request, { signal }) => {
    cancelled.resolve(await untilAborted(signal));
    return request;
  },
}, async (client, server) => {
  const abort = new AbortController();
  const call = client.unary({}, { signal: abort.signal });
  while (server.stats.calls_open === 0) await new Promise((ok) => setTimeout(ok, 1));
  abort.abort();
  await assert.rejects(call, { code: Code.CANCELLED });
  assert.equal((await cancelled.promise).code, Code.CANCELLED);
});

const left = signalled<GrpcError>();
callTest("leaving a response loop cancels the call", {
  expand: async function* (_, { signal }) {
    untilAborted(signal).then(left.resolve);
    for (let count = 0; !signal.aborted; count++) yield await Promise.resolve(message(count));
  },
}, async (client) => {
  for await (const answer of client.expand({})) {
    if (answer.count === 3) break;
  }
  assert.equal((await left.promise).code, Code.CANCELLED);
});

const iteration = signalled<unknown>();
callTest("cancelling a client stream ends the handler's iteration with an error", {
  collect: async (requests) => {
    try {
      await Array.fromAsync(requests);
    } catch (reason) {
      iteration.resolve(reason);
    }
    return message(0);
  },
}, async (client) => {
  const abort = new AbortController();
  async function* requests() {
    yield { count: 1 };
    await new Promise((resolve) => setTimeout(resolve, 10));
    abort.abort();
    yield { count: 2 };
  }
  await assert.rejects(client.collect(requests(), { signal: abort.signal }), {
    code: Code.CANCELLED,
  });
  const reason = await iteration.promise;
  assert.ok(reason instanceof GrpcError && reason.code === Code.CANCELLED);
});

callTest("a request promise a handler dropped does not end the process", {
  collect: (requests) => {
    requests[Symbol.asyncIterator]().next();
    return new Promise(() => {});
  },
}, async (client) => {
  async function* requests() {
    await new Promise((resolve) => setTimeout(resolve, 500));
    yield {};
  }
  const call = client.collect(requests(), { timeout_ms: 20 });
  await assert.rejects(call, { code: Code.DEADLINE_EXCEEDED });
  await new Promise((resolve) => setTimeout(resolve, 500));
});

callTest("requests that fail on the way end the call with their reason", {}, async (client) => {
  async function* requests() {
    yield await Promise.resolve({ count: 1 });
    throw new GrpcError("no more", Code.ABORTED);
  }
  await assert.rejects(client.collect(requests()), { code: Code.ABORTED, message: "no more" });
});

callTest("a server may answer before the requests end", {
  collect: () => Promise.resolve(message(42)),
}, async (client, server) => {
  let sent = 0;
  async function* requests() {
    for (; sent < 1000; sent++) {
      yield { count: sent };
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
  assert.equal((await client.collect(requests())).count, 42);
  assert.ok(sent < 1000);
  assert.equal(server.stats.calls_ok, 1);
});

callTest("both directions of a conversation run at once", {}, async (client) => {
  let release = () => {};
  async function* requests() {
    for (let count = 0; count < 20; count++) {
      yield { count };
      await new Promise<void>((resolve) => release = resolve);
    }
  }
  let expected = 0;
  for await (const answer of client.converse(requests())) {
    assert.equal(answer.count, expected++);
    release();
  }
  assert.equal(expected, 20);
});

callTest("a conversation of large messages neither stalls nor piles up", {}, async (client) => {
  const payload = new Uint8Array(300_000);
  async function* requests() {
    for (let count = 0; count < 30; count++) yield await Promise.resolve({ count, payload });
  }
  let count = 0;
  for await (const answer of client.converse(requests())) {
    assert.equal(answer.payload.length, payload.length);
    count++;
  }
  assert.equal(count, 30);
}, { bounds: { stream_window_bytes: 10_000, connection_window_bytes: 65_535 } });

callTest("a reader that pauses holds the handler back", {
  expand: async function* (_, { signal }) {
    produced = 0;
    const payload = new Uint8Array(10_000);
    for (; !signal.aborted; produced++) {
      yield await Promise.resolve(create(EchoMessageSchema, { payload }));
    }
  },
}, async (client) => {
  let read = 0;
  for await (const _ of client.expand({})) {
    if (++read === 1) await new Promise((resolve) => setTimeout(resolve, 100));
    // The client's window of 1 MiB, a server's queue of 256 KiB, and what sockets hold.
    if (read === 1) assert.ok(produced < 1000, `${produced} messages were produced`);
    if (read === 2000) break;
  }
  assert.ok(produced >= 2000);
});
let produced = 0;

Deno.test("message bounds of the client hold in both directions", async () => {
  const { server, target } = await startServer();
  const channel = new Channel(target, {
    max_receive_message_bytes: 1000,
    max_send_message_bytes: 2000,
  });
  const client = createClient(Echo, channel);
  const exhausted = { code: Code.RESOURCE_EXHAUSTED };
  await assert.rejects(client.unary({ payload: new Uint8Array(1500) }), exhausted);
  await assert.rejects(client.unary({ payload: new Uint8Array(2500) }), exhausted);
  await assert.rejects(
    Array.fromAsync(client.expand({ payload: new Uint8Array(1500), count: 2 })),
    exhausted,
  );
  async function* tooLarge() {
    yield await Promise.resolve({ payload: new Uint8Array(2500) });
  }
  await assert.rejects(client.collect(tooLarge()), exhausted);
  assert.equal((await client.unary({ text: "fits" })).text, "fits");
  await channel.close();
  await server.shutdown();
});

callTest("a response message larger than the server allows is refused by it", {
  unary: () => create(EchoMessageSchema, { payload: new Uint8Array(5000) }),
}, async (client) => {
  await assert.rejects(client.unary({}), { code: Code.RESOURCE_EXHAUSTED });
}, { bounds: { send_message_bytes: 4000 } });

callTest("responses nobody reads are bounded together", {
  unary: () => create(EchoMessageSchema, { payload: new Uint8Array(1_500_000) }),
}, async (client, server) => {
  const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => client.unary({})));
  assert.ok(outcomes.some((each) => each.status === "fulfilled"));
  const refused = outcomes.filter((each) => each.status === "rejected");
  assert.ok(refused.length > 0);
  for (const each of refused) assert.equal(each.reason.code, Code.RESOURCE_EXHAUSTED);
  assert.equal(server.stats.refused.pending_bytes, refused.length);
}, { bounds: { connection_pending_bytes: 4_000_000 } });

Deno.test("interceptors run in order before the handler and may refuse, now or later", async () => {
  const order: string[] = [];
  const server = new GrpcServer({
    interceptors: [(context) => {
      order.push("first");
      if (context.metadata.get("x-refuse") === "now") {
        throw new GrpcError("no token", Code.UNAUTHENTICATED);
      }
    }],
  });
  server.addService(Echo, {
    unary: (request) => {
      order.push("handler");
      return request;
    },
    collect: async (requests) => message((await Array.fromAsync(requests)).length),
  }, {
    interceptors: [async (context: CallContext) => {
      await new Promise((resolve) => setTimeout(resolve, 2));
      order.push("second");
      if (context.metadata.get("x-refuse") === "later") {
        throw new GrpcError("no token", Code.UNAUTHENTICATED);
      }
    }],
  });
  const listener = await server.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const channel = new Channel(listener.address);
  const client = createClient(Echo, channel);
  await client.unary({});
  assert.deepEqual(order.splice(0), ["first", "second", "handler"]);
  async function* requests() {
    for (let count = 0; count < 5; count++) yield await Promise.resolve({ count });
  }
  assert.equal((await client.collect(requests())).count, 5);
  order.length = 0;
  for (const when of ["now", "later"]) {
    const metadata = new Metadata().set("x-refuse", when);
    await assert.rejects(client.unary({}, { metadata }), { code: Code.UNAUTHENTICATED });
    await assert.rejects(client.collect(requests(), { metadata }), {
      code: Code.UNAUTHENTICATED,
    });
  }
  assert.ok(!order.includes("handler"));
  assert.equal(server.stats.refused.interceptor, 4);
  await channel.close();
  await server.shutdown();
});

Deno.test("a codec of the service's own replaces protobuf-es", async () => {
  const server = new GrpcServer();
  server.addService(Echo, { unary: (request) => request }, {
    codecs: {
      unary: {
        decode: (bytes) => {
          if (bytes.length > 3) throw new RangeError("too long");
          return create(EchoMessageSchema, { count: bytes.length });
        },
        encode: (answer) => Uint8Array.of(0x18, answer.count),
      },
    },
  });
  const listener = await server.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const channel = new Channel(listener.address);
  const client = createClient(Echo, channel, {
    codecs: {
      unary: {
        encode: (request) => new Uint8Array(request.count ?? 0),
        decode: (bytes) => create(EchoMessageSchema, { count: (bytes[1] ?? 0) + 100 }),
      },
    },
  });
  assert.equal((await client.unary({ count: 3 })).count, 103);
  await assert.rejects(client.unary({ count: 4 }), {
    code: Code.INTERNAL,
    message: "failed to decode request: too long",
  });
  await channel.close();
  await server.shutdown();
});

Deno.test("a handler for a method that does not exist is refused at once", () => {
  const server = new GrpcServer();
  const handlers = { unray: () => create(EchoMessageSchema) } as Record<string, unknown>;
  assert.throws(() => server.addService(Echo, handlers), /no method `unray`/);
  server.addService(Echo, { unary: (request) => request });
  assert.throws(() => server.addService(Echo, { unary: (request) => request }), /added twice/);
});
