/**
 * A client that calls without pause: the four kinds, small and large, with deadlines and cancels.
 * Prints one JSON line a second; SIGTERM ends it once every call has ended.
 *
 *     client.ts NAME TARGET plain|tls CALLS_PER_SECOND [reconnect,gzip]
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { crc32 } from "node:zlib";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Echo } from "../../gen/echo_pb.ts";
import { Channel, type Client, codeName, createClient, GrpcError } from "../../mod.ts";
import { Random } from "../random.ts";

const [name = "client", target = "", security = "plain", rate = "100", mode = ""] = Deno.args;
const CONCURRENCY = 12;
/** No call may hang: past it, even a lost connection has been noticed. */
const TIMEOUT_MS = 20_000;
const RECONNECT_EVERY_CALLS = 400;
const SAMPLES_PER_COLLECTION = 5;
const random = new Random(crc32(name) ^ Deno.pid);

function say(line: Readonly<Record<string, unknown>>): void {
  console.log(JSON.stringify(line));
}

globalThis.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  say({ type: "mistake", text: `unhandled rejection: ${event.reason?.stack ?? event.reason}` });
});
globalThis.addEventListener("error", (event) => {
  event.preventDefault();
  say({ type: "mistake", text: `uncaught: ${event.error?.stack ?? event.message}` });
});

/** What happened since the last line, by kind of call and status. */
let counts: Record<string, number> = {};
let wrong = 0;
let texts: Record<string, string> = {};

function openChannel(): Channel {
  const ca = () => Deno.readTextFileSync(new URL("../../testdata/authority.pem", import.meta.url));
  return new Channel(target, {
    compression: mode.includes("gzip") ? "gzip" : "identity",
    ...(security === "tls" ? { tls: { ca: ca(), serverName: "localhost" } } : {}),
    keepalive_interval_ms: 10_000,
    keepalive_timeout_ms: 4000,
    connect_timeout_ms: 3000,
    backoff: { initial_ms: 100, max_ms: 1000 },
  });
}

type EchoClient = Client<typeof Echo>;
type Call = (client: EchoClient) => Promise<void>;

class WrongData extends Error {}

function payloadOf(): Uint8Array {
  const payload = random.bytes(random.skewed(random.chance(0.02) ? 500_000 : 2000));
  // Half of it is worth compressing.
  return random.chance(0.5) ? payload : payload.fill(0x61, payload.length >> 2);
}

function expectSame(got: Uint8Array, sent: Uint8Array): void {
  if (got.length !== sent.length || crc32(got) !== crc32(sent)) {
    throw new WrongData(`${sent.length} bytes came back as ${got.length}`);
  }
}

