import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { create } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { Code, createWebHandler, GrpcError, GrpcServer } from "../mod.ts";
import { Echo, EchoMessageSchema } from "../gen/echo_pb.ts";
import { echoBytes, echoText, framesOf, lastOf, LOCAL, startWeb } from "../testing/web_caller.ts";
import { base64Bytes, Base64Reader } from "./base64_stream.ts";
import { envelope } from "./response_form.ts";

const LOOK = `${LOCAL}/grpc.test.v1.Echo/Look`;

Deno.test("a unary call answers in JSON and in bytes, as its request was written", async () => {
  await using test = startWeb();
  const json = await test.post("Unary", "application/json; charset=utf-8", '{"text":"ä"}');
  assert.equal(json.status, 200);
  assert.equal(json.headers.get("content-type"), "application/json");
  assert.deepEqual(await json.json(), { text: "ä" });
  const proto = await test.post("Unary", "application/proto", echoBytes({ text: "ä" }));
  assert.equal(proto.headers.get("content-type"), "application/proto");
  assert.equal(echoText(await proto.bytes()), "ä");
  const empty = await test.post("Unary", "application/proto", null);
  assert.deepEqual([empty.status, (await empty.bytes()).length], [200, 0]);
});

Deno.test("a field of tomorrow in JSON is ignored, what is no message is the caller's mistake", async () => {
  await using test = startWeb();
  const unknown = await test.post("Unary", "application/json", '{"text":"a","later":{"b":1}}');
  assert.deepEqual(await unknown.json(), { text: "a" });
  const broken: BodyInit[] = ["", "{", "[]", '{"text":1}', new Uint8Array([0x22, 0xff, 0x22])];
  for (const body of broken) {
    const response = await test.post("Unary", "application/json", body);
    assert.equal(response.status, 400);
    assert.equal((await response.json()).code, "invalid_argument");
  }
  const bytes = await test.post("Unary", "application/proto", new Uint8Array([0xff]));
  assert.equal(bytes.status, 400);
});

Deno.test("JSON goes through a codec of the user's own", async () => {
  const seen: unknown[] = [];
  const own = new GrpcServer();
  own.addService(Echo, {
    unary: (request) => {
      seen.push(request);
      return { plain: "object" } as never;
    },
  }, {
    codecs: {
      unary: {
        decode: (bytes) => ({ own: echoText(bytes) }) as never,
        encode: () => echoBytes({ text: "from the codec" }),
      },
    },
  });
  const handler = createWebHandler(own);
  const response = await handler(
    new Request(`${LOCAL}/grpc.test.v1.Echo/Unary`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"text":"to the codec"}',
    }),
    {
      remoteAddr: { transport: "tcp", hostname: "127.0.0.1", port: 1 },
      completed: Promise.resolve(),
    },
  );
  assert.deepEqual(await response.json(), { text: "from the codec" });
  assert.deepEqual(seen, [{ own: "to the codec" }]);
  await own.shutdown();
});

Deno.test("GET reaches methods without side effects and no others", async () => {
  await using test = startWeb();
  const look = async (query: string) => await test.send(new Request(`${LOOK}?${query}`));
  const json = encodeURIComponent('{"text":"a&b"}');
  assert.deepEqual(await (await look(`connect=v1&encoding=json&message=${json}`)).json(), {
    text: "a&b",
  });
  const bytes = echoBytes({ text: "ÿ?>" }).toBase64({ alphabet: "base64url", omitPadding: true });
  const proto = await look(`message=${bytes}&base64=1&encoding=proto&unknown=1`);
  assert.equal(echoText(await proto.bytes()), "ÿ?>");
  assert.equal((await look("encoding=json")).status, 400);
  assert.equal((await look("encoding=proto&base64=1&message=%21")).status, 400);
  assert.equal((await look(`connect=v2&encoding=json&message=${json}`)).status, 400);
  assert.equal((await look(`encoding=xml&message=${json}`)).status, 415);
  assert.equal((await look(`message=${json}`)).status, 415);
  const unary = await test.send(
    new Request(`${LOCAL}/grpc.test.v1.Echo/Unary?encoding=json&message=${json}`),
  );
  assert.deepEqual([unary.status, unary.headers.get("allow")], [405, "POST"]);
});

