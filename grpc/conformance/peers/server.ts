/**
 * This module's server as a peer (README.md).
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { create } from "@bufbuild/protobuf";
import {
  type CallContext,
  Code,
  GrpcError,
  GrpcServer,
  type ListenOptions,
  Metadata,
  type ServiceHandlers,
} from "../../mod.ts";
import { Echo, type EchoMessage, EchoMessageSchema } from "../../gen/echo_pb.ts";

const PAUSE_MS = 1000;
const DIE_AFTER_MS = 50;

const options = new Map(
  Deno.args.slice(1).map((arg) => {
    const [name = "", value = ""] = arg.split(/=(.*)/s);
    return [name, value] as const;
  }),
);

let cancelled = 0;
let sent = 0;

/** Resolves when the call is over: cancelled, past its deadline, or its connection lost. */
function over({ signal }: CallContext): Promise<void> {
  return new Promise((resolve) => {
    const onAbort = () => {
      cancelled++;
      resolve();
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
}

function echoMetadata(context: CallContext): void {
  for (const [key, value] of context.metadata.entries()) {
    if (!key.startsWith("x-")) continue;
    for (const target of [context.headers, context.trailers]) {
      if (typeof value === "string") target.append(key, value);
      else target.appendBinary(key, value);
    }
  }
}

function refusal(): GrpcError {
  const metadata = new Metadata().set("x-reason", "because")
    .setBinary("x-raw-bin", Uint8Array.of(0, 255));
  return new GrpcError("not täday 100%", Code.FAILED_PRECONDITION, { metadata });
}

function counted(count: number): EchoMessage {
  return create(EchoMessageSchema, { count });
}

async function answer(request: EchoMessage, context: CallContext): Promise<EchoMessage> {
  switch (request.text) {
    case "length":
      return counted(request.payload.length);
    case "size":
      return create(EchoMessageSchema, { payload: new Uint8Array(request.count) });
    case "refuse":
      throw refusal();
    case "metadata":
      echoMetadata(context);
      return request;
    case "deadline":
      return counted(Math.round((context.deadline_ms ?? 0) - Date.now()));
    case "hang":
      await over(context);
      return request;
    case "cancelled":
      return counted(cancelled);
    case "sent":
      return counted(sent);
    case "drain":
      // After the answer is on its way, as the other peers do.
      setTimeout(() => server.shutdown({ grace_ms: 60_000 }), 0);
      return request;
    case "die":
      setTimeout(() => Deno.exit(1), DIE_AFTER_MS);
      return request;
    default:
      return request;
  }
}

const HANDLERS: Partial<ServiceHandlers<typeof Echo>> = {
  unary: answer,
  expand: async function* (request, context) {
    if (request.text === "forever") {
      for (;; sent++) yield create(EchoMessageSchema, { payload: request.payload });
    }
    if (request.text === "hang") {
      yield request;
      return await over(context);
    }
    for (let count = 0; count < request.count; count++) {
      yield create(EchoMessageSchema, { count, payload: request.payload });
    }
  },
  collect: async (requests) => {
    let count = 0;
    for await (const { text } of requests) {
      count++;
      if (text === "pause") await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    return counted(count);
  },
  converse: async function* (requests, context) {
    if (context.metadata.get("x-early") !== undefined) context.sendHeaders();
    for await (const request of requests) {
      if (request.text === "abort") throw new GrpcError("enough", Code.ABORTED);
      yield request;
    }
  },
};

function listenOptions(): ListenOptions {
  const path = options.get("unix");
  if (path !== undefined) return { transport: "unix", path };
  const loopback = { hostname: "127.0.0.1", port: 0 };
  const [cert, key, client_ca] = ["cert", "key", "client_ca"].map((name) => options.get(name));
  if (cert === undefined || key === undefined) return { transport: "tcp", ...loopback };
  return {
    transport: "tls",
    ...loopback,
    cert: Deno.readTextFileSync(cert),
    key: Deno.readTextFileSync(key),
    ...(client_ca === undefined ? {} : { clientCa: Deno.readTextFileSync(client_ca) }),
  };
}

const server = new GrpcServer({
  compression: options.has("gzip") ? "gzip" : "identity",
  bounds: { send_message_bytes: 8 * 1024 * 1024 },
  onEvent: (event) => {
    if (event.type === "internal_error" || event.type === "handler_failed") console.error(event);
  },
});
server.addService(Echo, HANDLERS);
console.log((await server.listen(listenOptions())).address);
for await (const _ of Deno.stdin.readable) { /* Only its end counts. */ }
await server.shutdown();
