/**
 * The server under test as `connectconformance` starts it: one length-prefixed request on standard
 * input says what to serve, one answer on standard output says where. gRPC goes to our own
 * listeners, gRPC-Web and Connect to the web handler.
 *
 * @module
 */

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { GrpcServer, serveWeb } from "../../mod.ts";
import { Protocol } from "./gen/connectrpc/conformance/v1/config_pb.ts";
import {
  type ServerCompatRequest,
  ServerCompatRequestSchema,
  ServerCompatResponseSchema,
} from "./gen/connectrpc/conformance/v1/server_compat_pb.ts";
import { ConformanceService } from "./gen/connectrpc/conformance/v1/service_pb.ts";
import { readMessage, writeMessage } from "./delimited.ts";
import { HANDLERS, REGISTRY } from "./service.ts";

const HOST = "127.0.0.1";

async function main(): Promise<void> {
  const message = await readMessage();
  if (message === undefined) throw new Error("standard input has no request");
  const request = fromBinary(ServerCompatRequestSchema, message);
  const limit = request.messageReceiveLimit;
  const server = new GrpcServer(limit === 0 ? {} : { bounds: { receive_message_bytes: limit } });
  server.addService(ConformanceService, HANDLERS);
  const port = await listen(server, request);
  writeMessage(toBinary(
    ServerCompatResponseSchema,
    create(ServerCompatResponseSchema, {
      host: HOST,
      port,
      pemCert: request.useTls ? request.serverCreds?.cert ?? new Uint8Array(0) : new Uint8Array(0),
    }),
  ));
  await new Promise<void>((resolve) => Deno.addSignalListener("SIGTERM", resolve));
  await server.shutdown({ grace_ms: 100 });
  Deno.exit(0);
}

async function listen(server: GrpcServer, request: ServerCompatRequest): Promise<number> {
  const tls = identityOf(request);
  const where = { hostname: HOST, port: 0 };
  if (request.protocol !== Protocol.GRPC) {
    const listener = serveWeb(server, { ...where, ...tls, registry: REGISTRY });
    return listener.port ?? 0;
  }
  const ca = new TextDecoder().decode(request.clientTlsCert);
  const listener = await server.listen(
    tls === undefined ? { transport: "tcp", ...where } : {
      transport: "tls",
      ...where,
      ...tls,
      ...(ca === "" ? {} : { clientCa: ca }),
    },
  );
  return listener.port ?? 0;
}

function identityOf({ useTls, serverCreds }: ServerCompatRequest):
  | { cert: string; key: string }
  | undefined {
  if (!useTls || serverCreds === undefined) return undefined;
  const decoder = new TextDecoder();
  return { cert: decoder.decode(serverCreds.cert), key: decoder.decode(serverCreds.key) };
}

await main();