for (const type of ["application/grpc-web", "application/grpc-web+proto"]) {
  Deno.test(`${type} carries messages and trailers in frames`, async () => {
    await using test = startWeb();
    const request = envelope(0, echoBytes({ text: "a" }));
    const unary = await test.post("Unary", type, request);
    assert.equal(unary.headers.get("content-type"), type);
    const [message, trailers, ...rest] = await framesOf(unary);
    assert.deepEqual(rest, []);
    assert.deepEqual([message?.[0], echoText(message?.[1] ?? request)], [0, "a"]);
    assert.deepEqual([trailers?.[0], new TextDecoder().decode(trailers?.[1])], [
      0x80,
      "grpc-status: 0\r\n",
    ]);
    const stream = await test.post("Expand", type, envelope(0, echoBytes({ count: 3 })));
    assert.deepEqual((await framesOf(stream)).map(([flag]) => flag), [0, 0, 0, 0x80]);
  });
}

Deno.test("gRPC-Web in text carries the same frames in base64", async () => {
  await using test = startWeb();
  const type = "application/grpc-web-text";
  const half = envelope(0, echoBytes({ text: "abc", count: 2 }));
  const parts = [base64Bytes(half.subarray(0, 4)), base64Bytes(half.subarray(4))];
  const body = new Uint8Array(parts.flatMap((part) => [...part]));
  for (const [method, flags] of [["Unary", [0, 0x80]], ["Expand", [0, 0, 0x80]]] as const) {
    const response = await test.post(method, type, body);
    assert.equal(response.headers.get("content-type"), type);
    const bytes = new Base64Reader().read(await response.bytes());
    assert.ok(bytes !== undefined);
    assert.deepEqual((await framesOf(new Response(bytes))).map(([flag]) => flag), flags);
  }
  for (const broken of ["!!!!", "AAA"]) {
    const response = await test.post("Unary", type, broken);
    const bytes = new Base64Reader().read(await response.bytes());
    assert.match(await lastOf(new Response(bytes ?? null)), /grpc-status: 3\r\n/);
  }
});

Deno.test("Connect streams carry every kind of streaming call", async () => {
  await using test = startWeb();
  const type = "application/connect+json";
  const encoder = new TextEncoder();
  const messages = ["a", "b"].map((text) => envelope(0, encoder.encode(JSON.stringify({ text }))));
  const body = new Uint8Array(messages.flatMap((message) => [...message]));
  const collect = await framesOf(await test.post("Collect", type, body));
  const decoder = new TextDecoder();
  assert.deepEqual(collect.map(([flag, bytes]) => [flag, JSON.parse(decoder.decode(bytes))]), [
    [0, { text: "ab", count: 2 }],
    [2, {}],
  ]);
  const converse = await framesOf(await test.post("Converse", type, body));
  assert.deepEqual(converse.map(([flag]) => flag), [0, 0, 2]);
});

Deno.test("a content type that does not fit the method's kind is refused before a call", async () => {
  await using test = startWeb();
  assert.equal((await test.post("Expand", "application/json", "{}")).status, 415);
  assert.equal((await test.post("Unary", "application/connect+json", "{}")).status, 415);
  assert.equal(test.server.stats.calls_started, 0);
});

