/**
 * What users of the server write and see: handlers, interceptors, the call's context, events.
 *
 * @module
 */

import type {
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageShape,
} from "@bufbuild/protobuf";
import type { Bounds, Refusal } from "../bounds.ts";
import type { Code } from "../code.ts";
import type { Compression } from "../compression.ts";
import type { Metadata } from "../metadata.ts";
import type { Peer } from "../peer.ts";

/** One call, as its handler and interceptors see it. */
export interface CallContext {
  /** Full path, for example `/grpc.health.v1.Health/Check`. */
  readonly method: string;
  /** Request headers. */
  readonly metadata: Metadata;
  /** Aborts when the call is cancelled, its deadline passes, its connection or the server ends. */
  readonly signal: AbortSignal;
  /** Absolute, epoch milliseconds; undefined when the caller set none. */
  readonly deadline_ms: number | undefined;
  readonly peer: Peer;
  /** Response headers; sent with the first response message, or by {@linkcode sendHeaders}. */
  readonly headers: Metadata;
  /** Response trailers; sent with the status, OK or not. */
  readonly trailers: Metadata;
  /**
   * Sends the response headers now, for callers that wait for them before they send or read. Does
   * nothing when they are sent already or the call has ended.
   *
   * @throws GrpcError INTERNAL when they are larger than we or the caller would receive
   */
  sendHeaders(): void;
  /**
   * How response messages travel to clients that read gzip; begins as {@linkcode ServiceOptions}
   * say. The headers announce it: `gzip` has to be set before they are sent, which the first message
   * does; `identity` holds from the next message on.
   */
  compression: Compression;
}

/** The handler of one method, by its kind. A unary handler may answer synchronously. */
export type HandlerOf<M extends DescMethod> = M extends DescMethodUnary<infer I, infer O> ? (
    request: MessageShape<I>,
    context: CallContext,
  ) => MessageShape<O> | Promise<MessageShape<O>>
  : M extends DescMethodServerStreaming<infer I, infer O>
    ? (request: MessageShape<I>, context: CallContext) => AsyncIterable<MessageShape<O>>
  : M extends DescMethodClientStreaming<infer I, infer O> ? (
      requests: AsyncIterable<MessageShape<I>>,
      context: CallContext,
    ) => Promise<MessageShape<O>>
  : M extends DescMethodBiDiStreaming<infer I, infer O> ? (
      requests: AsyncIterable<MessageShape<I>>,
      context: CallContext,
    ) => AsyncIterable<MessageShape<O>>
  : never;

/** Handlers of a service by local method name, for example `checkAction`. */
export type ServiceHandlers<S extends DescService> = {
  [K in keyof S["method"]]: HandlerOf<S["method"][K]>;
};

/** How one method's messages are read and written, in place of protobuf-es. */
export interface ServerCodec<I, O> {
  /** @throws any error when the bytes are not a request: the call ends with INTERNAL */
  decode(bytes: Uint8Array): I;
  encode(message: O): Uint8Array;
}

/** Codecs of a service by local method name; methods left out use protobuf-es. */
export type ServiceCodecs<S extends DescService> = {
  [K in keyof S["method"]]?: ServerCodec<
    MessageShape<S["method"][K]["input"]>,
    MessageShape<S["method"][K]["output"]>
  >;
};

/** Runs before the handler, as soon as the headers are there; throw GrpcError to refuse. */
export type Interceptor = (context: CallContext) => void | Promise<void>;

/** Options of one service. */
export interface ServiceOptions<S extends DescService> {
  /** Run after the server's own, in order. */
  readonly interceptors?: readonly Interceptor[];
  readonly codecs?: ServiceCodecs<S>;
  /** How response messages of this service travel. @default what the server's options say */
  readonly compression?: Compression;
}

/** What a server reports as it happens. */
export type ServerEvent =
  | { readonly type: "connection_opened"; readonly peer: Peer }
  | { readonly type: "connection_closed"; readonly peer: Peer; readonly text: string }
  | {
    readonly type: "call_ended";
    readonly method: string;
    readonly code: Code;
    readonly duration_ms: number;
    readonly peer: Peer;
  }
  | { readonly type: "refused"; readonly refusal: Refusal; readonly peer: Peer }
  /** A handler threw something that is not a GrpcError; the peer was told nothing of it. */
  | { readonly type: "handler_failed"; readonly method: string; readonly reason: unknown }
  | { readonly type: "accept_failed"; readonly reason: unknown }
  /** A mistake of this module: the connection was closed. */
  | { readonly type: "internal_error"; readonly reason: unknown };

/** Options of a server. */
export interface ServerOptions {
  /** Overrides of single bounds. */
  readonly bounds?: Partial<Bounds>;
  /** Run before every handler, in order. */
  readonly interceptors?: readonly Interceptor[];
  /**
   * How response messages travel. With `gzip`, those of at least `compression_min_bytes` that get
   * smaller are compressed for clients that read it. Compressed requests are read in any case.
   *
   * Off by default for two reasons. It runs on the server's own thread: some 15 ms a MiB of text.
   * And sizes tell: who can put text of their own into a message that holds a secret, and sees how
   * long the message is under TLS, can guess the secret piece by piece (CRIME, BREACH).
   *
   * @default identity
   */
  readonly compression?: Compression;
  /** For metrics and logs; what it throws is ignored. */
  readonly onEvent?: (event: ServerEvent) => void;
}