const CALLS: Readonly<Record<string, Call>> = {
  unary: async (client) => {
    const payload = payloadOf();
    expectSame((await client.unary({ payload }, { timeout_ms: TIMEOUT_MS })).payload, payload);
  },
  expand: async (client) => {
    const payload = payloadOf();
    const count = random.between(1, payload.length > 50_000 ? 3 : 20);
    let seen = 0;
    for await (const each of client.expand({ payload, count }, { timeout_ms: TIMEOUT_MS })) {
      if (each.count !== seen++) throw new WrongData("messages out of order");
      expectSame(each.payload, payload);
    }
    if (seen !== count) throw new WrongData(`${count} messages came back as ${seen}`);
  },
  collect: async (client) => {
    const payloads = Array.from({ length: random.between(0, 6) }, payloadOf);
    async function* requests() {
      for (const payload of payloads) yield { payload };
    }
    const answer = await client.collect(requests(), { timeout_ms: TIMEOUT_MS });
    const sum = payloads.reduce((sum, payload) => crc32(payload, sum), 0);
    if (answer.count !== payloads.length || answer.text !== String(sum)) {
      throw new WrongData(`${payloads.length} requests arrived as ${answer.count}`);
    }
  },
  converse: async (client) => {
    const payloads = Array.from({ length: random.between(0, 6) }, payloadOf);
    async function* requests() {
      for (const payload of payloads) {
        yield { payload };
        if (random.chance(0.1)) await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    let seen = 0;
    for await (const each of client.converse(requests(), { timeout_ms: TIMEOUT_MS })) {
      expectSame(each.payload, payloads[seen++] ?? new Uint8Array(0));
    }
    if (seen !== payloads.length) throw new WrongData(`${payloads.length} became ${seen}`);
  },
  deadline: async (client) => {
    await client.unary({ count: 5000 }, { timeout_ms: random.between(1, 30) });
  },
  cancel: async (client) => {
    const abort = new AbortController();
    setTimeout(() => abort.abort(), random.between(0, 20));
    await client.unary({ count: 5000 }, { timeout_ms: TIMEOUT_MS, signal: abort.signal });
  },
  leave: async (client) => {
    const payload = random.bytes(1000);
    const responses = client.expand({ payload, count: 2000 }, { timeout_ms: TIMEOUT_MS });
    let left = 3;
    for await (const each of responses) {
      expectSame(each.payload, payload);
      if (--left === 0) break;
    }
  },
};
const MIX = [
  ...["unary", "unary", "unary", "unary", "expand", "collect", "converse"],
  ...["unary", "expand", "collect", "converse", "deadline", "cancel", "leave"],
];

async function callOnce(kind: string, client: EchoClient): Promise<void> {
  let status = "OK";
  try {
    await CALLS[kind]?.(client);
  } catch (reason) {
    if (reason instanceof WrongData) {
      wrong++;
      say({ type: "mistake", text: `wrong data in ${kind}: ${reason.message}` });
      status = "WRONG";
    } else if (reason instanceof GrpcError) {
      status = codeName(reason.code);
      texts[`${kind} ${status}`] = reason.message;
    } else {
      status = "OTHER";
      say({ type: "mistake", text: `${kind} ended with ${reason}` });
    }
  }
  const key = `${kind} ${status}`;
  counts[key] = (counts[key] ?? 0) + 1;
}

let stopping = false;
let calls = 0;
let channel = openChannel();
let client = createClient(Echo, channel);
const closing = new Set<Promise<void>>();

/** A fresh channel now and then; the old one ends when its calls have. */
function reconnect(open: Set<Promise<void>>): void {
  const old = channel;
  channel = openChannel();
  client = createClient(Echo, channel);
  const done = Promise.all([...open]).then(() => old.close());
  closing.add(done);
  done.then(() => closing.delete(done));
}

async function work(): Promise<void> {
  const wait_ms = 1000 * CONCURRENCY / Number(rate);
  const open = new Set<Promise<void>>();
  const next_ms = Array.from({ length: CONCURRENCY }, () => performance.now());
  await Promise.all(next_ms.map(async (started_ms, lane) => {
    for (let due_ms = started_ms + lane * wait_ms / CONCURRENCY; !stopping; due_ms += wait_ms) {
      // A lane that was held up does not catch up: a burst would prove nothing.
      due_ms = Math.max(due_ms, performance.now() - wait_ms);
      const pause_ms = due_ms - performance.now();
      if (pause_ms > 0) await new Promise((resolve) => setTimeout(resolve, pause_ms));
      const call = callOnce(random.pick(MIX), client);
      open.add(call);
      if (mode.includes("reconnect") && ++calls % RECONNECT_EVERY_CALLS === 0) reconnect(open);
      await call;
      open.delete(call);
    }
  }));
}

/** Sockets this process holds; the runtime's own descriptors come and go. */
function sockets(): number {
  let count = 0;
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      if (Deno.readLinkSync(`/proc/self/fd/${name}`).startsWith("socket:")) count++;
    } catch {
      // The descriptor of the folder itself, closed by now.
    }
  }
  return count;
}

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");
let samples = 0;
function sample(): void {
  const collected = ++samples % SAMPLES_PER_COLLECTION === 0;
  if (collected) collect();
  const heap = collected ? { heap_bytes: Deno.memoryUsage().heapUsed } : {};
  say({ type: "sample", counts, texts, wrong, state: channel.state, ...heap });
  counts = {};
  texts = {};
}

Deno.addSignalListener("SIGTERM", () => stopping = true);
const base_sockets = sockets();
say({ type: "ready" });
const sampler = setInterval(sample, 1000);
await work();
await Promise.all([...closing]);
await channel.close();
clearInterval(sampler);
sample();
// The runtime closes a socket in its own time.
const end_ms = performance.now() + 5000;
while (sockets() > base_sockets && performance.now() < end_ms) {
  await new Promise((resolve) => setTimeout(resolve, 50));
}
say({ type: "ended", sockets: sockets() - base_sockets });
Deno.exit(0);
