import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import {
  Channel,
  type ClientInterceptor,
  Code,
  createClient,
  GrpcError,
  Metadata,
} from "../mod.ts";
import { Echo, type EchoMessage, EchoMessageSchema } from "../gen/echo_pb.ts";
import { startServer } from "../testing/echo_server.ts";
import { type EchoClient, errorOf, sealedTest } from "../testing/hostile_server.ts";

async function interceptedTest(
  interceptors: {
    readonly channel?: readonly ClientInterceptor[];
    readonly client?: readonly ClientInterceptor[];
  },
  run: (client: EchoClient, seen: string[]) => Promise<void>,
): Promise<void> {
  const seen: string[] = [];
  const { server, target } = await startServer({
    interceptors: [({ metadata }) => void seen.push(metadata.getAll("x-by").join(","))],
  });
  const channel = new Channel(target, { interceptors: interceptors.channel ?? [] });
  try {
    await run(createClient(Echo, channel, { interceptors: interceptors.client ?? [] }), seen);
  } finally {
    await channel.close();
    await server.shutdown({ grace_ms: 0 });
  }
}

const signing = (name: string): ClientInterceptor => (next) => (request) => {
  const metadata = new Metadata(request.options.metadata?.entries()).append("x-by", name);
  return next({ ...request, options: { ...request.options, metadata } });
};

async function* three() {
  for (let count = 1; count <= 3; count++) yield await Promise.resolve({ count });
}

sealedTest("interceptors wrap all four kinds of calls, the channel's outermost", async () => {
  const kinds: string[] = [];
  const counting: ClientInterceptor = (next) => async (request) => {
    kinds.push(`${request.method.methodKind} ${request.streamed}`);
    const response = await next(request);
    kinds.push(`${response.streamed}`);
    return response;
  };
  await interceptedTest({
    channel: [signing("a"), signing("b"), counting],
    client: [signing("c")],
  }, async (client, seen) => {
    assert.equal((await client.unary({ text: "x" })).text, "x");
    assert.equal((await Array.fromAsync(client.expand({ count: 3 }))).length, 3);
    assert.equal((await client.collect(three())).count, 3);
    assert.deepEqual(
      (await Array.fromAsync(client.converse(three()))).map(({ count }) => count),
      [1, 2, 3],
    );
    assert.deepEqual(seen, ["a,b,c", "a,b,c", "a,b,c", "a,b,c"]);
    assert.deepEqual(kinds, [
      ...["unary false", "false", "server_streaming false", "true"],
      ...["client_streaming true", "false", "bidi_streaming true", "true"],
    ]);
  });
});

sealedTest("an interceptor may change messages, both ways", async () => {
  const asText = (message: unknown) => (message as EchoMessage).text;
  const shouting: ClientInterceptor = (next) => async (request) => {
    const shout = (message: unknown) =>
      create(EchoMessageSchema, { text: asText(message).toUpperCase() });
    async function* shoutAll(messages: AsyncIterable<unknown>) {
      for await (const message of messages) yield shout(message);
    }
    const response = await next(
      request.streamed
        ? { ...request, messages: shoutAll(request.messages) }
        : { ...request, message: shout(request.message) },
    );
    if (response.streamed) return response;
    const text = `${asText(response.message)}!`;
    return { ...response, message: create(EchoMessageSchema, { text }) };
  };
  await interceptedTest({ client: [shouting] }, async (client) => {
    assert.equal((await client.unary({ text: "a" })).text, "A!");
    async function* requests() {
      yield await Promise.resolve({ text: "a" });
    }
    const [answer] = await Array.fromAsync(client.converse(requests()));
    assert.equal(answer?.text, "A");
  });
});

sealedTest("an interceptor may answer by itself, refuse, or try again", async () => {
  const cached: ClientInterceptor = () => () =>
    Promise.resolve({ streamed: false, message: create(EchoMessageSchema, { text: "cached" }) });
  await interceptedTest({ client: [cached] }, async (client, seen) => {
    assert.equal((await client.unary({})).text, "cached");
    assert.deepEqual(seen, []);
    const wrong = await errorOf(Array.fromAsync(client.expand({})));
    assert.equal(wrong.code, Code.INTERNAL);
    assert.match(wrong.message, /an interceptor passed on a response/);
  });
  const refusing: ClientInterceptor = () => () => {
    throw new GrpcError("not today", Code.PERMISSION_DENIED);
  };
  await interceptedTest({ client: [refusing] }, async (client) => {
    assert.equal((await errorOf(client.unary({}))).code, Code.PERMISSION_DENIED);
    const streamed = await errorOf(Array.fromAsync(client.converse(three())));
    assert.equal(streamed.code, Code.PERMISSION_DENIED);
  });
  const broken: ClientInterceptor = () => () => Promise.reject(new Error("hunter2"));
  await interceptedTest({ client: [broken] }, async (client) => {
    const error = await errorOf(client.unary({}));
    assert.equal(error.code, Code.INTERNAL);
    assert.equal(error.message, "internal error");
  });
  const twice: ClientInterceptor = (next) => async (request) => {
    await next(request);
    return await next(request);
  };
  await interceptedTest({ client: [twice] }, async (client, seen) => {
    await client.unary({});
    assert.equal(seen.length, 2);
  });
});

sealedTest("an interceptor that confuses the kinds of calls ends the call", async () => {
  const confused: ClientInterceptor = (next) => (request) =>
    next({ method: request.method, options: request.options, streamed: true, messages: three2() });
  async function* three2() {
    yield await Promise.resolve(create(EchoMessageSchema));
  }
  await interceptedTest({ client: [confused] }, async (client) => {
    assert.match((await errorOf(client.unary({}))).message, /an interceptor passed on a request/);
  });
});

sealedTest("leaving a response loop cancels the call through interceptors", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { server, target } = await startServer({}, {
    expand: async function* (_, { signal }) {
      signal.addEventListener("abort", () => resolve());
      for (;;) yield await Promise.resolve(create(EchoMessageSchema));
    },
  });
  const channel = new Channel(target, { interceptors: [(next) => (request) => next(request)] });
  for await (const _ of createClient(Echo, channel).expand({})) break;
  await promise;
  await channel.close();
  await server.shutdown();
});
