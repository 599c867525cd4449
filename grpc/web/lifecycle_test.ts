import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { type CallContext, Code, createWebHandler, GrpcServer, type ServerEvent } from "../mod.ts";
import { EchoMessageSchema } from "../gen/echo_pb.ts";
import { echoBytes, framesOf, lastOf, LOCAL, startWeb, until } from "../testing/web_caller.ts";
import { envelope } from "./response_form.ts";

const quick = { sweep_interval_ms: 2 };

function waiting(context: CallContext): Promise<void> {
  return new Promise((resolve) => context.signal.addEventListener("abort", () => resolve()));
}

Deno.test("a caller that goes away cancels its unary call", async () => {
  const gone = new AbortController();
  const events: ServerEvent[] = [];
  await using test = startWeb({ bounds: quick, onEvent: (event) => events.push(event) }, {
    unary: async (request, context) => {
      await waiting(context);
      return request;
    },
  });
  const answer = test.send(
    new Request(`${LOCAL}/grpc.test.v1.Echo/Unary`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
      signal: gone.signal,
    }),
  );
  await until(() => test.server.stats.calls_open === 1, "the call began");
  gone.abort();
  await answer;
  assert.deepEqual(events.map((event) => event.type === "call_ended" && event.code), [
    Code.CANCELLED,
  ]);
});

Deno.test("a signal that aborts after success, as the runtime's does, changes nothing", async () => {
  const late = new AbortController();
  await using test = startWeb({ bounds: quick }, {
    unary: async (request) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return request;
    },
    expand: async function* (request) {
      await new Promise((resolve) => setTimeout(resolve, 20)); // Long enough to be looked at.
      yield request;
      late.abort();
      await new Promise((resolve) => setTimeout(resolve, 20));
      yield request;
    },
  });
  const send = (method: string, type: string, body: BodyInit) =>
    test.send(
      new Request(`${LOCAL}/grpc.test.v1.Echo/${method}`, {
        method: "POST",
        headers: { "content-type": type },
        body,
        signal: late.signal,
      }),
    );
  assert.equal((await send("Unary", "application/json", "{}")).status, 200);
  const stream = await send("Expand", "application/grpc-web", envelope(0, echoBytes({})));
  assert.match(await lastOf(stream), /^grpc-status: 0\r\n/);
  assert.equal(test.server.stats.calls_ok, 2);
});

Deno.test("a reader that leaves a stream cancels its call", async () => {
  await using test = startWeb({}, {
    expand: async function* (request, context) {
      yield request;
      await waiting(context);
    },
  });
  const response = await test.post("Expand", "application/grpc-web", envelope(0, echoBytes({})));
  const reader = response.body?.getReader();
  await reader?.read();
  assert.equal(test.server.stats.calls_open, 1);
  await reader?.cancel();
  assert.equal(test.server.stats.calls_open, 0);
  assert.equal(test.server.stats.calls_failed, 1);
});

Deno.test("a body that breaks off cancels its call", async () => {
  await using test = startWeb();
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull: (controller) => controller.error(new Error("connection reset")),
  });
  await test.post("Unary", "application/json", body);
  assert.equal(test.server.stats.calls_failed, 1);
  assert.equal(test.server.stats.calls_open, 0);
});

for (
  const [type, timeout] of [
    ["application/json", { "connect-timeout-ms": "20" }],
    ["application/grpc-web", { "grpc-timeout": "20m" }],
  ] as const
) {
  Deno.test(`a deadline that passes ends the call and tells the handler (${type})`, async () => {
    let told = false;
    await using test = startWeb({}, {
      unary: async (request, context) => {
        await waiting(context);
        told = true;
        return request;
      },
    });
    const body = type === "application/json" ? "{}" : envelope(0, echoBytes({}));
    const response = await test.post("Unary", type, body, timeout);
    assert.match(await response.text(), /the deadline passed/);
    assert.equal(told, true);
  });
}

Deno.test("a deadline in the middle of a stream ends it with a status", async () => {
  await using test = startWeb({}, {
    expand: async function* (_, context) {
      yield create(EchoMessageSchema, { payload: new Uint8Array(300_000) });
      await waiting(context);
    },
  });
  const body = envelope(0, echoBytes({}));
  const headers = { "connect-timeout-ms": "20" };
  const response = await test.post("Expand", "application/connect+proto", body, headers);
  assert.match(await lastOf(response), /deadline_exceeded/);
});

Deno.test("a deadline while a message is being read leaves the message whole", async () => {
  await using test = startWeb({}, {
    expand: async function* (_, context) {
      yield create(EchoMessageSchema, { payload: new Uint8Array(300_000) });
      yield create(EchoMessageSchema, { payload: new Uint8Array(300_000) });
      await waiting(context);
    },
  });
  const body = envelope(0, echoBytes({}));
  const headers = { "connect-timeout-ms": "300" };
  const response = await test.post("Expand", "application/connect+proto", body, headers);
  const reader = response.body?.getReader();
  const pieces = [(await reader?.read())?.value ?? new Uint8Array(0)];
  await until(() => test.server.stats.calls_open === 0, "the deadline passed");
  for (let read = await reader?.read(); read?.value !== undefined; read = await reader?.read()) {
    pieces.push(read.value);
  }
  const whole = new Response(new Blob(pieces));
  const frames = await framesOf(whole.clone());
  assert.deepEqual(frames.map(([flag]) => flag), [0, 2]);
  assert.match(await lastOf(whole), /deadline_exceeded/);
});

Deno.test("a shutdown lets calls finish and takes no more", async () => {
  const release = Promise.withResolvers<void>();
  await using test = startWeb({}, {
    unary: async (request) => {
      await release.promise;
      return request;
    },
  });
  const running = test.post("Unary", "application/json", '{"text":"a"}');
  await until(() => test.server.stats.calls_open === 1, "the call began");
  const down = test.server.shutdown();
  const late = await test.post("Unary", "application/json", "{}");
  assert.deepEqual([late.status, (await late.json()).code], [503, "unavailable"]);
  release.resolve();
  assert.deepEqual(await (await running).json(), { text: "a" });
  await down;
});

Deno.test("a shutdown ends calls that take longer than its grace, with a status", async () => {
  await using test = startWeb({}, {
    unary: async (request, context) => {
      await waiting(context);
      return request;
    },
    expand: async function* (request, context) {
      yield request;
      await waiting(context);
    },
  });
  const unary = test.post("Unary", "application/json", "{}");
  const stream = await test.post("Expand", "application/grpc-web", envelope(0, echoBytes({})));
  await until(() => test.server.stats.calls_open === 2, "both calls began");
  const [response, last] = await Promise.all([
    unary,
    lastOf(stream),
    test.server.shutdown({ grace_ms: 10 }),
  ]);
  assert.equal(response.status, 503);
  assert.match(last, /^grpc-status: 14\r\n/);
});

Deno.test("a handler for a server that is shut down cannot be made", async () => {
  const server = new GrpcServer();
  await server.shutdown();
  assert.throws(() => createWebHandler(server), /shut down/);
});
