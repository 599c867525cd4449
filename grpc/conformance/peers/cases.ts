/**
 * The cases every peer's client runs against this module's server, here as this module's client runs
 * them against every peer's server (README.md).
 *
 * @module
 */

import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type Bounds,
  type Channel,
  type Client,
  Code,
  createClient,
  GrpcError,
  Metadata,
} from "../../mod.ts";
import { Echo, type EchoMessage, EchoMessageSchema } from "../../gen/echo_pb.ts";

/** What a case works with. */
export interface CaseWorld {
  readonly client: Client<typeof Echo>;
  /** A channel of the case's own to the same server. */
  newChannel(bounds?: Partial<Bounds>): Channel;
  /** What the server says of a request over its cap: RESOURCE_EXHAUSTED, but for tonic. */
  readonly over_cap_code: Code;
  /** Whether the server can send metadata beside an OK; tonic's cannot. */
  readonly trailers_with_ok: boolean;
}

type Request = { text?: string; payload?: Uint8Array; count?: number };

/** Every peer's cap of one received message. */
const CAP_BYTES = 4 * 1024 * 1024;
/** What a server may have sent, and a client sent, to somebody who does not read. */
const RUN_AHEAD_BYTES_MAX = 16 * 1024 * 1024;
const CHUNK = new Uint8Array(4096).fill(7);
const UPLOADS = 10_000;
const MANY_CANCELS = 400;
/** What the case `gzip` sends, and gets back. */
export const GZIP_BYTES = 1_000_000;
export const GZIP_ROUNDS = 5;
const FLOODS = 500;
const FLOOD_BYTES = 65_000;
const POLL_MS = 20;

/** The cases by name, in the order they are run. */
export const CASES: Readonly<Record<string, (world: CaseWorld) => Promise<void>>> = {
  four_kinds: fourKinds,
  refused_with_metadata: refusedWithMetadata,
  metadata: echoedMetadata,
  metadata_over_limit: metadataOverLimit,
  headers_first: headersFirst,
  unimplemented: async ({ client }) =>
    void await rejectsWith(Code.UNIMPLEMENTED, client.absent({})),
  aborted_by_server: async ({ client }) => {
    const requests = new Requests();
    const responses = client.converse(requests)[Symbol.asyncIterator]();
    requests.send({ text: "once" });
    assert.equal((await responses.next()).value?.text, "once");
    requests.send({ text: "abort" });
    assert.equal((await rejectsWith(Code.ABORTED, responses.next())).message, "enough");
    requests.end();
  },
  cancelled_by_client: cancelledByClient,
  deadline: async ({ client }) => {
    const before = await cancelledCount(client);
    const call = client.unary({ text: "hang" }, { timeout_ms: 200 });
    await rejectsWith(Code.DEADLINE_EXCEEDED, call);
    await untilCancelled(client, before);
  },
  deadline_is_told: async ({ client }) => {
    const { count } = await client.unary({ text: "deadline" }, { timeout_ms: 30_000 });
    assert.ok(count > 20_000 && count <= 31_000, `${count} ms left`);
  },
  request_at_cap: async ({ client }) => {
    const payload = payloadOf("length", CAP_BYTES);
    assert.equal((await client.unary({ text: "length", payload })).count, payload.length);
  },
  request_over_cap: async ({ client, over_cap_code }) => {
    const payload = payloadOf("length", CAP_BYTES + 1);
    await rejectsWith(over_cap_code, client.unary({ text: "length", payload }));
    assert.equal((await client.unary({ count: 1 })).count, 1);
  },
  response_at_cap: async ({ client }) => {
    const { length } = payloadOf("", CAP_BYTES);
    assert.equal((await client.unary({ text: "size", count: length })).payload.length, length);
  },
  response_over_cap: async ({ client }) => {
    const count = payloadOf("", CAP_BYTES).length + 1;
    await rejectsWith(Code.RESOURCE_EXHAUSTED, client.unary({ text: "size", count }));
    assert.equal((await client.unary({ count: 1 })).count, 1);
  },
  reconnects: async ({ newChannel }) => {
    for (let count = 1; count <= 200; count++) {
      const channel = newChannel();
      assert.equal((await createClient(Echo, channel).unary({ count })).count, count);
      await channel.close();
    }
  },
  parallel: async ({ client }) => {
    const counts = Array.from({ length: 500 }, (_, count) => count);
    const answers = await Promise.all(counts.map((count) => client.unary({ count })));
    assert.deepEqual(answers.map(({ count }) => count), counts);
  },
  many_cancels: manyCancels,
  flood: flood,
  small_windows: smallWindows,
  paused_reader: pausedReader,
  paused_upload: pausedUpload,
  gzip: gzip,
  drained_while_streaming: drainedWhileStreaming,
  killed_while_streaming: async ({ client }) => {
    const requests = new Requests();
    const responses = client.converse(requests)[Symbol.asyncIterator]();
    requests.send({ text: "once" });
    assert.equal((await responses.next()).done, false);
    await client.unary({ text: "die" });
    await rejectsWith(Code.UNAVAILABLE, responses.next());
    requests.end();
  },
  turned_away: async ({ client }) =>
    void await rejectsWith(Code.UNAVAILABLE, client.unary({}, { timeout_ms: 10_000 })),
};

