// grpc-js on Node as a peer (../README.md). NODE_PATH leads to its packages.
// deno-lint-ignore-file no-process-global no-console
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const definition = loader.loadSync(path.join(__dirname, "../../../gen/echo.proto"), {
  defaults: true,
});
const { Echo } = grpc.loadPackageDefinition(definition).grpc.test.v1;

const CAP = 4 << 20;
const AHEAD_MAX = 16 << 20;
const CHUNK = Buffer.alloc(4096, 7);
const UPLOADS = 10_000;

const [mode, ...pairs] = process.argv.slice(2);
const options = Object.fromEntries(pairs.map((pair) => {
  const at = pair.indexOf("=");
  return [pair.slice(0, at), pair.slice(at + 1)];
}));
const read = (name) => (options[name] === undefined ? null : fs.readFileSync(options[name]));
const pause = (wait_ms) => new Promise((resolve) => setTimeout(resolve, wait_ms));

// The server

function serve() {
  let cancelled = 0;
  let sent = 0;
  const server = new grpc.Server({ "grpc.max_send_message_length": -1 });
  const shutdown = () => server.tryShutdown(() => process.exit(0));
  const over = (call) => call.once("cancelled", () => cancelled++);
  const custom = (metadata) => {
    const kept = new grpc.Metadata();
    for (const key of Object.keys(metadata.getMap())) {
      if (!key.startsWith("x-")) continue;
      for (const value of metadata.get(key)) kept.add(key, value);
    }
    return kept;
  };
  server.addService(Echo.service, {
    Unary(call, answer) {
      const { request } = call;
      switch (request.text) {
        case "length":
          return answer(null, { count: request.payload.length });
        case "size":
          return answer(null, { payload: Buffer.alloc(request.count) });
        case "refuse": {
          const metadata = new grpc.Metadata();
          metadata.set("x-reason", "because");
          metadata.set("x-raw-bin", Buffer.from([0, 255]));
          const code = grpc.status.FAILED_PRECONDITION;
          return answer({ code, details: "not täday 100%", metadata });
        }
        case "metadata":
          call.sendMetadata(custom(call.metadata));
          return answer(null, request, custom(call.metadata));
        case "deadline":
          return answer(null, { count: Math.round(call.getDeadline() - Date.now()) });
        case "hang":
          return over(call);
        case "cancelled":
          return answer(null, { count: cancelled });
        case "sent":
          return answer(null, { count: sent });
        case "drain":
          answer(null, request);
          return setTimeout(shutdown, 50);
        case "die":
          answer(null, request);
          return setTimeout(() => process.exit(1), 50);
        default:
          return answer(null, request);
      }
    },
    async Expand(call) {
      const { text, payload, count } = call.request;
      if (text === "hang") {
        over(call);
        return call.write(call.request);
      }
      const gone = new Promise((resolve) => call.once("cancelled", resolve));
      for (let index = 0; text === "forever" || index < count; index++) {
        if (call.cancelled) return;
        const more = call.write({ payload, count: text === "forever" ? 0 : index });
        if (text === "forever") sent++;
        if (more) continue;
        await Promise.race([new Promise((resolve) => call.once("drain", resolve)), gone]);
      }
      call.end();
    },
    async Collect(call, answer) {
      let count = 0;
      for await (const { text } of call) {
        count++;
        if (text === "pause") await pause(1000);
      }
      answer(null, { count });
    },
    Converse(call) {
      if (call.metadata.get("x-early").length > 0) call.sendMetadata(new grpc.Metadata());
      call.on("data", (request) => {
        if (request.text !== "abort") return call.write(request);
        call.emit("error", { code: grpc.status.ABORTED, details: "enough" });
      });
      call.on("end", () => call.end());
    },
  });
  const credentials = options.cert === undefined
    ? grpc.ServerCredentials.createInsecure()
    : grpc.ServerCredentials.createSsl(
      read("client_ca"),
      [{ cert_chain: read("cert"), private_key: read("key") }],
      options.client_ca !== undefined,
    );
  const address = options.unix === undefined ? "127.0.0.1:0" : `unix:${options.unix}`;
  server.bindAsync(address, credentials, (error, port) => {
    if (error) throw error;
    console.log(options.unix ?? `127.0.0.1:${port}`);
  });
  process.stdin.on("end", shutdown).resume();
}

