import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { EchoMessageSchema } from "../gen/echo_pb.ts";
import {
  echoBytes,
  framesOf,
  lastOf,
  LOCAL,
  startWeb,
  until,
  WatchedBody,
} from "../testing/web_caller.ts";
import { envelope } from "./response_form.ts";

const quick = { sweep_interval_ms: 2 };

for (
  const [type, prefix] of [
    ["application/json", new Uint8Array(0)],
    ["application/proto", new Uint8Array(0)],
    ["application/grpc-web", new Uint8Array([0, 0x7f, 0xff, 0xff, 0xff])],
  ] as const
) {
  Deno.test(`a body past the message bound is not read on (${type})`, async () => {
    await using test = startWeb({ bounds: { receive_message_bytes: 10_000 } });
    const chunk = new Uint8Array(1000).fill(0x20);
    chunk.set(prefix);
    const body = new WatchedBody(chunk, 1_000_000);
    const response = await test.post("Unary", type, body.stream);
    const text = await response.text();
    assert.match(text, /larger than 10000 bytes/);
    await until(() => body.cancelled, "the rest of the body is dropped");
    assert.ok(body.read_bytes <= 13_000, `${body.read_bytes} bytes were read`);
    assert.equal(test.server.stats.refused.message_bytes, 1);
  });
}

Deno.test("a length that is promised and never comes costs no memory", async () => {
  await using test = startWeb({ bounds: { ...quick, request_timeout_ms: 30 } });
  const body = new WatchedBody(new Uint8Array([0, 0, 0x3f, 0xff, 0xff]), 1, "silence");
  const answer = test.post("Unary", "application/grpc-web", body.stream);
  await until(() => body.read_bytes === 5, "the prefix is read");
  assert.ok(test.server.stats.buffered_bytes <= 5);
  assert.match(await lastOf(await answer), /^grpc-status: 4\r\n/);
});

for (const type of ["application/json", "application/grpc-web", "application/connect+proto"]) {
  Deno.test(`a body that does not arrive in full ends the call in time (${type})`, async () => {
    await using test = startWeb({ bounds: { ...quick, request_timeout_ms: 30 } });
    const body = new WatchedBody(new Uint8Array([0]), 1, "silence");
    const method = type.startsWith("application/connect") ? "Expand" : "Unary";
    const response = await test.post(method, type, body.stream);
    assert.match(await response.text(), /did not arrive in full/);
    assert.equal(test.server.stats.refused.request_timeout, 1);
    assert.equal(body.cancelled, true);
  });
}

Deno.test("bodies of many calls share the server's buffer, and past it a call is refused", async () => {
  await using test = startWeb({
    bounds: { ...quick, server_buffer_bytes: 5000, request_timeout_ms: 50 },
  });
  const held = new WatchedBody(new Uint8Array(3000), 1, "silence");
  const first = test.post("Unary", "application/json", held.stream);
  await until(() => test.server.stats.buffered_bytes === 3000, "the first body waits");
  const second = await test.post("Unary", "application/json", " ".repeat(3000));
  assert.equal(second.status, 429);
  assert.equal(test.server.stats.refused.buffer_bytes, 1);
  assert.equal((await first).status, 504);
  assert.equal(test.server.stats.buffered_bytes, 0);
});

Deno.test("headers past the bound are refused", async () => {
  await using test = startWeb();
  const response = await test.post("Unary", "application/json", "{}", {
    "x-a": "b".repeat(17_000),
  });
  assert.equal(response.status, 429);
  assert.equal(test.server.stats.refused.header_list_bytes, 1);
});

Deno.test("calls past the bound are refused, and a handler that outlives its caller keeps its place", async () => {
  const release = Promise.withResolvers<void>();
  const gone = new AbortController();
  await using test = startWeb({ bounds: { ...quick, web_calls: 1 } }, {
    unary: async (request) => {
      await release.promise;
      return request;
    },
  });
  const first = test.send(
    new Request(`${LOCAL}/grpc.test.v1.Echo/Unary`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
      signal: gone.signal,
    }),
  );
  const second = await test.post("Unary", "application/json", "{}");
  assert.equal(second.status, 503);
  assert.equal(test.server.stats.refused.web_calls, 1);
  gone.abort();
  await first;
  assert.equal(test.server.stats.calls_open, 0);
  assert.equal((await test.post("Unary", "application/json", "{}")).status, 503);
  release.resolve();
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal((await test.post("Unary", "application/json", "{}")).status, 200);
});

Deno.test("a reader that does not read holds the handler back, then loses its call", async () => {
  let made = 0;
  await using test = startWeb({
    bounds: { ...quick, output_high_water_bytes: 10_000, window_stall_timeout_ms: 40 },
  }, {
    expand: async function* () {
      for (;;) {
        made++;
        yield create(EchoMessageSchema, { payload: new Uint8Array(1000) });
      }
    },
  });
  const response = await test.post("Expand", "application/grpc-web", envelope(0, echoBytes({})));
  await until(() => (test.server.stats.refused.window_stall_timeout ?? 0) === 1, "it is cut off");
  assert.ok(made <= 12, `${made} messages were made for nobody`);
  assert.equal(test.server.stats.calls_open, 0);
  const frames = await framesOf(response);
  assert.ok(frames.every(([flag]) => flag === 0), "the response pretends to be complete");
});

Deno.test("bytes that wait for readers are bounded over all calls of the server", async () => {
  await using test = startWeb({ bounds: { web_pending_bytes: 250_000 } }, {
    unary: () => create(EchoMessageSchema, { payload: new Uint8Array(200_000) }),
  });
  const first = await test.post("Unary", "application/proto", null);
  const second = await test.post("Unary", "application/proto", null);
  assert.equal(second.status, 429);
  assert.equal(test.server.stats.refused.pending_bytes, 1);
  assert.ok((await first.bytes()).length > 200_000);
  const third = await test.post("Unary", "application/proto", null);
  assert.equal(third.status, 200);
  await third.body?.cancel();
});

Deno.test("a streaming call neither side uses is ended", async () => {
  await using test = startWeb({ bounds: { ...quick, web_idle_timeout_ms: 30 } }, {
    expand: async function* (request, { signal }) {
      yield request;
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
  });
  const response = await test.post(
    "Expand",
    "application/connect+json",
    envelope(0, new Uint8Array([0x7b, 0x7d])),
  );
  assert.match(await lastOf(response), /"code":"unavailable"/);
  assert.equal(test.server.stats.refused.web_idle_timeout, 1);
});

Deno.test("a request stream is read no faster than its handler takes it", async () => {
  const release = Promise.withResolvers<void>();
  await using test = startWeb({ bounds: { stream_window_bytes: 5000 } }, {
    collect: async (requests) => {
      await release.promise;
      let count = 0;
      for await (const _ of requests) count++;
      return create(EchoMessageSchema, { count });
    },
  });
  const message = envelope(0, echoBytes({ payload: new Uint8Array(900) }));
  const body = new WatchedBody(message, 100);
  const answer = test.post("Collect", "application/connect+proto", body.stream);
  await until(() => body.read_bytes >= 5000, "the window is full");
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(body.read_bytes <= 5000 + message.length, `${body.read_bytes} bytes were read`);
  release.resolve();
  const [first] = await framesOf(await answer);
  assert.deepEqual(first?.[1], echoBytes({ count: 100 }));
});