Deno.test("an error travels with its details and metadata in the words of each protocol", async () => {
  const detail = create(AnySchema, {
    typeUrl: "type.googleapis.com/grpc.test.v1.EchoMessage",
    value: echoBytes({ text: "d" }),
  });
  await using test = startWeb({}, {
    unary: (_, { headers, trailers }) => {
      headers.set("x-head", "1");
      trailers.setBinary("x-tail-bin", new Uint8Array([1, 2]));
      throw new GrpcError("not ä here", Code.NOT_FOUND, { details: [detail] });
    },
    // deno-lint-ignore require-yield
    expand: async function* (_, { trailers }) {
      trailers.set("x-tail", "2");
      throw new GrpcError("no", Code.ABORTED);
    },
  });
  const unary = await test.post("Unary", "application/proto", null);
  assert.equal(unary.status, 404);
  assert.equal(unary.headers.get("content-type"), "application/json");
  assert.equal(unary.headers.get("x-head"), "1");
  assert.equal(unary.headers.get("trailer-x-tail-bin"), "AQI");
  assert.deepEqual(await unary.json(), {
    code: "not_found",
    message: "not ä here",
    details: [{ type: "grpc.test.v1.EchoMessage", value: "CgFk" }],
  });
  const stream = await test.post("Expand", "application/connect+proto", envelope(0, echoBytes({})));
  assert.equal(stream.status, 200);
  assert.deepEqual(JSON.parse(await lastOf(stream)), {
    error: { code: "aborted", message: "no" },
    metadata: { "x-tail": ["2"] },
  });
  const web = await test.post("Unary", "application/grpc-web", envelope(0, echoBytes({})));
  assert.equal(web.status, 200);
  const trailers = await lastOf(web);
  assert.match(trailers, /^grpc-status: 5\r\ngrpc-message: not %C3%A4 here\r\n/);
  assert.match(trailers, /\r\nx-tail-bin: AQI\r\n/);
  assert.match(trailers, /grpc-status-details-bin: /);
});

Deno.test("every code has the HTTP status Connect gives it", async () => {
  let code: Code = Code.OK;
  await using test = startWeb({}, {
    unary: () => {
      throw new GrpcError("", code);
    },
  });
  const statuses: Record<number, number> = {};
  for (code of Object.values(Code).filter((each) => each !== Code.OK)) {
    const response = await test.post("Unary", "application/json", "{}");
    statuses[code] = response.status;
    const json = await response.json();
    assert.deepEqual(Object.keys(json), ["code"]);
    assert.match(json.code, /^[a-z_]+$/);
  }
  assert.deepEqual(Object.values(statuses), [
    499,
    500,
    400,
    504,
    404,
    409,
    403,
    429,
    400,
    409,
    400,
    501,
    500,
    503,
    500,
    401,
  ]);
});

Deno.test("what a handler did not mean to say reaches the server's events and no caller", async () => {
  const failures: unknown[] = [];
  await using test = startWeb({
    onEvent: (event) => {
      if (event.type === "handler_failed") failures.push(event.reason);
    },
  }, {
    unary: () => {
      throw new Error("password is hunter2");
    },
  });
  const requests = [
    test.post("Unary", "application/json", "{}"),
    test.post("Unary", "application/grpc-web", envelope(0, echoBytes({}))),
  ];
  for (const response of await Promise.all(requests)) {
    const text = await response.text();
    assert.ok(!text.includes("hunter2") && !text.includes(".ts"), text);
    assert.match(text, /internal error/);
  }
  assert.equal(failures.length, 2);
});

Deno.test("metadata of a handler cannot change how HTTP reads the response", async () => {
  await using test = startWeb({}, {
    unary: (request, { headers }) => {
      headers.set("content-encoding", "gzip");
      headers.set("accept-encoding", "br");
      return request;
    },
  });
  const response = await test.post("Unary", "application/json", "{}");
  assert.equal(response.headers.get("content-encoding"), null);
  assert.equal(response.headers.get("x-content-type-options"), "nosniff");
});

Deno.test("an unknown method is 404 to Connect and UNIMPLEMENTED to gRPC-Web", async () => {
  await using test = startWeb();
  const connect = await test.post("Absent", "application/json", "{}");
  assert.deepEqual([connect.status, (await connect.json()).code], [404, "unimplemented"]);
  const web = await test.post("Absent", "application/grpc-web", envelope(0, echoBytes({})));
  assert.match(await lastOf(web), /^grpc-status: 12\r\n/);
});