// The client

function newClient() {
  const target = options.target.startsWith("/") ? `unix:${options.target}` : options.target;
  const credentials = options.ca === undefined
    ? grpc.credentials.createInsecure()
    : grpc.credentials.createSsl(read("ca"), read("key"), read("cert"));
  return new Echo(target, credentials, {
    "grpc.max_send_message_length": -1,
    "grpc.use_local_subchannel_pool": 1,
    ...(options.gzip === undefined ? {} : { "grpc.default_compression_algorithm": 2 }),
  });
}

const within = (wait_ms) => ({ deadline: Date.now() + wait_ms });

/** The response of a unary call; `seen` gets its headers and trailers. */
function unary(client, request, { wait_ms = 20_000, metadata = new grpc.Metadata(), seen } = {}) {
  return new Promise((resolve, reject) => {
    const call = client.Unary(request, metadata, within(wait_ms), (error, response) => {
      // Trailers are told after the response.
      if (error) reject(error);
      else setImmediate(() => resolve(response));
    });
    call.on("metadata", (headers) => seen?.push(headers));
    call.on("status", (status) => seen?.push(status.metadata));
  });
}

async function failsWith(code, promise) {
  const [outcome] = await Promise.allSettled([promise]);
  assert.equal(outcome.status, "rejected", "the call went well");
  assert.equal(outcome.reason.code, code, String(outcome.reason));
  return outcome.reason;
}

function collect(client, write) {
  return new Promise((resolve, reject) => {
    write(client.Collect(new grpc.Metadata(), within(60_000), (error, response) => {
      if (error) reject(error);
      else resolve(response);
    }));
  });
}

const cancelledCount = async (client) => (await unary(client, { text: "cancelled" })).count;

async function untilCancelled(client, before) {
  const until = Date.now() + 10_000;
  while (await cancelledCount(client) <= before) {
    assert.ok(Date.now() < until, "the server's handler never heard of it");
    await pause(20);
  }
}

async function exchange(stream, responses, count) {
  stream.write({ count });
  assert.equal((await responses.next()).value.count, count);
}

