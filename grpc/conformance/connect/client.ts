/**
 * The client under test as `connectconformance` starts it: each length-prefixed request on standard
 * input describes a call to make, each answer on standard output says what came of it.
 *
 * @module
 */

import { create, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { type Any, anyUnpack } from "@bufbuild/protobuf/wkt";
import { type CallOptions, Channel, createClient, GrpcError, Metadata } from "../../mod.ts";
import { readMessage, writeMessage } from "./delimited.ts";
import {
  type ClientCompatRequest,
  ClientCompatRequestSchema,
  ClientCompatResponseSchema,
  type ClientResponseResult,
  ClientResponseResultSchema,
} from "./gen/connectrpc/conformance/v1/client_compat_pb.ts";
import { StreamType } from "./gen/connectrpc/conformance/v1/config_pb.ts";
import {
  type ConformancePayload,
  ConformancePayloadSchema,
  ConformanceService,
  ErrorSchema,
  type Header,
  HeaderSchema,
} from "./gen/connectrpc/conformance/v1/service_pb.ts";
import { REGISTRY } from "./service.ts";

/** Calls under way at once. */
const CALLS_MAX = 8;

/** A response of any method: all of them hold a payload. */
type Response = Message & { readonly payload?: ConformancePayload };
type Caller = (request: unknown, options: CallOptions) => unknown;

async function main(): Promise<void> {
  const running = new Set<Promise<void>>();
  for (;;) {
    const message = await readMessage();
    if (message === undefined) break;
    const call = answer(fromBinary(ClientCompatRequestSchema, message)).then(() => {
      running.delete(call);
    });
    running.add(call);
    if (running.size >= CALLS_MAX) await Promise.race(running);
  }
  await Promise.all(running);
}

async function answer(request: ClientCompatRequest): Promise<void> {
  const { testName } = request;
  let result: Parameters<typeof create<typeof ClientCompatResponseSchema>>[1];
  try {
    const value = await new Attempt(request).run();
    result = { testName, result: { case: "response", value } };
  } catch (reason) {
    const message = reason instanceof Error ? reason.stack ?? reason.message : String(reason);
    result = { testName, result: { case: "error", value: { message } } };
  }
  writeMessage(toBinary(ClientCompatResponseSchema, create(ClientCompatResponseSchema, result)));
}

/** One call and what is seen of it. */
class Attempt {
  readonly #request: ClientCompatRequest;
  readonly #result: ClientResponseResult = create(ClientResponseResultSchema);
  readonly #cancel = new AbortController();
  #sent = 0;
  /** Wakes a full-duplex sender that waits for the response to its last request. */
  #onResponse: (() => void) | undefined;
  #over = false;

  constructor(request: ClientCompatRequest) {
    this.#request = request;
  }

  async run(): Promise<ClientResponseResult> {
    const channel = channelOf(this.#request);
    try {
      await this.#call(channel);
    } catch (reason) {
      if (!(reason instanceof GrpcError)) throw reason;
      this.#result.error = create(ErrorSchema, {
        code: Number(reason.code),
        message: reason.message,
        details: [...reason.details],
      });
    } finally {
      this.#over = true;
      this.#onResponse?.();
      await channel.close();
    }
    this.#result.numUnsentRequests = this.#request.requestMessages.length - this.#sent;
    return this.#result;
  }

  async #call(channel: Channel): Promise<void> {
    const { method, streamType, requestMessages, requestDelayMs } = this.#request;
    const client: Record<string, unknown> = createClient(ConformanceService, channel);
    const desc = ConformanceService.methods.find(({ name }) => name === method);
    if (desc === undefined) throw new Error(`no method \`${method}\``);
    const call = client[desc.localName] as Caller;
    const options = this.#options();
    if (streamType === StreamType.UNARY || streamType === StreamType.SERVER_STREAM) {
      await delay(requestDelayMs);
      const [first] = requestMessages;
      if (first === undefined) throw new Error("no request message");
      this.#sent = 1;
      const called = call(unpacked(first), options);
      this.#afterCloseSend();
      if (streamType === StreamType.SERVER_STREAM) await this.#collect(called);
      else this.#take(await called as Response);
      return;
    }
    const called = call(this.#requests(), options);
    if (streamType === StreamType.CLIENT_STREAM) this.#take(await called as Response);
    else await this.#collect(called);
  }

  async *#requests(): AsyncGenerator<Message> {
    const { requestMessages, requestDelayMs, streamType, cancel } = this.#request;
    for (const message of requestMessages) {
      await delay(requestDelayMs);
      if (this.#over) return;
      this.#sent++;
      const answered = new Promise<void>((resolve) => this.#onResponse = resolve);
      yield unpacked(message);
      if (streamType === StreamType.FULL_DUPLEX_BIDI_STREAM && !this.#over) await answered;
    }
    if (cancel?.cancelTiming.case === "beforeCloseSend") this.#cancel.abort();
    else this.#afterCloseSend();
  }

  async #collect(called: unknown): Promise<void> {
    const { cancel } = this.#request;
    const limit = cancel?.cancelTiming.case === "afterNumResponses" ? cancel.cancelTiming.value : 0;
    for await (const response of called as AsyncIterable<Response>) {
      this.#take(response);
      this.#onResponse?.();
      if (this.#result.payloads.length === limit) this.#cancel.abort();
    }
  }

  #take({ payload }: Response): void {
    this.#result.payloads.push(payload ?? create(ConformancePayloadSchema));
  }

  /** The wish to cancel, where it counts from the end of the requests. */
  #afterCloseSend(): void {
    const { cancel } = this.#request;
    if (cancel === undefined) return;
    const { cancelTiming } = cancel;
    if (cancelTiming.case !== undefined && cancelTiming.case !== "afterCloseSendMs") return;
    setTimeout(() => this.#cancel.abort(), cancelTiming.value ?? 0);
  }

  #options(): CallOptions {
    const { requestHeaders, timeoutMs } = this.#request;
    const metadata = new Metadata();
    for (const { name, value } of requestHeaders) {
      for (const text of value) {
        if (name.endsWith("-bin")) metadata.setBinary(name, Uint8Array.fromBase64(text));
        else metadata.append(name, text);
      }
    }
    return {
      metadata,
      signal: this.#cancel.signal,
      ...(timeoutMs === undefined ? {} : { timeout_ms: timeoutMs }),
      onHeaders: (headers) => this.#result.responseHeaders = headersOf(headers),
      onTrailers: (trailers) => this.#result.responseTrailers = headersOf(trailers),
    };
  }
}

