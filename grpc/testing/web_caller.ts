/**
 * Calls a web handler with hand-made requests, and takes its responses apart.
 *
 * @module
 */

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Echo, EchoMessageSchema } from "../gen/echo_pb.ts";
import {
  createWebHandler,
  GrpcServer,
  type ServerOptions,
  type ServiceHandlers,
  type WebHandler,
  type WebOptions,
} from "../mod.ts";
import { ECHO_HANDLERS } from "./echo_server.ts";

export const LOCAL = "http://127.0.0.1:8080";
export const PAGE = "https://page.example";

/** A handler of an echo server, with the server. */
export interface TestWeb extends AsyncDisposable {
  readonly server: GrpcServer;
  readonly handler: WebHandler;
  /** Posts to a method of the echo service. */
  post(
    method: string,
    content_type: string,
    body: BodyInit | null,
    headers?: Record<string, string>,
  ): Promise<Response>;
  /** Sends any request; `from` is the peer's address. */
  send(request: Request, from?: string): Promise<Response>;
}

/** Starts an echo server behind a web handler; disposing of it shuts down and looks for leaks. */
export function startWeb(
  options: ServerOptions & { readonly web?: WebOptions } = {},
  handlers: Partial<ServiceHandlers<typeof Echo>> = {},
): TestWeb {
  const server = new GrpcServer(options);
  server.addService(Echo, { ...ECHO_HANDLERS, look: (request) => request, ...handlers });
  const handler = createWebHandler(server, options.web);
  const send = (request: Request, from = "127.0.0.1") =>
    handler(request, {
      remoteAddr: { transport: "tcp", hostname: from, port: 50_000 },
      completed: Promise.resolve(),
    });
  return {
    server,
    handler,
    send,
    post: (method, content_type, body, headers = {}) =>
      send(
        new Request(`${LOCAL}/grpc.test.v1.Echo/${method}`, {
          method: "POST",
          headers: { "content-type": content_type, ...headers },
          body,
        }),
      ),
    async [Symbol.asyncDispose]() {
      await server.shutdown({ grace_ms: 0 });
      const { calls_open, buffered_bytes } = server.stats;
      if (calls_open !== 0) throw new Error(`${calls_open} calls are still open`);
      if (buffered_bytes !== 0) throw new Error(`${buffered_bytes} bytes are still buffered`);
    },
  };
}

/** An echo message in bytes. */
export function echoBytes(
  init: MessageInitShape<typeof EchoMessageSchema>,
): Uint8Array<ArrayBuffer> {
  return new Uint8Array(toBinary(EchoMessageSchema, create(EchoMessageSchema, init)));
}

/** The text of an echo message. */
export function echoText(bytes: Uint8Array): string {
  return fromBinary(EchoMessageSchema, bytes).text;
}

/** Frames of a gRPC-Web or Connect stream: flag and bytes of each. */
export async function framesOf(response: Response): Promise<[flag: number, Uint8Array][]> {
  const bytes = await response.bytes();
  const frames: [number, Uint8Array][] = [];
  for (let at = 0; at < bytes.length;) {
    const length = new DataView(bytes.buffer, bytes.byteOffset + at + 1, 4).getUint32(0);
    frames.push([bytes[at] ?? 0, bytes.subarray(at + 5, at + 5 + length)]);
    at += 5 + length;
  }
  return frames;
}

/** The last frame as text: trailers of gRPC-Web, JSON of Connect. */
export async function lastOf(response: Response): Promise<string> {
  const [, bytes] = (await framesOf(response)).at(-1) ?? [0, new Uint8Array(0)];
  return new TextDecoder().decode(bytes);
}

/** A body that counts how much of it was read, and may never end. */
export class WatchedBody {
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;
  read_bytes = 0;
  cancelled = false;

  /** @param chunks repeated for ever when `endless` */
  constructor(chunk: Uint8Array<ArrayBuffer>, times: number, then: "end" | "silence" = "end") {
    let left = times;
    this.stream = new ReadableStream({
      pull: (controller) => {
        if (left-- > 0) {
          this.read_bytes += chunk.length;
          return controller.enqueue(chunk.slice());
        }
        if (then === "end") return controller.close();
        return new Promise(() => {});
      },
      cancel: () => {
        this.cancelled = true;
      },
    }, { highWaterMark: 0 });
  }
}

/** Waits for something to become true. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
