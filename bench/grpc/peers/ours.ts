/**
 * Our server as a peer of grpc_bench.ts: `ours.ts protobuf_es|hand [CERT KEY]`. `hand` swaps
 * protobuf-es for a codec written for the message; nothing else differs.
 *
 * @module
 */

import { GrpcServer, type ServiceOptions } from "../../../grpc/mod.ts";
import { type Echo, Echo as EchoService } from "../../../grpc/gen/echo_pb.ts";
import { ECHO_HANDLERS } from "../../../grpc/testing/echo_server.ts";
import { decodeEcho, encodeEcho } from "./hand_codec.ts";

const [codec, cert, key] = Deno.args;
const hand = { decode: decodeEcho, encode: encodeEcho };
const options: ServiceOptions<typeof Echo> = codec === "hand"
  ? { codecs: { unary: hand, expand: hand, collect: hand, converse: hand } }
  : {};
const server = new GrpcServer();
server.addService(EchoService, ECHO_HANDLERS, options);
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