function channelOf(request: ClientCompatRequest): Channel {
  const { host, port, serverTlsCert, clientTlsCreds, messageReceiveLimit } = request;
  const decoder = new TextDecoder();
  const identity = clientTlsCreds === undefined ? {} : {
    cert: decoder.decode(clientTlsCreds.cert),
    key: decoder.decode(clientTlsCreds.key),
  };
  return new Channel(`${host}:${port}`, {
    ...(serverTlsCert.length === 0
      ? {}
      : { tls: { ca: decoder.decode(serverTlsCert), ...identity } }),
    ...(messageReceiveLimit === 0 ? {} : { max_receive_message_bytes: messageReceiveLimit }),
  });
}

function headersOf(metadata: Metadata): Header[] {
  const names = new Set<string>();
  for (const [name] of metadata.entries()) names.add(name);
  return [...names].map((name) => create(HeaderSchema, { name, value: metadata.getAll(name) }));
}

function unpacked(any: Any): Message {
  const message = anyUnpack(any, REGISTRY);
  if (message === undefined) throw new Error(`no message type \`${any.typeUrl}\``);
  return message;
}

function delay(ms: number): Promise<void> {
  return ms === 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, ms));
}

Deno.addSignalListener("SIGTERM", () => Deno.exit(0));
await main();
Deno.exit(0);
