/**
 * gRPC over HTTP/2 for Deno, server and client, without `node:http2`.
 *
 * @example A server and a client of the health service.
 * ```ts
 * import { addHealthService, GrpcServer } from "@agent-assembly/grpc";
 *
 * const server = new GrpcServer();
 * addHealthService(server, []);
 * const { port } = await server.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
 * console.log(`serving on port ${port}`);
 * await server.shutdown();
 * ```
 *
 * @module
 */

export { Code, codeName } from "./code.ts";
export { type ErrorDetail, GrpcError, type GrpcErrorOptions } from "./grpc_error.ts";
export type { Compression } from "./compression.ts";
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
export { addReflectionService, type ReflectionOptions } from "./reflection/reflection.ts";
export { createWebHandler, type WebHandler } from "./web/handler.ts";
export { serveWeb, type WebListenOptions } from "./web/listener.ts";
export type { WebOptions } from "./web/options.ts";
export {
  addHealthService,
  createHealthClient,
  type HealthClient,
  type HealthControl,
  type HealthStatus,
  type ServingStatus,
} from "./health.ts";
export { Channel } from "./client/channel.ts";
export type { ChannelState } from "./client/connectivity.ts";
export {
  type CallOf,
  type Client,
  type ClientCodec,
  type ClientCodecs,
  type ClientOptions,
  createClient,
} from "./client/client.ts";
export type { CallOptions, ChannelOptions, ChannelTls } from "./client/options.ts";
export type { Backoff } from "./client/backoff.ts";
export type {
  ClientHandler,
  ClientInterceptor,
  ClientRequest,
  ClientResponse,
} from "./client/interceptor.ts";
export type { CallCredentials, CredentialsContext } from "./client/credentials.ts";
export type { RetryOptions, RetryPolicy, RetryThrottle } from "./client/retry.ts";
export type { LoadBalancing } from "./client/balancer.ts";
export { type NameToResolve, type Resolve, resolveByDns } from "./client/resolver.ts";
export { type FrontThread, serveFront } from "./offload/front.ts";
export type { OffloadPort } from "./offload/link.ts";
export {
  type FrontOptions,
  type FrontPatience,
  type FrontWorker,
  OffloadedFront,
} from "./offload/offloaded_front.ts";