Deno.test("interceptors and handlers see metadata, deadline and peer as over gRPC", async () => {
  const seen: unknown[] = [];
  await using test = startWeb({
    interceptors: [({ method, metadata, peer, deadline_ms }) => {
      const left_ms = (deadline_ms ?? 0) - Date.now();
      seen.push(method, metadata.get("x-a"), metadata.getBinary("x-b-bin"), peer);
      seen.push(left_ms > 4000 && left_ms <= 5000, metadata.get("connect-timeout-ms"));
      if (metadata.get("x-a") === "stop") throw new GrpcError("no", Code.UNAUTHENTICATED);
    }],
  });
  const headers = { "x-a": "1", "x-b-bin": "AQI", "connect-timeout-ms": "5000" };
  await test.post("Unary", "application/json", "{}", headers);
  const grpc = { "x-a": "1", "x-b-bin": "AQI=", "grpc-timeout": "5S" };
  await test.post("Unary", "application/grpc-web", envelope(0, echoBytes({})), grpc);
  const once = [
    "/grpc.test.v1.Echo/Unary",
    "1",
    new Uint8Array([1, 2]),
    { transport: "tcp", address: "127.0.0.1:50000" },
    true,
    undefined,
  ];
  assert.deepEqual(seen, [...once, ...once]);
  const stopped = await test.post("Unary", "application/json", "{}", { "x-a": "stop" });
  assert.equal(stopped.status, 401);
  assert.equal(test.server.stats.refused.interceptor, 1);
});

Deno.test("a timeout or version that is none is refused", async () => {
  await using test = startWeb();
  const tries: [string, string, Record<string, string>][] = [
    ["application/json", "{}", { "connect-timeout-ms": "12345678901" }],
    ["application/json", "{}", { "connect-timeout-ms": "1s" }],
    ["application/json", "{}", { "connect-protocol-version": "2" }],
  ];
  for (const [type, body, headers] of tries) {
    const response = await test.post("Unary", type, body, headers);
    assert.deepEqual([response.status, (await response.json()).code], [400, "invalid_argument"]);
  }
  const web = await test.post("Unary", "application/grpc-web", null, { "grpc-timeout": "1x" });
  assert.match(await lastOf(web), /^grpc-status: 3\r\n/);
  const binary = await test.post("Unary", "application/json", "{}", { "x-bin": "!" });
  assert.equal(binary.status, 400);
});

Deno.test("a unary response longer than 64 KiB arrives whole and with its length", async () => {
  await using test = startWeb();
  const payload = new Uint8Array(1_000_000).fill(7);
  const response = await test.post("Unary", "application/proto", echoBytes({ payload }));
  const bytes = await response.bytes();
  assert.equal(response.headers.get("content-length"), String(bytes.length));
  assert.deepEqual(bytes, echoBytes(create(EchoMessageSchema, { payload })));
});

Deno.test("compressed requests are read in every protocol, within the same bounds", async () => {
  await using test = startWeb({
    bounds: {
      receive_message_bytes: 1000,
      decompression_burst_bytes: 64 * 1024,
      decompression_bytes_per_second: 0,
    },
  });
  const message = echoBytes({ text: "text ".repeat(50) });
  const whole = Uint8Array.from(gzipSync(message));
  const send = (kind: "bare" | "web" | "stream", bytes: Uint8Array<ArrayBuffer>) => {
    if (kind === "bare") {
      return test.post("Unary", "application/proto", bytes, { "content-encoding": "gzip" });
    }
    const body = envelope(1, bytes);
    return kind === "web"
      ? test.post("Unary", "application/grpc-web", body, { "grpc-encoding": "gzip" })
      : test.post("Converse", "application/connect+proto", body, {
        "connect-content-encoding": "gzip",
      });
  };
  const bare = await send("bare", whole);
  assert.deepEqual([bare.status, await bare.bytes()], [200, message]);
  for (const kind of ["web", "stream"] as const) {
    const [first] = await framesOf(await send(kind, whole));
    assert.deepEqual(first, [0, message]);
  }
  const codes: string[] = [];
  for (const bytes of [whole.subarray(1), whole.subarray(1), whole]) {
    codes.push((await (await send("bare", bytes)).json()).code);
  }
  // What failed has used the account up, which no time fills here.
  assert.deepEqual(codes, ["internal", "resource_exhausted", "resource_exhausted"]);
  assert.equal(test.server.stats.refused.compression, 1);
  assert.equal(test.server.stats.refused.decompression, 2);
  const plain = await test.post("Unary", "application/proto", message);
  assert.equal(plain.status, 200);
  await plain.body?.cancel();
});
