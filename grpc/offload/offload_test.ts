/**
 * Calls through a front on a thread of its own, held against the same calls without one.
 */
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { type CallContext, Channel, type ChannelOptions, Code, createClient } from "../mod.ts";
import {
  GrpcError,
  GrpcServer,
  Metadata,
  type ServerOptions,
  type ServiceHandlers,
} from "../mod.ts";
import { Echo, EchoMessageSchema } from "../gen/echo_pb.ts";
import { detailOf, ErrorInfoSchema } from "../error_details.ts";
import type { ListenOptions } from "../server/listener.ts";
import { ECHO_HANDLERS } from "../testing/echo_server.ts";
import { Flag, frame, FrameType, prefixed, RawPeer, requestFields } from "../testing/raw_peer.ts";
import { FRONT_WAITING_BYTES_MAX } from "./front.ts";
import { type FrontPatience, OffloadedFront } from "./offloaded_front.ts";

type Handlers = Partial<ServiceHandlers<typeof Echo>>;

const pem = (name: string) =>
  Deno.readTextFileSync(new URL(`../testdata/${name}`, import.meta.url));
const CA = pem("authority.pem");
const SERVER = { cert: pem("server.pem"), key: pem("server.key") };
const AGENT = { cert: pem("agent.pem"), key: pem("agent.key") };

const TCP: ListenOptions = { transport: "tcp", hostname: "127.0.0.1", port: 0, reusePort: true };

/** A server, with fronts or without. */
interface Served {
  readonly server: GrpcServer;
  readonly target: string;
  readonly fronts: readonly OffloadedFront[];
  readonly workers: readonly Worker[];
}

function frontWorker(): Worker {
  return new Worker(new URL("../testing/front_worker.ts", import.meta.url), { type: "module" });
}

