/**
 * The server most tests of this module talk to.
 *
 * @module
 */

import { create } from "@bufbuild/protobuf";
import { type Echo, Echo as EchoService, EchoMessageSchema } from "../gen/echo_pb.ts";
import {
  type BoundListener,
  GrpcServer,
  type ServerOptions,
  type ServiceHandlers,
} from "../mod.ts";

/** A running server on a loopback port of the system's choice. */
export interface TestServer {
  readonly server: GrpcServer;
  readonly listener: BoundListener;
  readonly target: string;
  readonly port: number;
}

/** Handlers that give back what they get; `Absent` has none. */
export const ECHO_HANDLERS: Partial<ServiceHandlers<typeof Echo>> = {
  unary: (request) => request,
  expand: async function* (request) {
    for (let index = 0; index < request.count; index++) {
      yield create(EchoMessageSchema, { count: index, payload: request.payload });
    }
  },
  collect: async (requests) => {
    let count = 0;
    let text = "";
    for await (const request of requests) {
      count++;
      text += request.text;
    }
    return create(EchoMessageSchema, { count, text });
  },
  converse: async function* (requests) {
    for await (const request of requests) yield request;
  },
};

/** Tests ask for signs of life as often as they like. */
const FREE_PINGS = { min_ping_interval_ms: 0, min_ping_interval_without_calls_ms: 0 };

/** Starts a server with the echo service; `handlers` replace single methods. */
export async function startServer(
  options: ServerOptions = {},
  handlers: Partial<ServiceHandlers<typeof Echo>> = {},
): Promise<TestServer> {
  const server = new GrpcServer({ ...options, bounds: { ...FREE_PINGS, ...options.bounds } });
  server.addService(EchoService, { ...ECHO_HANDLERS, ...handlers });
  const listener = await server.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const port = listener.port ?? 0;
  return { server, listener, target: `127.0.0.1:${port}`, port };
}
