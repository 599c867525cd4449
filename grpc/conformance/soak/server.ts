/**
 * The server under load: echoes with checksums, prints one JSON line a second. Ends gracefully on
 * SIGTERM; every line has a `type`.
 *
 *     server.ts HOST PLAIN_PORT TLS_PORT
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { create } from "@bufbuild/protobuf";
import { crc32 } from "node:zlib";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Echo, EchoMessageSchema } from "../../gen/echo_pb.ts";
import { GrpcServer } from "../../mod.ts";

const [host = "127.0.0.1", plain_port = "0", tls_port = "0"] = Deno.args;
const GRACE_MS = 3000;
const SAMPLE_MS = 1000;
/** A collection of everything so often shows what is really held. */
const SAMPLES_PER_COLLECTION = 5;

function say(line: Readonly<Record<string, unknown>>): void {
  console.log(JSON.stringify(line));
}

function pem(name: string): string {
  return Deno.readTextFileSync(new URL(`../../testdata/${name}`, import.meta.url));
}

let mistakes = 0;
globalThis.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  say({ type: "mistake", text: `unhandled rejection: ${event.reason?.stack ?? event.reason}` });
});
globalThis.addEventListener("error", (event) => {
  event.preventDefault();
  say({ type: "mistake", text: `uncaught: ${event.error?.stack ?? event.message}` });
});

const server = new GrpcServer({
  // For the clients that read it.
  compression: "gzip",
  bounds: {
    keepalive_interval_ms: 8000,
    keepalive_timeout_ms: 4000,
    write_timeout_ms: 10_000,
    min_ping_interval_ms: 1000,
    min_ping_interval_without_calls_ms: 1000,
  },
  onEvent: (event) => {
    if (event.type === "internal_error" || event.type === "handler_failed") {
      mistakes++;
      say({ type: "mistake", text: `${event.type}: ${event.reason}` });
    }
  },
});
server.addService(Echo, {
  unary: async (request, { signal }) => {
    // `count` asks for so many milliseconds before the answer.
    if (request.count > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, request.count);
        signal.addEventListener("abort", () => {
          clearTimeout(timer);
          resolve();
        }, { once: true });
      });
    }
    return request;
  },
  expand: async function* (request) {
    for (let index = 0; index < request.count; index++) {
      yield create(EchoMessageSchema, { count: index, payload: request.payload });
    }
  },
  collect: async (requests) => {
    let count = 0;
    let sum = 0;
    for await (const { payload } of requests) {
      sum = crc32(payload, sum);
      count++;
    }
    return create(EchoMessageSchema, { count, text: String(sum) });
  },
  converse: async function* (requests) {
    for await (const request of requests) yield request;
  },
});

const plain = await server.listen({ transport: "tcp", hostname: host, port: Number(plain_port) });
const tls = await server.listen({
  transport: "tls",
  hostname: host,
  port: Number(tls_port),
  cert: pem("server.pem"),
  key: pem("server.key"),
});
setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");
let samples = 0;
const sampler = setInterval(() => {
  const collected = ++samples % SAMPLES_PER_COLLECTION === 0;
  if (collected) collect();
  const { stats } = server;
  say({
    type: "sample",
    ...(collected ? { heap_bytes: Deno.memoryUsage().heapUsed } : {}),
    connections_open: stats.connections_open,
    calls_open: stats.calls_open,
    calls_ok: stats.calls_ok,
    calls_failed: stats.calls_failed,
    buffered_bytes: stats.buffered_bytes,
    refused: stats.refused,
  });
}, SAMPLE_MS);

Deno.addSignalListener("SIGTERM", () => {
  server.shutdown({ grace_ms: GRACE_MS }).then(() => {
    clearInterval(sampler);
    const { calls_open, buffered_bytes, connections_open } = server.stats;
    say({ type: "ended", calls_open, buffered_bytes, connections_open, mistakes });
    Deno.exit(0);
  });
});

// Last, so that whoever counts descriptors from here on counts them all.
say({ type: "ready", plain: plain.port, tls: tls.port });
