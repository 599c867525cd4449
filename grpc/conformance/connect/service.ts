/**
 * `connectrpc.conformance.v1.ConformanceService`: does what each request says, and tells back what
 * it saw (connectrpc.com/conformance, "Testing servers").
 *
 * @module
 */

import { create, createRegistry } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import { type CallContext, type Code, GrpcError, type ServiceHandlers } from "../../mod.ts";
import {
  BidiStreamRequestSchema,
  BidiStreamResponseSchema,
  ClientStreamRequestSchema,
  ClientStreamResponseSchema,
  type ConformancePayload,
  type ConformancePayload_RequestInfo as RequestInfo,
  ConformancePayload_RequestInfoSchema,
  ConformancePayloadSchema,
  type ConformanceService,
  type Error as ErrorDefinition,
  file_connectrpc_conformance_v1_service,
  type Header,
  HeaderSchema,
  IdempotentUnaryRequestSchema,
  IdempotentUnaryResponseSchema,
  ServerStreamRequestSchema,
  ServerStreamResponseSchema,
  type StreamResponseDefinition,
  UnaryRequestSchema,
  type UnaryResponseDefinition,
  UnaryResponseSchema,
} from "./gen/connectrpc/conformance/v1/service_pb.ts";

/** What JSON messages of the service may hold in `google.protobuf.Any`. */
export const REGISTRY = createRegistry(file_connectrpc_conformance_v1_service);

/** The handlers; `Unimplemented` has none on purpose. */
export const HANDLERS: Partial<ServiceHandlers<typeof ConformanceService>> = {
  unary: async (request, context) => {
    const info = infoOf(context, [anyPack(UnaryRequestSchema, request)]);
    const data = await answerOnce(request.responseDefinition, context, info);
    return create(UnaryResponseSchema, { payload: payloadOf(data, info) });
  },
  idempotentUnary: async (request, context) => {
    const info = infoOf(context, [anyPack(IdempotentUnaryRequestSchema, request)]);
    const data = await answerOnce(request.responseDefinition, context, info);
    return create(IdempotentUnaryResponseSchema, { payload: payloadOf(data, info) });
  },
  clientStream: async (requests, context) => {
    const seen: Any[] = [];
    let definition: UnaryResponseDefinition | undefined;
    for await (const request of requests) {
      if (seen.length === 0) definition = request.responseDefinition;
      seen.push(anyPack(ClientStreamRequestSchema, request));
    }
    const info = infoOf(context, seen);
    const data = await answerOnce(definition, context, info);
    return create(ClientStreamResponseSchema, { payload: payloadOf(data, info) });
  },
  serverStream: async function* (request, context) {
    const { responseDefinition: definition } = request;
    if (definition === undefined) return;
    const info = infoOf(context, [anyPack(ServerStreamRequestSchema, request)]);
    for await (const payload of answers(definition, context, info)) {
      yield create(ServerStreamResponseSchema, { payload });
    }
  },
  bidiStream: async function* (requests, context) {
    for await (const payload of converse(requests, context)) {
      yield create(BidiStreamResponseSchema, { payload });
    }
  },
};

type BidiRequests = Parameters<ServiceHandlers<typeof ConformanceService>["bidiStream"]>[0];

/** Half duplex answers when all requests are there; full duplex each with the next response. */
async function* converse(
  requests: BidiRequests,
  context: CallContext,
): AsyncGenerator<ConformancePayload> {
  let definition: StreamResponseDefinition | undefined;
  let full_duplex = false;
  let first = true;
  let sent = 0;
  let seen: Any[] = [];
  for await (const request of requests) {
    if (first) {
      definition = request.responseDefinition;
      full_duplex = request.fullDuplex;
      if (definition !== undefined) setMetadata(context, definition);
    }
    first = false;
    seen.push(anyPack(BidiStreamRequestSchema, request));
    if (!full_duplex) continue;
    const data = definition?.responseData[sent];
    if (data === undefined) break;
    await delay(definition?.responseDelayMs ?? 0, context.signal);
    const info = sent === 0 ? infoOf(context, seen) : bareInfo(seen);
    yield payloadOf(data, info);
    sent++;
    seen = [];
  }
  if (definition === undefined) return;
  for (const data of definition.responseData.slice(sent)) {
    await delay(definition.responseDelayMs, context.signal);
    yield payloadOf(data, sent === 0 ? infoOf(context, seen) : undefined);
    sent++;
  }
  if (definition.error !== undefined) {
    throw errorOf(definition.error, sent === 0 ? infoOf(context, seen) : undefined);
  }
}

async function* answers(
  definition: StreamResponseDefinition,
  context: CallContext,
  info: RequestInfo,
): AsyncGenerator<ConformancePayload> {
  setMetadata(context, definition);
  let sent = 0;
  for (const data of definition.responseData) {
    await delay(definition.responseDelayMs, context.signal);
    yield payloadOf(data, sent === 0 ? info : undefined);
    sent++;
  }
  if (definition.error !== undefined) {
    throw errorOf(definition.error, sent === 0 ? info : undefined);
  }
}

async function answerOnce(
  definition: UnaryResponseDefinition | undefined,
  context: CallContext,
  info: RequestInfo,
): Promise<Uint8Array> {
  if (definition === undefined) return new Uint8Array(0);
  setMetadata(context, definition);
  await delay(definition.responseDelayMs, context.signal);
  const { response } = definition;
  if (response.case === "error") throw errorOf(response.value, info);
  return response.case === "responseData" ? response.value : new Uint8Array(0);
}

function payloadOf(data: Uint8Array, requestInfo: RequestInfo | undefined): ConformancePayload {
  return create(ConformancePayloadSchema, {
    data,
    ...(requestInfo === undefined ? {} : { requestInfo }),
  });
}

function bareInfo(requests: Any[]): RequestInfo {
  return create(ConformancePayload_RequestInfoSchema, { requests });
}

function infoOf({ metadata, deadline_ms }: CallContext, requests: Any[]): RequestInfo {
  const names = new Set<string>();
  for (const [name] of metadata.entries()) names.add(name);
  return create(ConformancePayload_RequestInfoSchema, {
    requests,
    requestHeaders: [...names].map((name) =>
      create(HeaderSchema, { name, value: metadata.getAll(name) })
    ),
    ...(deadline_ms === undefined
      ? {}
      : { timeoutMs: BigInt(Math.round(deadline_ms - Date.now())) }),
  });
}

/** An error as defined, with what the request said as its last detail. */
function errorOf(definition: ErrorDefinition, info: RequestInfo | undefined): GrpcError {
  const details = [...definition.details];
  if (info !== undefined) details.push(anyPack(ConformancePayload_RequestInfoSchema, info));
  return new GrpcError(definition.message ?? "", definition.code as Code, { details });
}

function setMetadata(
  context: CallContext,
  definition: { responseHeaders: Header[]; responseTrailers: Header[] },
): void {
  for (
    const [target, headers] of [
      [context.headers, definition.responseHeaders],
      [context.trailers, definition.responseTrailers],
    ] as const
  ) {
    for (const { name, value } of headers) {
      for (const text of value) {
        if (name.endsWith("-bin")) target.setBinary(name, Uint8Array.fromBase64(text));
        else target.append(name, text);
      }
    }
  }
}

async function delay(ms: number, signal: AbortSignal): Promise<void> {
  if (ms === 0 || signal.aborted) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