/** Requests that a case sends one by one. */
class Requests implements AsyncIterable<Request> {
  readonly #waiting: Request[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  send(request: Request): void {
    this.#waiting.push(request);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Request> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) yield next;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}

async function* numbered(count: number): AsyncGenerator<Request> {
  for (let index = 0; index < count; index++) yield await Promise.resolve({ count: index });
}

async function rejectsWith(code: Code, call: Promise<unknown>): Promise<GrpcError> {
  const [outcome] = await Promise.allSettled([call]);
  assert.ok(outcome?.status === "rejected", "the call went well");
  assert.ok(outcome.reason instanceof GrpcError, String(outcome.reason));
  assert.equal(outcome.reason.code, code, outcome.reason.message);
  return outcome.reason;
}

/** The payload that makes a message of exactly so many encoded bytes. */
function payloadOf(text: string, message_bytes: number): Uint8Array {
  const empty = create(EchoMessageSchema, { text, payload: new Uint8Array(message_bytes - 32) });
  return new Uint8Array(
    message_bytes - 32 + message_bytes - toBinary(EchoMessageSchema, empty).length,
  );
}

async function fourKinds({ client }: CaseWorld): Promise<void> {
  const payload = crypto.getRandomValues(new Uint8Array(50_000));
  const unary = await client.unary({ text: "héllo", payload, count: -1 });
  assert.equal(unary.text, "héllo");
  assert.deepEqual(unary.payload, payload);
  assert.equal(unary.count, -1);
  const expanded = await Array.fromAsync(client.expand({ count: 500, payload: CHUNK }));
  assert.deepEqual(expanded.map(({ count }) => count), Array.from({ length: 500 }, (_, n) => n));
  assert.ok(expanded.every((message) => message.payload.length === CHUNK.length));
  assert.equal((await client.collect(numbered(200))).count, 200);
  const requests = new Requests();
  const responses = client.converse(requests)[Symbol.asyncIterator]();
  for (let count = 1; count <= 200; count++) {
    requests.send({ count });
    assert.equal((await responses.next()).value?.count, count);
  }
  requests.end();
  assert.equal((await responses.next()).done, true);
}

async function refusedWithMetadata({ client }: CaseWorld): Promise<void> {
  const error = await rejectsWith(Code.FAILED_PRECONDITION, client.unary({ text: "refuse" }));
  assert.equal(error.message, "not täday 100%");
  assert.equal(error.metadata.get("x-reason"), "because");
  assert.deepEqual(error.metadata.getBinary("x-raw-bin"), Uint8Array.of(0, 255));
}

async function echoedMetadata({ client, trailers_with_ok }: CaseWorld): Promise<void> {
  const raw = Uint8Array.from({ length: 256 }, (_, index) => index);
  const many = [Uint8Array.of(0), Uint8Array.of(1, 255)];
  const metadata = new Metadata().set("x-long", "v".repeat(6000))
    .append("x-many", "one").append("x-many", "two").setBinary("x-raw-bin", raw);
  for (const value of many) metadata.appendBinary("x-many-bin", value);
  const seen: Metadata[] = [];
  await client.unary({ text: "metadata" }, {
    metadata,
    onHeaders: (headers) => seen.push(headers),
    onTrailers: (trailers) => trailers_with_ok && seen.push(trailers),
  });
  assert.equal(seen.length, trailers_with_ok ? 2 : 1);
  for (const echoed of seen) {
    assert.equal(echoed.get("x-long"), "v".repeat(6000));
    // A peer may join repeated fields by commas, and Node does.
    assert.equal(echoed.getAll("x-many").join(", "), "one, two");
    assert.deepEqual(echoed.getBinary("x-raw-bin"), raw);
    assert.deepEqual(echoed.getAllBinary("x-many-bin"), many);
  }
}

/** Whatever becomes of the call, the connection lives. */
async function metadataOverLimit({ client }: CaseWorld): Promise<void> {
  const metadata = new Metadata();
  for (const name of ["a", "b", "c", "d", "e"]) metadata.set(`x-${name}`, name.repeat(4096));
  await client.unary({}, { metadata }).catch((reason) => assert.ok(reason instanceof GrpcError));
  assert.equal((await client.unary({ count: 1 })).count, 1);
}

async function headersFirst({ client }: CaseWorld): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const requests = async function* () {
    await promise;
    yield { text: "late" };
  };
  const metadata = new Metadata().set("x-early", "yes");
  const call = client.converse(requests(), { metadata, onHeaders: () => resolve() });
  assert.deepEqual((await Array.fromAsync(call)).map(({ text }) => text), ["late"]);
}

