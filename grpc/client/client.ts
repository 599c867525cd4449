/**
 * Typed clients of protobuf-es services.
 *
 * @module
 */

import {
  create,
  type DescMethod,
  type DescMethodBiDiStreaming,
  type DescMethodClientStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code } from "../code.ts";
import { GrpcError } from "../grpc_error.ts";
import type { ClientCall } from "./call.ts";
import type { Channel } from "./channel.ts";
import { type ClientInterceptor, intercepted, type PlainCall } from "./interceptor.ts";
import { type CallOptions, checkCallOptions } from "./options.ts";

/**
 * The call of one method, by its kind. Failures are always GrpcError; only options that make no
 * sense are a TypeError or RangeError.
 */
export type CallOf<M extends DescMethod> = M extends DescMethodUnary<infer I, infer O>
  ? (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>
  : M extends DescMethodServerStreaming<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: CallOptions) => AsyncIterable<MessageShape<O>>
  : M extends DescMethodClientStreaming<infer I, infer O> ? (
      requests: AsyncIterable<MessageInitShape<I>>,
      options?: CallOptions,
    ) => Promise<MessageShape<O>>
  : M extends DescMethodBiDiStreaming<infer I, infer O> ? (
      requests: AsyncIterable<MessageInitShape<I>>,
      options?: CallOptions,
    ) => AsyncIterable<MessageShape<O>>
  : never;

/** Calls of a service by local method name, for example `checkAction`. */
export type Client<S extends DescService> = {
  readonly [K in keyof S["method"]]: CallOf<S["method"][K]>;
};

/** How one method's messages are written and read, in place of protobuf-es. */
export interface ClientCodec<I, O> {
  encode(message: I): Uint8Array;
  /** @throws any error when the bytes are not a response: the call ends with INTERNAL */
  decode(bytes: Uint8Array): O;
}

/** Codecs of a service by local method name; methods left out use protobuf-es. */
export type ClientCodecs<S extends DescService> = {
  [K in keyof S["method"]]?: ClientCodec<
    MessageInitShape<S["method"][K]["input"]>,
    MessageShape<S["method"][K]["output"]>
  >;
};

/** A method as the client calls it: types are gone, bytes come and go. */
interface Method {
  readonly path: string;
  encode(message: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

type AnyCodec = { encode(message: unknown): Uint8Array; decode(bytes: Uint8Array): unknown };

/** Options of a client. */
export interface ClientOptions<S extends DescService> {
  readonly codecs?: ClientCodecs<S>;
  /** Around every call, inside those of the channel. */
  readonly interceptors?: readonly ClientInterceptor[];
}

/** A client of a service on a channel. */
export function createClient<S extends DescService>(
  service: S,
  channel: Channel,
  options: ClientOptions<S> = {},
): Client<S> {
  const interceptors = [...channel.interceptors, ...options.interceptors ?? []];
  const codecs = (options.codecs ?? {}) as Readonly<Record<string, AnyCodec | undefined>>;
  const client: Record<string, unknown> = {};
  for (const desc of service.methods) {
    const method = methodOf(desc, codecs[desc.localName]);
    const call = callerOf(desc.methodKind, method, channel);
    client[desc.localName] = interceptors.length === 0
      ? call
      : intercepted(desc, call, interceptors);
  }
  return client as Client<S>;
}

function methodOf(desc: DescMethod, codec: AnyCodec | undefined): Method {
  const path = `/${desc.parent.typeName}/${desc.name}`;
  const encode = codec === undefined
    ? (init: unknown) => toBinary(desc.input, create(desc.input, init as Record<string, unknown>))
    : (init: unknown) => codec.encode(init);
  const decode = codec === undefined
    ? (bytes: Uint8Array) => fromBinary(desc.output, bytes)
    : (bytes: Uint8Array) => codec.decode(bytes);
  return {
    path,
    encode: (message) => {
      try {
        return encode(message);
      } catch (cause) {
        throw codecError("encode request", cause);
      }
    },
    decode: (bytes) => {
      try {
        return decode(bytes);
      } catch (cause) {
        throw codecError("decode response", cause);
      }
    },
  };
}

/** What a codec threw, as the error of its call. */
function codecError(what: string, cause: unknown): GrpcError {
  if (cause instanceof GrpcError) return cause;
  const text = cause instanceof Error ? cause.message : "not a message";
  return new GrpcError(`failed to ${what}: ${text}`, Code.INTERNAL, { cause });
}

function callerOf(kind: DescMethod["methodKind"], method: Method, channel: Channel): PlainCall {
  switch (kind) {
    case "unary":
      return async (request, options = {}) => {
        checkCallOptions(options);
        const call = channel.call(method.path, method.encode(request), options);
        return method.decode(await call.response());
      };
    case "server_streaming":
      return (request, options = {}) =>
        lazily(() => {
          checkCallOptions(options);
          return channel.call(method.path, method.encode(request), options);
        }, method);
    case "client_streaming":
      return async (requests, options = {}) => {
        checkCallOptions(options);
        const call = channel.call(method.path, undefined, options);
        const response = call.response();
        sendAll(requests as AsyncIterable<unknown>, method, channel, call);
        return method.decode(await response);
      };
    case "bidi_streaming":
      return (requests, options = {}) =>
        lazily(() => {
          checkCallOptions(options);
          const call = channel.call(method.path, undefined, options);
          sendAll(requests as AsyncIterable<unknown>, method, channel, call);
          return call;
        }, method);
  }
}

/** Responses of a call that begins with the first read; leaving the loop cancels it. */
async function* lazily(begin: () => ClientCall, method: Method): AsyncGenerator<unknown> {
  const responses = begin().responses();
  for await (const bytes of responses) yield method.decode(bytes as Uint8Array);
}

/** Sends every request, then half-closes; never rejects: what goes wrong ends the call. */
async function sendAll(
  requests: AsyncIterable<unknown>,
  method: Method,
  channel: Channel,
  call: ClientCall,
): Promise<void> {
  try {
    for await (const request of requests) {
      if (call.ended) return;
      const bytes = method.encode(request);
      const oversize = channel.checkSendSize(bytes);
      if (oversize !== undefined) return call.cancel(oversize);
      await call.send(bytes);
      if (call.ended) return;
    }
    call.halfClose();
  } catch (reason) {
    call.cancel(
      reason instanceof GrpcError
        ? reason
        : new GrpcError("the requests ended with an error", Code.CANCELLED, { cause: reason }),
    );
  }
}
