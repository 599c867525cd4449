/**
 * `Deno.serve` as a peer of grpc_bench.ts: HTTP/2 without TLS, protobuf in a POST body. It is not
 * gRPC: `Deno.serve` sends no trailers and the message has no prefix of its own.
 *
 * @module
 */

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { EchoMessageSchema } from "../gen/echo_pb.ts";

const headers = { "content-type": "application/proto" };
Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) =>
    Deno.stderr.writeSync(new TextEncoder().encode(`listening 127.0.0.1:${port}\n`)),
}, async (request) => {
  const message = fromBinary(EchoMessageSchema, new Uint8Array(await request.arrayBuffer()));
  return new Response(toBinary(EchoMessageSchema, message), { headers });
});
