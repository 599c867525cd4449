/**
 * gRPC over HTTP/2 for Deno, server and client, without `node:http2`.
 *
 * @module
 */

export { Code, codeName } from "./code.ts";
export { GrpcError } from "./grpc_error.ts";
export { Metadata } from "./metadata.ts";
export type { Peer, PeerCertificate } from "./peer.ts";
export { type Bounds, CLIENT_BOUNDS, type Refusal, SERVER_BOUNDS } from "./bounds.ts";
export type {
  CallContext,
  HandlerOf,
  Interceptor,
  ServerCodec,
  ServerEvent,
  ServerOptions,
  ServiceCodecs,
  ServiceHandlers,
  ServiceOptions,
} from "./server/types.ts";
export type { BoundListener, ListenOptions } from "./server/listener.ts";
export type { ServerStats } from "./server/stats.ts";
export { GrpcServer } from "./server/server.ts";
export { addHealthService, type HealthControl, type ServingStatus } from "./health.ts";
export { Channel, type ChannelState } from "./client/channel.ts";
export {
  type CallOf,
  type Client,
  type ClientCodec,
  type ClientCodecs,
  createClient,
} from "./client/client.ts";
export type { Backoff, CallOptions, ChannelOptions, ChannelTls } from "./client/options.ts";