async function manyCancels({ client }: CaseWorld): Promise<void> {
  const before = await cancelledCount(client);
  for (let round = 0; round < MANY_CANCELS; round++) {
    for await (const _ of client.expand({ text: "hang" })) break;
  }
  assert.equal((await client.unary({ count: 1 })).count, 1);
  await untilCancelled(client, before + MANY_CANCELS - 1);
}

/** Both directions at once and full. */
async function flood({ client }: CaseWorld): Promise<void> {
  const payload = new Uint8Array(FLOOD_BYTES).fill(3);
  async function* requests(): AsyncGenerator<Request> {
    for (let count = 0; count < FLOODS; count++) yield await Promise.resolve({ payload, count });
  }
  let next = 0;
  for await (const message of client.converse(requests())) {
    assert.equal(message.count, next++);
    assert.equal(message.payload.length, payload.length);
  }
  assert.equal(next, FLOODS);
}

/** Large messages that compress well; whether they did is counted on the wire. */
async function gzip({ client }: CaseWorld): Promise<void> {
  const payload = new Uint8Array(GZIP_BYTES);
  for (let round = 0; round < GZIP_ROUNDS; round++) {
    assert.equal((await client.unary({ payload })).payload.length, payload.length);
  }
}

/** A window of a kilobyte, through which a megabyte has to pass. */
async function smallWindows({ newChannel }: CaseWorld): Promise<void> {
  const channel = newChannel({ stream_window_bytes: 1000, connection_window_bytes: 65_535 });
  const client = createClient(Echo, channel);
  const sizes = [1, 999, 1000, 1001, 100_000, 1_000_000];
  const calls = sizes.map((count) => client.unary({ text: "size", count }));
  assert.deepEqual((await Promise.all(calls)).map(({ payload }) => payload.length), sizes);
  await channel.close();
}

async function cancelledCount(client: Client<typeof Echo>): Promise<number> {
  return (await client.unary({ text: "cancelled" })).count;
}

/** Waits until the server's handler has heard that its call is over; the case's time limits it. */
async function untilCancelled(client: Client<typeof Echo>, before: number): Promise<void> {
  while (await cancelledCount(client) <= before) await pause(POLL_MS);
}

async function cancelledByClient({ client }: CaseWorld): Promise<void> {
  const before = await cancelledCount(client);
  const abort = new AbortController();
  const responses = client.expand({ text: "hang" }, { signal: abort.signal })[
    Symbol.asyncIterator
  ]();
  assert.equal((await responses.next()).done, false);
  abort.abort();
  await rejectsWith(Code.CANCELLED, responses.next());
  await untilCancelled(client, before);
}

async function pausedReader({ client }: CaseWorld): Promise<void> {
  const memory_before = Deno.memoryUsage().rss;
  const { count: before } = await client.unary({ text: "sent" });
  const responses = client.expand({ text: "forever", payload: CHUNK })[Symbol.asyncIterator]();
  assert.equal((await responses.next()).done, false);
  await pause(1000);
  const { count } = await client.unary({ text: "sent" });
  const ahead_bytes = (count - before) * CHUNK.length;
  assert.ok(ahead_bytes < RUN_AHEAD_BYTES_MAX, `${ahead_bytes} bytes sent to a paused reader`);
  const grown_bytes = Deno.memoryUsage().rss - memory_before;
  assert.ok(grown_bytes < 4 * RUN_AHEAD_BYTES_MAX, `grew by ${grown_bytes} bytes`);
  for (let read = 0; read < 5000; read++) assert.equal((await responses.next()).done, false);
  await responses.return?.();
}

async function pausedUpload({ client }: CaseWorld): Promise<void> {
  let sent = 0;
  async function* requests(): AsyncGenerator<Request> {
    yield await Promise.resolve({ text: "pause" });
    for (; sent < UPLOADS; sent++) yield { payload: CHUNK };
  }
  const call = client.collect(requests());
  await pause(500);
  const ahead_bytes = sent * CHUNK.length;
  assert.ok(ahead_bytes < RUN_AHEAD_BYTES_MAX, `${ahead_bytes} bytes sent to a paused reader`);
  assert.equal((await call).count, UPLOADS + 1);
}

async function drainedWhileStreaming({ client }: CaseWorld): Promise<void> {
  const requests = new Requests();
  const responses: AsyncIterator<EchoMessage> = client.converse(requests)[Symbol.asyncIterator]();
  const exchange = async (count: number) => {
    requests.send({ count });
    assert.equal((await responses.next()).value?.count, count);
  };
  await exchange(1);
  await client.unary({ text: "drain" });
  await pause(300);
  for (let count = 2; count <= 20; count++) await exchange(count);
  requests.end();
  assert.equal((await responses.next()).done, true);
  await rejectsWith(Code.UNAVAILABLE, client.unary({}, { timeout_ms: 10_000 }));
}

function pause(wait_ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, wait_ms));
}