const CASES = {
  async four_kinds(client) {
    const payload = require("node:crypto").randomBytes(50_000);
    const answer = await unary(client, { text: "héllo", payload, count: -1 });
    assert.deepEqual([answer.text, answer.payload, answer.count], ["héllo", payload, -1]);
    const counts = [];
    for await (const { count } of client.Expand({ count: 500, payload: CHUNK }, within(20_000))) {
      counts.push(count);
    }
    assert.deepEqual(counts, Array.from({ length: 500 }, (_, index) => index));
    const collected = await collect(client, (stream) => {
      for (let count = 0; count < 200; count++) stream.write({ count });
      stream.end();
    });
    assert.equal(collected.count, 200);
    const stream = client.Converse(new grpc.Metadata(), within(20_000));
    const responses = stream[Symbol.asyncIterator]();
    for (let count = 1; count <= 200; count++) await exchange(stream, responses, count);
    stream.end();
    assert.equal((await responses.next()).done, true);
  },
  async refused_with_metadata(client) {
    const call = unary(client, { text: "refuse" });
    const error = await failsWith(grpc.status.FAILED_PRECONDITION, call);
    assert.equal(error.details, "not täday 100%");
    assert.deepEqual(error.metadata.get("x-reason"), ["because"]);
    assert.deepEqual(error.metadata.get("x-raw-bin"), [Buffer.from([0, 255])]);
  },
  async metadata(client) {
    const metadata = new grpc.Metadata();
    const raw = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
    const many = [Buffer.from([0]), Buffer.from([1, 255])];
    metadata.set("x-long", "v".repeat(6000));
    for (const value of ["one", "two"]) metadata.add("x-many", value);
    metadata.set("x-raw-bin", raw);
    for (const value of many) metadata.add("x-many-bin", value);
    const seen = [];
    await unary(client, { text: "metadata" }, { metadata, seen });
    assert.equal(seen.length, 2);
    for (const echoed of seen) {
      assert.deepEqual(echoed.get("x-long"), ["v".repeat(6000)]);
      // Node joins repeated fields by commas.
      assert.equal(echoed.get("x-many").join(", "), "one, two");
      assert.deepEqual(echoed.get("x-raw-bin"), [raw]);
      assert.deepEqual(echoed.get("x-many-bin"), many);
    }
  },
  async metadata_over_limit(client) {
    const metadata = new grpc.Metadata();
    for (const name of "abcde") metadata.set(`x-${name}`, name.repeat(4096));
    const [outcome] = await Promise.allSettled([unary(client, {}, { metadata })]);
    assert.equal(outcome.status, "rejected", "the call went well");
    assert.equal((await unary(client, { count: 1 })).count, 1);
  },
  async headers_first(client) {
    const metadata = new grpc.Metadata();
    metadata.set("x-early", "yes");
    const stream = client.Converse(metadata, within(10_000));
    const responses = stream[Symbol.asyncIterator]();
    await new Promise((resolve) => stream.once("metadata", resolve));
    stream.end({ text: "late" });
    assert.equal((await responses.next()).value.text, "late");
    assert.equal((await responses.next()).done, true);
  },
  async unimplemented(client) {
    const call = new Promise((resolve, reject) =>
      client.Absent(
        {},
        within(10_000),
        (error, response) => error ? reject(error) : resolve(response),
      )
    );
    await failsWith(grpc.status.UNIMPLEMENTED, call);
  },
  async aborted_by_server(client) {
    const stream = client.Converse(new grpc.Metadata(), within(10_000));
    const responses = stream[Symbol.asyncIterator]();
    stream.write({ text: "once" });
    assert.equal((await responses.next()).value.text, "once");
    stream.write({ text: "abort" });
    assert.equal((await failsWith(grpc.status.ABORTED, responses.next())).details, "enough");
  },
  async cancelled_by_client(client) {
    const before = await cancelledCount(client);
    const stream = client.Expand({ text: "hang" }, within(20_000));
    const responses = stream[Symbol.asyncIterator]();
    await responses.next();
    stream.cancel();
    await failsWith(grpc.status.CANCELLED, responses.next());
    await untilCancelled(client, before);
  },
  async deadline(client) {
    const before = await cancelledCount(client);
    const call = unary(client, { text: "hang" }, { wait_ms: 200 });
    await failsWith(grpc.status.DEADLINE_EXCEEDED, call);
    await untilCancelled(client, before);
  },
  async deadline_is_told(client) {
    const { count } = await unary(client, { text: "deadline" }, { wait_ms: 30_000 });
    assert.ok(count > 20_000 && count <= 31_000, `${count} ms left`);
  },
  async request_at_cap(client) {
    const payload = Buffer.alloc(CAP - 13);
    assert.equal((await unary(client, { text: "length", payload })).count, payload.length);
  },
  async request_over_cap(client) {
    const call = unary(client, { text: "length", payload: Buffer.alloc(CAP - 12) });
    await failsWith(grpc.status.RESOURCE_EXHAUSTED, call);
    assert.equal((await unary(client, { count: 1 })).count, 1);
  },
  async response_at_cap(client) {
    const { payload } = await unary(client, { text: "size", count: CAP - 5 });
    assert.equal(payload.length, CAP - 5);
  },
  async response_over_cap(client) {
    const call = unary(client, { text: "size", count: CAP - 4 });
    await failsWith(grpc.status.RESOURCE_EXHAUSTED, call);
    assert.equal((await unary(client, { count: 1 })).count, 1);
  },
  async reconnects() {
    for (let count = 1; count <= 200; count++) {
      const client = newClient();
      assert.equal((await unary(client, { count })).count, count);
      client.close();
    }
  },
  async parallel(client) {
    const counts = Array.from({ length: 500 }, (_, count) => count);
    const answers = await Promise.all(counts.map((count) => unary(client, { count })));
    assert.deepEqual(answers.map(({ count }) => count), counts);
  },
  async many_cancels(client) {
    const before = await cancelledCount(client);
    for (let round = 0; round < 400; round++) {
      const stream = client.Expand({ text: "hang" }, within(20_000));
      await stream[Symbol.asyncIterator]().next();
      stream.on("error", () => {});
      stream.cancel();
    }
    assert.equal((await unary(client, { count: 1 })).count, 1);
    await untilCancelled(client, before + 399);
  },
  async gzip(client) {
    const payload = Buffer.alloc(1_000_000);
    for (let round = 0; round < 5; round++) {
      assert.equal((await unary(client, { payload })).payload.length, payload.length);
    }
  },
  async flood(client) {
    const payload = Buffer.alloc(65_000, 3);
    const stream = client.Converse(new grpc.Metadata(), within(60_000));
    (async () => {
      for (let count = 0; count < 500; count++) {
        if (stream.write({ payload, count })) continue;
        await new Promise((resolve) => stream.once("drain", resolve));
      }
      stream.end();
    })();
    let next = 0;
    for await (const message of stream) {
      assert.deepEqual([message.count, message.payload.length], [next++, payload.length]);
    }
    assert.equal(next, 500);
  },
  async paused_reader(client) {
    const { count: before } = await unary(client, { text: "sent" });
    const stream = client.Expand({ text: "forever", payload: CHUNK }, within(60_000));
    const responses = stream[Symbol.asyncIterator]();
    await responses.next();
    await pause(1000);
    const ahead = ((await unary(client, { text: "sent" })).count - before) * CHUNK.length;
    assert.ok(ahead < AHEAD_MAX, `${ahead} bytes sent to a paused reader`);
    for (let read = 0; read < 5000; read++) assert.equal((await responses.next()).done, false);
    stream.on("error", () => {});
    stream.cancel();
  },
  async paused_upload(client) {
    let sent = 0;
    const call = collect(client, async (stream) => {
      stream.write({ text: "pause" });
      for (; sent < UPLOADS; sent++) {
        if (stream.write({ payload: CHUNK })) continue;
        await new Promise((resolve) => stream.once("drain", resolve));
      }
      stream.end();
    });
    await pause(500);
    assert.ok(sent * CHUNK.length < AHEAD_MAX, `${sent} messages sent to a paused reader`);
    assert.equal((await call).count, UPLOADS + 1);
  },
  async drained_while_streaming(client) {
    const stream = client.Converse(new grpc.Metadata(), within(60_000));
    const responses = stream[Symbol.asyncIterator]();
    await exchange(stream, responses, 1);
    await unary(client, { text: "drain" });
    await pause(300);
    for (let count = 2; count <= 20; count++) await exchange(stream, responses, count);
    stream.end();
    assert.equal((await responses.next()).done, true);
    await failsWith(grpc.status.UNAVAILABLE, unary(client, {}, { wait_ms: 10_000 }));
  },
  async killed_while_streaming(client) {
    const stream = client.Converse(new grpc.Metadata(), within(20_000));
    const responses = stream[Symbol.asyncIterator]();
    stream.write({ text: "once" });
    await responses.next();
    await unary(client, { text: "die" });
    await failsWith(grpc.status.UNAVAILABLE, responses.next());
  },
  async turned_away(client) {
    await failsWith(grpc.status.UNAVAILABLE, unary(client, {}, { wait_ms: 10_000 }));
  },
};

async function runCases() {
  for (const asked of options.cases.split(",")) {
    const [label, name = label] = asked.split(":");
    const client = newClient();
    const started_ms = performance.now();
    let line;
    try {
      await CASES[name](client);
      line = { case: label, ok: true, ms: Math.round(performance.now() - started_ms) };
    } catch (error) {
      line = { case: label, ok: false, reason: String(error.message ?? error).slice(0, 500) };
    }
    client.close();
    console.log(JSON.stringify(line));
  }
  process.exit(0);
}

if (mode === "server") serve();
else runCases();
