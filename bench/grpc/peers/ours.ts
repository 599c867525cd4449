/**
 * Our server as a peer of grpc_bench.ts: `ours.ts protobuf_es|hand [CERT KEY]`. `hand` swaps
 * protobuf-es for a codec written for the message; nothing else differs.
 *
 * @module
 */

import { create } from "@bufbuild/protobuf";
import { GrpcServer, type ServiceHandlers, type ServiceOptions } from "../../../grpc/mod.ts";
import { type Echo, Echo as EchoService, EchoMessageSchema } from "../gen/echo_pb.ts";
import { decodeEcho, encodeEcho } from "./hand_codec.ts";

const HANDLERS: ServiceHandlers<typeof Echo> = {
  unary: (request) => request,
  expand: async function* ({ payload, count }) {
    for (let index = 0; index < count; index++) {
      yield create(EchoMessageSchema, { payload, count: index });
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

const [codec, cert, key] = Deno.args;
const hand = { decode: decodeEcho, encode: encodeEcho };
const options: ServiceOptions<typeof Echo> = codec === "hand"
  ? { codecs: { unary: hand, expand: hand, collect: hand, converse: hand } }
  : {};
const server = new GrpcServer();
server.addService(EchoService, HANDLERS, options);
const plain = await server.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
let text = `listening ${plain.address}`;
if (cert !== undefined && key !== undefined) {
  const secure = await server.listen({
    transport: "tls",
    hostname: "127.0.0.1",
    port: 0,
    cert: Deno.readTextFileSync(cert),
    key: Deno.readTextFileSync(key),
  });
  text += ` tls ${secure.address}`;
}
Deno.stderr.writeSync(new TextEncoder().encode(`${text}\n`));
// A clean end, which the runtime's CPU profiler needs.
Deno.addSignalListener("SIGTERM", () => Deno.exit(0));
