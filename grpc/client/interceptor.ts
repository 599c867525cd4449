/**
 * What a program puts around its calls: metadata, logs, metrics, limits.
 *
 * @module
 */

import { create, type DescMethod, type Message } from "@bufbuild/protobuf";
import { Code } from "../code.ts";
import { GrpcError } from "../grpc_error.ts";
import { type CallOptions, checkCallOptions } from "./options.ts";

/** A call as interceptors see it; `method.methodKind` says which of the four kinds it is. */
export type ClientRequest =
  & {
    readonly method: DescMethod;
    /** Metadata, deadline, signal; to change them, pass on a copy. */
    readonly options: CallOptions;
  }
  & (
    | { readonly streamed: false; readonly message: Message }
    | { readonly streamed: true; readonly messages: AsyncIterable<Message> }
  );

/**
 * What comes back. Headers and trailers are told to `onHeaders` and `onTrailers` of the options. A
 * streamed response begins with the first message that is read, and must be read or left.
 */
export type ClientResponse =
  | { readonly streamed: false; readonly message: Message }
  | { readonly streamed: true; readonly messages: AsyncIterable<Message> };

/** Carries out a call; rejects with a GrpcError. */
export type ClientHandler = (request: ClientRequest) => Promise<ClientResponse>;

/**
 * Wraps every call of a channel or a client; the first of a list is the outermost. It sees a call
 * once, however often the call is retried. What it throws is the call's error.
 *
 * @example Adds metadata
 * ```ts
 * import { type ClientInterceptor, Metadata } from "@agent-assembly/grpc";
 *
 * const trace: ClientInterceptor = (next) => (request) => {
 *   const metadata = new Metadata([...(request.options.metadata?.entries() ?? [])]);
 *   metadata.set("x-trace", crypto.randomUUID());
 *   return next({ ...request, options: { ...request.options, metadata } });
 * };
 * ```
 */
export type ClientInterceptor = (next: ClientHandler) => ClientHandler;

/** What a message is made from. */
type Init = Record<string, unknown>;

/** A call without interceptors: message or messages in, promise of one or iterable out. */
export type PlainCall = (input: unknown, options?: CallOptions) => unknown;

/** The call of one method with interceptors around it. */
export function intercepted(
  method: DescMethod,
  call: PlainCall,
  interceptors: readonly ClientInterceptor[],
): PlainCall {
  const { methodKind } = method;
  const asks_streamed = methodKind === "client_streaming" || methodKind === "bidi_streaming";
  const answers_streamed = methodKind === "server_streaming" || methodKind === "bidi_streaming";
  const innermost: ClientHandler = async (request) => {
    if (request.streamed !== asks_streamed) throw wrongShape("request");
    const output = call(request.streamed ? request.messages : request.message, request.options);
    return answers_streamed
      ? { streamed: true, messages: output as AsyncIterable<Message> }
      : { streamed: false, message: await output as Message };
  };
  const handler = interceptors.reduceRight((next, each) => each(next), innermost);
  const run = async (input: unknown, options: CallOptions): Promise<ClientResponse> => {
    checkCallOptions(options);
    try {
      const response = await handler(
        asks_streamed
          ? { method, options, streamed: true, messages: messagesOf(method, input) }
          : { method, options, streamed: false, message: create(method.input, input as Init) },
      );
      if (response.streamed === answers_streamed) return response;
    } catch (reason) {
      throw GrpcError.from(reason);
    }
    throw wrongShape("response");
  };
  return answers_streamed
    ? (input, options = {}) => streamed(() => run(input, options))
    : async (input, options = {}) => {
      const response = await run(input, options);
      return response.streamed ? undefined : response.message;
    };
}

async function* messagesOf(method: DescMethod, inputs: unknown): AsyncGenerator<Message> {
  for await (const input of inputs as AsyncIterable<Init>) yield create(method.input, input);
}

/** Begins with the first read, as a call without interceptors does. */
async function* streamed(run: () => Promise<ClientResponse>): AsyncGenerator<Message> {
  const response = await run();
  if (!response.streamed) return;
  try {
    yield* response.messages;
  } catch (reason) {
    throw GrpcError.from(reason);
  }
}

function wrongShape(what: string): GrpcError {
  return new GrpcError(
    `an interceptor passed on a ${what} that is streamed where the method's is not, or not where ` +
      "it is",
    Code.INTERNAL,
  );
}
