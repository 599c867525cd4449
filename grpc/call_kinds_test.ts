import assert from "node:assert/strict";
import { Channel, Code, createClient, GrpcError } from "./mod.ts";
import { Echo } from "./gen/echo_pb.ts";
import { startServer } from "./testing/echo_server.ts";

async function* messages(count: number, text: string) {
  for (let index = 0; index < count; index++) yield await Promise.resolve({ text, count: index });
}

async function statusOf(promise: Promise<unknown>): Promise<GrpcError> {
  try {
    await promise;
  } catch (reason) {
    assert.ok(reason instanceof GrpcError);
    return reason;
  }
  assert.fail("the call went well");
}

Deno.test("the four kinds of calls carry their messages both ways over TCP", async (t) => {
  const { server, target } = await startServer();
  const channel = new Channel(target);
  const client = createClient(Echo, channel);
  await t.step("unary", async () => {
    const answer = await client.unary({ text: "hello", payload: Uint8Array.of(1, 2, 3) });
    assert.equal(answer.text, "hello");
    assert.deepEqual(answer.payload, Uint8Array.of(1, 2, 3));
  });
  await t.step("server streaming", async () => {
    const counts: number[] = [];
    for await (const answer of client.expand({ count: 100 })) counts.push(answer.count);
    assert.deepEqual(counts, Array.from({ length: 100 }, (_, index) => index));
  });
  await t.step("client streaming", async () => {
    const answer = await client.collect(messages(50, "ab"));
    assert.equal(answer.count, 50);
    assert.equal(answer.text, "ab".repeat(50));
  });
  await t.step("bidirectional streaming", async () => {
    const counts: number[] = [];
    for await (const answer of client.converse(messages(100, "x"))) counts.push(answer.count);
    assert.deepEqual(counts, Array.from({ length: 100 }, (_, index) => index));
  });
  await t.step("a message larger than every window arrives whole", async () => {
    const payload = crypto.getRandomValues(new Uint8Array(65_536));
    const large = new Uint8Array(4 * 1024 * 1024 - 100);
    for (let at = 0; at + payload.length <= large.length; at += payload.length) {
      large.set(payload, at);
    }
    assert.deepEqual((await client.unary({ payload: large })).payload, large);
  });
  await t.step("a method without a handler is UNIMPLEMENTED", async () => {
    const error = await statusOf(client.absent({}));
    assert.equal(error.code, Code.UNIMPLEMENTED);
  });
  await channel.close();
  await server.shutdown();
});

Deno.test("headers can be had before the first message, and a failure after them", async () => {
  const { server, target } = await startServer({}, {
    converse: async function* (requests, context) {
      context.headers.set("x-early", "yes");
      context.sendHeaders();
      context.sendHeaders();
      for await (const request of requests) {
        if (request.text === "fail") throw new GrpcError("as asked", Code.ABORTED);
        yield request;
      }
      context.trailers.set("x-late", "yes");
    },
  });
  const channel = new Channel(target);
  const client = createClient(Echo, channel);
  for (const text of ["end well", "fail"]) {
    const early = Promise.withResolvers<string | undefined>();
    let late: string | undefined;
    const requests = async function* () {
      // The caller says nothing before it has the headers.
      assert.equal(await early.promise, "yes");
      yield { text };
    };
    const answers = Array.fromAsync(client.converse(requests(), {
      onHeaders: (metadata) => early.resolve(metadata.get("x-early")),
      onTrailers: (metadata) => late = metadata.get("x-late"),
    }));
    if (text === "fail") {
      assert.equal((await statusOf(answers)).code, Code.ABORTED);
    } else {
      assert.equal((await answers).length, 1);
      assert.equal(late, "yes");
    }
  }
  await channel.close();
  await server.shutdown();
});

Deno.test("headers that are too large to send are the handler's to hear of", async () => {
  const { server, target } = await startServer({}, {
    unary: (request, context) => {
      context.headers.set("x-large", "v".repeat(20_000));
      assert.throws(() => context.sendHeaders(), { code: Code.INTERNAL });
      context.headers.delete("x-large");
      context.sendHeaders();
      return request;
    },
  });
  const channel = new Channel(target);
  assert.equal((await createClient(Echo, channel).unary({ text: "small" })).text, "small");
  await channel.close();
  await server.shutdown();
});