async function serve(
  front_count: number,
  handlers: Handlers = {},
  options: ServerOptions = {},
  listen: ListenOptions = TCP,
  patience?: FrontPatience,
): Promise<Served> {
  const server = new GrpcServer(options);
  server.addService(Echo, { ...ECHO_HANDLERS, ...handlers });
  if (front_count === 0) {
    const { address } = await server.listen(listen);
    return { server, target: address, fronts: [], workers: [] };
  }
  const fronts: OffloadedFront[] = [];
  const workers: Worker[] = [];
  let bound = { address: "", port: listen.transport === "unix" ? 0 : listen.port };
  for (let count = 0; count < front_count; count++) {
    const worker = frontWorker();
    const front = OffloadedFront.open(server, worker, patience === undefined ? {} : { patience });
    workers.push(worker);
    fronts.push(front);
    const { address, port = 0 } = await front.listen(
      { ...listen, port: bound.port } as ListenOptions,
    );
    bound = { address, port };
  }
  return { server, target: bound.address, fronts, workers };
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline_ms = performance.now() + 10_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline_ms, `never came to pass: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

function message(count: number, text = "") {
  return create(EchoMessageSchema, { count, text });
}

// The same script, with and without

/** Does with each call what its text asks for. */
const SCRIPTED: Handlers = {
  unary: async (request, context) => {
    show(context);
    await Promise.resolve();
    obey(request.text, context);
    return message(request.count + 1, context.metadata.getAll("x-ask").join("|"));
  },
  expand: async function* (request, context) {
    show(context);
    for (let index = 0; index < request.count; index++) yield await Promise.resolve(message(index));
    obey(request.text, context);
  },
  collect: async (requests, context) => {
    show(context);
    let count = 0;
    let text = "";
    for await (const request of requests) {
      count++;
      text = request.text;
    }
    obey(text, context);
    return message(count);
  },
  converse: async function* (requests, context) {
    show(context);
    for await (const request of requests) {
      obey(request.text, context);
      yield request;
    }
  },
};

function show(context: CallContext): void {
  context.headers.set("x-method", context.method);
  context.trailers.set("x-plain", "trailer").setBinary("x-bytes-bin", Uint8Array.of(0, 255, 1));
  context.trailers.set("x-has-deadline", String(context.deadline_ms !== undefined));
}

function obey(text: string, context: CallContext): void {
  switch (text) {
    case "refuse":
      throw new GrpcError("refused: ä \u{1f600} %", Code.FAILED_PRECONDITION, {
        metadata: new Metadata().set("x-why", "asked for"),
        details: [detailOf(ErrorInfoSchema, { reason: "ASKED", domain: "test" })],
      });
    case "throw":
      throw new Error("a secret of the server");
    case "long":
      throw new GrpcError("w".repeat(5_000), Code.ABORTED);
    case "heavy trailers":
      context.trailers.set("x-heavy", "h".repeat(20_000));
      return;
    case "large":
      context.trailers.set("x-large", "l".repeat(3_000));
      return;
    case "early":
      context.sendHeaders();
  }
}

/** Everything a caller can tell of one call. */
async function told(run: (options: object) => Promise<unknown>): Promise<unknown> {
  let headers: unknown;
  let trailers: unknown;
  const options = {
    timeout_ms: 20_000,
    metadata: new Metadata().append("x-ask", "one").append("x-ask", "two"),
    onHeaders: (metadata: Metadata) => headers = [...metadata.fields],
    onTrailers: (metadata: Metadata) => trailers = [...metadata.fields],
  };
  try {
    return { result: await run(options), headers, trailers };
  } catch (error) {
    assert.ok(error instanceof GrpcError, String(error));
    const { code, message: text, metadata } = error;
    const details = error.findDetails(ErrorInfoSchema).map(({ reason }) => reason);
    return { code, text, fields: [...metadata.fields], details, headers, trailers };
  }
}

async function* several(texts: readonly string[]) {
  for (const text of texts) yield await Promise.resolve({ text, payload: new Uint8Array(10_000) });
}

async function all(messages: AsyncIterable<{ count: number; text: string }>): Promise<unknown[]> {
  const seen: unknown[] = [];
  for await (const { count, text } of messages) seen.push([count, text]);
  return seen;
}

async function script(target: string): Promise<unknown[]> {
  const channel = new Channel(target);
  const client = createClient(Echo, channel);
  const said: unknown[] = [];
  try {
    for (const text of ["", "refuse", "throw", "long", "heavy trailers", "large", "early"]) {
      said.push(await told((options) => client.unary({ text, count: 4 }, options)));
      said.push(await told(async (o) => await all(client.expand({ text, count: 30 }, o))));
      said.push(await told((o) => client.collect(several(["", "", text]), o)));
      said.push(await told(async (o) => await all(client.converse(several(["", text, ""]), o))));
    }
    said.push(await told((options) => client.absent({}, options)));
    said.push(
      await told((options) => client.unary({ payload: new Uint8Array(5_000_000) }, options)),
    );
    said.push(await told((o) => client.unary({}, { ...o, timeout_ms: 0 })));
    said.push(await told(async (o) => await all(client.expand({ count: 0 }, o))));
    said.push(await told((o) => client.collect(several([]), o)));
    return said;
  } finally {
    await channel.close();
  }
}

Deno.test("the same calls through a front have the same answers, metadata, trailers and statuses", async () => {
  const said: unknown[][] = [];
  for (const fronts of [0, 1]) {
    const { server, target } = await serve(fronts, SCRIPTED);
    said.push(await script(target));
    await server.shutdown();
  }
  assert.equal(said[0]?.length, 33);
  assert.deepEqual(said[1], said[0]);
});

Deno.test("compression through a front is what it is without one, message by message", async () => {
  const large = "large ".repeat(1000);
  const handlers: Handlers = {
    unary: (request) => request,
    expand: async function* (_request, context) {
      for (const compression of ["gzip", "identity", "gzip"] as const) {
        context.compression = compression;
        yield await Promise.resolve(message(0, large));
      }
    },
    converse: async function* (_requests, context) {
      context.compression = "identity";
      yield await Promise.resolve(message(0, large));
    },
  };
  const body = prefixed(gzipSync(toBinary(EchoMessageSchema, message(0, large))), 1);
  const said: unknown[][] = [];
  for (const fronts of [0, 1]) {
    const { server, target } = await serve(fronts, handlers, { compression: "gzip" });
    const client = await RawPeer.open(Number(target.split(":").at(-1)));
    const seen: unknown[] = [];
    for (const [index, method] of ["Unary", "Expand", "Converse"].entries()) {
      const id = 2 * index + 1;
      const fields = requestFields({
        ":path": `/grpc.test.v1.Echo/${method}`,
        "grpc-encoding": "gzip",
        "grpc-accept-encoding": "gzip",
      });
      await client.send(
        client.headers(id, Flag.END_HEADERS, fields),
        frame(FrameType.DATA, Flag.END_STREAM, id, body),
      );
      const { "grpc-encoding": encoding, "grpc-status": status } = await client.response(id);
      const flags = client.frames.filter((each) =>
        each.type === FrameType.DATA && each.stream_id === id
      ).map((each) => each.payload[0]);
      seen.push([method, encoding, status, ...flags]);
    }
    said.push(seen);
    client.close();
    await server.shutdown();
  }
  assert.deepEqual(said[0], [
    ["Unary", "gzip", "0", 1],
    ["Expand", "gzip", "0", 1, 0, 1],
    ["Converse", undefined, "0", 0],
  ]);
  assert.deepEqual(said[1], said[0]);
});

Deno.test("messages larger than every window and credit arrive whole, both ways", async () => {
  const { server, target } = await serve(1);
  const channel = new Channel(target);
  const client = createClient(Echo, channel);
  const payload = crypto.getRandomValues(new Uint8Array(60_000));
  const large = new Uint8Array(4 * 1024 * 1024 - 100).fill(7);
  assert.deepEqual((await client.unary({ payload: large })).payload, large);
  async function* requests() {
    for (let index = 0; index < 100; index++) yield await Promise.resolve({ payload });
  }
  let count = 0;
  for await (const answer of client.converse(requests())) {
    assert.deepEqual(answer.payload, payload);
    count++;
  }
  assert.equal(count, 100);
  count = 0;
  for await (const answer of client.expand({ count: 100, payload })) count += answer.payload.length;
  assert.equal(count, 100 * payload.length);
  await channel.close();
  await server.shutdown();
});

// Cancelling and deadlines

/** A handler that waits for its abort and keeps its reason. */
function waiting() {
  const begun = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<GrpcError>();
  const handlers: Handlers = {
    unary: async (request, { signal }) => {
      begun.resolve();
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      ended.resolve(signal.reason);
      return request;
    },
  };
  return { handlers, begun: begun.promise, ended: ended.promise };
}

Deno.test("a cancelled call, a passed deadline and a lost connection reach the handler by name", async () => {
  for (const fronts of [0, 1]) {
    const cancelled = waiting();
    const first = await serve(fronts, cancelled.handlers);
    const channel = new Channel(first.target);
    const abort = new AbortController();
    const call = createClient(Echo, channel).unary({}, { signal: abort.signal });
    await cancelled.begun;
    abort.abort();
    await assert.rejects(call, { code: Code.CANCELLED });
    assert.equal((await cancelled.ended).code, Code.CANCELLED);
    await channel.close();
    await first.server.shutdown();

    // By hand: a client of ours would also cancel at its own deadline.
    const late = waiting();
    const second = await serve(fronts, late.handlers);
    const raw = await RawPeer.open(Number(second.target.split(":").at(-1)));
    await raw.send(
      raw.headers(1, Flag.END_HEADERS, requestFields({ "grpc-timeout": "50m" })),
      frame(FrameType.DATA, Flag.END_STREAM, 1, prefixed([])),
    );
    assert.equal((await raw.response(1))["grpc-status"], "4");
    assert.equal((await late.ended).code, Code.DEADLINE_EXCEEDED);
    raw.close();
    await second.server.shutdown();

    const lost = waiting();
    const third = await serve(fronts, lost.handlers);
    const last = new Channel(third.target);
    const open = createClient(Echo, last).unary({});
    open.catch(() => {});
    await lost.begun;
    await last.close();
    const { code } = await lost.ended;
    assert.ok(code === Code.UNAVAILABLE || code === Code.CANCELLED, `code ${code}`);
    await third.server.shutdown();
  }
});

Deno.test("a cancelled call whose handler still works keeps its place on its connection", async () => {
  const release = Promise.withResolvers<void>();
  let running = 0;
  const { server, target } = await serve(1, {
    unary: async (request) => {
      if (request.text !== "hold") return request;
      running++;
      await release.promise;
      running--;
      return request;
    },
  }, { bounds: { concurrent_streams: 2 } });
  const channel = new Channel(target);
  const client = createClient(Echo, channel);
  for (let count = 0; count < 2; count++) {
    const abort = new AbortController();
    const call = client.unary({ text: "hold" }, { signal: abort.signal });
    await until(() => running > count, "the handler runs");
    abort.abort();
    await assert.rejects(call, { code: Code.CANCELLED });
  }
  await assert.rejects(client.unary({}, { timeout_ms: 300 }), "both places are taken");
  release.resolve();
  await until(() => running === 0, "the handlers settled");
  assert.equal((await client.unary({ text: "again" }, { timeout_ms: 5_000 })).text, "again");
  await channel.close();
  await server.shutdown();
});

Deno.test("a handler is held back by a reader far away, a sender by a handler far away", async () => {
  let produced = 0;
  const taken = Promise.withResolvers<void>();
  const payload = new Uint8Array(50_000);
  const { server, target } = await serve(1, {
    expand: async function* () {
      for (; produced < 10_000; produced++) yield await Promise.resolve({ ...message(0), payload });
    },
    collect: async (requests) => {
      await taken.promise;
      let count = 0;
      for await (const _ of requests) count++;
      return message(count);
    },
  });
  const channel = new Channel(target);
  const client = createClient(Echo, channel);
  const answers = client.expand({})[Symbol.asyncIterator]();
  await answers.next();
  let before = -1;
  await until(() => {
    const still = produced === before;
    before = produced;
    return still;
  }, "the handler stopped");
  assert.ok(produced < 1_000, `${produced} messages were produced for one that was read`);
  await answers.return?.();

  let sent = 0;
  async function* requests() {
    for (; sent < 500; sent++) yield await Promise.resolve({ payload });
  }
  const answer = client.collect(requests());
  before = -1;
  await until(() => {
    const still = sent === before;
    before = sent;
    return still && sent > 0;
  }, "the sender stopped");
  assert.ok(sent < 100, `${sent} messages were sent to a handler that reads none`);
  taken.resolve();
  assert.equal((await answer).count, 500);
  await channel.close();
  await server.shutdown();
});

// Who calls

Deno.test("the identity of a client certificate survives the crossing, and only that", async () => {
  const listen: ListenOptions = {
    transport: "tls",
    hostname: "127.0.0.1",
    port: 0,
    ...SERVER,
    clientCa: CA,
    reusePort: true,
  };
  const seen: unknown[] = [];
  for (const fronts of [0, 1]) {
    const { server, target } = await serve(
      fronts,
      {
        unary: (request, { peer }) => {
          assert.match(peer.address, /^127\.0\.0\.1:\d+$/);
          seen.push({ ...peer, address: "" });
          return request;
        },
      },
      {},
      listen,
    );
    const options: ChannelOptions = { tls: { ca: CA, ...AGENT } };
    const channel = new Channel(target, options);
    // What a client says of itself in metadata is metadata.
    const metadata = new Metadata().set("peer", "unix").set("x-client-cert", "CN=admin");
    await createClient(Echo, channel).unary({}, { metadata });
    await channel.close();
    const stranger = new Channel(target, { tls: { ca: CA } });
    await assert.rejects(createClient(Echo, stranger).unary({}), { code: Code.UNAVAILABLE });
    await stranger.close();
    await server.shutdown();
  }
  assert.equal((seen[0] as { transport: string }).transport, "tls");
  assert.deepEqual(seen[1], seen[0]);
});

// Bounds

Deno.test("a front whose origin is behind loses nothing", async () => {
  let handled = 0;
  const { server, target } = await serve(1, {
    unary: (request) => {
      handled++;
      // The origin's thread is busy: nothing is taken meanwhile.
      for (const end_ms = performance.now() + 5; performance.now() < end_ms;);
      return request;
    },
  });
  const channel = new Channel(target);
  const client = createClient(Echo, channel);
  const payload = new Uint8Array(FRONT_WAITING_BYTES_MAX / 4);
  const calls = Array.from({ length: 100 }, (_, count) => client.unary({ count, payload }));
  const answers = await Promise.all(calls);
  assert.deepEqual(answers.map(({ count }) => count), Array.from({ length: 100 }, (_, at) => at));
  assert.equal(handled, 100);
  await channel.close();
  await server.shutdown();
});

Deno.test("a front's connections and refusals show in its server's counters, and go with it", async () => {
  const patience = { ping_interval_ms: 5, pings_unanswered_max: 1_000 };
  const { server, target, fronts } = await serve(1, {}, {}, TCP, patience);
  const channel = new Channel(target);
  await createClient(Echo, channel).unary({});
  await assert.rejects(createClient(Echo, channel).absent({}), { code: Code.UNIMPLEMENTED });
  await until(() => server.stats.connections_open === 1, "the connection shows");
  assert.equal(server.stats.calls_ok, 1);
  await until(() => server.stats.refused.unknown_method === 1, "the refusal shows");
  fronts[0]?.close();
  assert.equal(server.stats.connections_open, 0);
  assert.equal(server.stats.calls_held, 0);
  assert.equal(server.stats.connections_accepted, 1);
  await channel.close();
  await server.shutdown();
});

// Ends

/** A conversation that is kept open. */
function conversation(target: string) {
  const channel = new Channel(target);
  const said: ((request: { text: string } | undefined) => void)[] = [];
  async function* requests() {
    for (;;) {
      const request = await new Promise<{ text: string } | undefined>((say) => said.push(say));
      if (request === undefined) return;
      yield request;
    }
  }
  const answers = createClient(Echo, channel).converse(requests())[Symbol.asyncIterator]();
  return {
    /** Says something; the answer, or undefined when the conversation broke off. */
    async ask(text: string): Promise<string | undefined> {
      const answer = answers.next();
      answer.catch(() => {});
      await until(() => said.length > 0, "the last request was taken");
      said.shift()?.({ text });
      try {
        return (await answer).value?.text;
      } catch (error) {
        assert.ok(error instanceof GrpcError && error.code === Code.UNAVAILABLE, String(error));
        return undefined;
      }
    },
    async close(): Promise<void> {
      said.shift()?.(undefined);
      await channel.close();
    },
  };
}

Deno.test("a front that crashes takes its own connections with it, tells their handlers, and no others", async () => {
  let told = 0;
  const { server, target, fronts, workers } = await serve(2, {
    converse: async function* (requests, { signal }) {
      signal.addEventListener("abort", () => told++);
      for await (const request of requests) yield request;
    },
  });
  // The system spreads connections over both fronts: all on one happens once in 2^23 runs.
  const talks = Array.from({ length: 24 }, () => conversation(target));
  for (const talk of talks) assert.equal(await talk.ask("before"), "before");
  workers[0]?.postMessage({ type: "nonsense" });
  assert.match(await fronts[0]?.ended ?? "", /does not know/);
  assert.deepEqual(fronts.map(({ alive }) => alive), [false, true]);
  const lost = told;
  const after = await Promise.all(talks.map((talk) => talk.ask("after")));
  assert.ok(lost > 0 && lost < talks.length, `${lost} of ${talks.length} were on the front`);
  assert.equal(after.filter((text) => text === undefined).length, lost);
  assert.equal(after.filter((text) => text === "after").length, talks.length - lost);
  const late = new Channel(target);
  const answer = await createClient(Echo, late).unary({ text: "new" }, { wait_for_ready: true });
  assert.equal(answer.text, "new", "new connections come to the other front");
  await Promise.all([late.close(), ...talks.map((talk) => talk.close())]);
  await server.shutdown();
});

Deno.test("calls of a front that is ended hear that their connection is gone", async () => {
  const held = waiting();
  const { server, target, fronts } = await serve(1, held.handlers);
  const channel = new Channel(target);
  const call = createClient(Echo, channel).unary({});
  await held.begun;
  fronts[0]?.close();
  assert.equal((await held.ended).code, Code.UNAVAILABLE);
  await assert.rejects(call, { code: Code.UNAVAILABLE });
  await until(() => server.stats.calls_open === 0, "the call is over");
  await channel.close();
  await server.shutdown();
});

Deno.test("a front that says nothing any more is ended", async () => {
  const stuck = new Worker(new URL("../testing/stuck_worker.ts", import.meta.url), {
    type: "module",
  });
  const server = new GrpcServer();
  const patience = { ping_interval_ms: 5, pings_unanswered_max: 20 };
  const front = OffloadedFront.open(server, stuck, { patience });
  await assert.rejects(front.listen(TCP), /20 questions unanswered/);
  assert.match(await front.ended, /20 questions unanswered/);
  await server.shutdown();
});

Deno.test("a front that sends what is no batch is ended, and its server lives", async () => {
  for (const batch of [[0, 0, 0, 1], [0, 0, 0, 0, 99, 0, 0, 0, 1], [0, 0, 0, 0, 3, 0], [1]]) {
    const { server, target } = await serve(0);
    const source = `self.postMessage({ type: "ready" }); self.postMessage(Uint8Array.from(${
      JSON.stringify(batch)
    })); self.onmessage = () => {};`;
    const liar = new Worker(`data:application/javascript,${encodeURIComponent(source)}`, {
      type: "module",
    });
    const front = OffloadedFront.open(server, liar);
    assert.match(await front.ended, /batch|taken|kind|frame/);
    const channel = new Channel(target);
    assert.equal((await createClient(Echo, channel).unary({ text: "t" })).text, "t");
    await channel.close();
    await server.shutdown();
  }
});

Deno.test("shutdown drains a front: what runs is answered, then its port is free", async () => {
  const begun = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const { server, target, fronts } = await serve(1, {
    unary: async (request) => {
      begun.resolve();
      await release.promise;
      return request;
    },
  });
  const channel = new Channel(target);
  const call = createClient(Echo, channel).unary({ text: "in flight" });
  await begun.promise;
  const over = server.shutdown({ grace_ms: 10_000 });
  release.resolve();
  assert.equal((await call).text, "in flight");
  await over;
  assert.match(await fronts[0]?.ended ?? "", /drained/);
  const late = new Channel(target);
  await assert.rejects(createClient(Echo, late).unary({}), { code: Code.UNAVAILABLE });
  await Promise.all([channel.close(), late.close()]);
});

Deno.test("binding that fails in a front is told by name", async () => {
  const server = new GrpcServer();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const front = OffloadedFront.open(server, frontWorker());
  const listen = front.listen({ ...TCP, port: taken.addr.port } as ListenOptions);
  await assert.rejects(listen, /EADDRINUSE|in use/i);
  await server.shutdown();
});
