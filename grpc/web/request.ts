/**
 * What a web request asks for: where each protocol keeps its timeout, its encoding and, for GET,
 * its message (gRPC-Web; Connect, "Unary-Request", "Unary-Get-Request", "Streaming-Request").
 *
 * @module
 */

import { decodeBase64 } from "../base64.ts";
import type { Bounds, Refusal } from "../bounds.ts";
import { Code } from "../code.ts";
import { type CallRequest, readTimeout, type Timeout } from "../server/request_head.ts";
import type { WebProtocol } from "./protocol.ts";

/** A request in the terms of a call. */
export interface CarriedRequest {
  readonly asked: CallRequest;
  readonly body: ReadableStream<Uint8Array> | null;
  /** Whether a bare body is compressed. */
  readonly compressed: boolean;
}

/** Why a request is none. */
export interface RequestFault {
  readonly code: Code;
  readonly text: string;
  readonly refusal: Refusal;
}

/** Header names that are a protocol's or HTTP's own and no metadata. */
const HIDDEN: ReadonlySet<string> = new Set([
  "accept",
  "accept-encoding",
  "content-encoding",
  "x-grpc-web",
]);
/** What a header list costs a field, as HTTP/2 counts it (RFC 9113 section 6.5.2). */
const FIELD_OVERHEAD_BYTES = 32;
const CONNECT_TIMEOUT = /^[0-9]{1,10}$/;

/** Reads a request's head. */
export function readRequest(
  request: Request,
  url: URL,
  protocol: WebProtocol,
  bounds: Bounds,
): CarriedRequest | RequestFault {
  const { headers } = request;
  const fields: string[] = [];
  let list_bytes = 0;
  for (const [name, value] of headers) {
    list_bytes += name.length + value.length + FIELD_OVERHEAD_BYTES;
    if (!HIDDEN.has(name) && !name.startsWith("connect-")) fields.push(name, value);
  }
  if (list_bytes > bounds.header_list_bytes) {
    const text = `the request headers are larger than ${bounds.header_list_bytes} bytes`;
    return { code: Code.RESOURCE_EXHAUSTED, text, refusal: "header_list_bytes" };
  }
  const fault = versionFault(headers, url, protocol);
  if (fault !== undefined) return fault;
  const encoding = encodingOf(request.method, headers, url, protocol) ?? "identity";
  const asked = {
    path: url.pathname,
    timeout: timeoutOf(headers, protocol),
    encoding,
    accept_encoding: undefined, // Web responses travel as they are.
    fields,
  };
  const compressed = encoding !== "identity";
  if (request.method !== "GET") return { asked, body: request.body, compressed };
  const message = messageOf(url);
  if (message === undefined) {
    const text = "the query has no `message`, or one that is not base64 as `base64=1` says";
    return { code: Code.INVALID_ARGUMENT, text, refusal: "malformed_request" };
  }
  return { asked, body: bodyOf(message), compressed };
}

/** A protocol version of tomorrow is not understood today; none means today's. */
function versionFault(
  headers: Headers,
  url: URL,
  { kind }: WebProtocol,
): RequestFault | undefined {
  if (kind === "grpc_web") return undefined;
  const header = headers.get("connect-protocol-version") ?? "1";
  const query = url.searchParams.get("connect") ?? "v1";
  if (header === "1" && query === "v1") return undefined;
  const text = "the Connect protocol version is not 1";
  return { code: Code.INVALID_ARGUMENT, text, refusal: "malformed_request" };
}

function timeoutOf(headers: Headers, { kind }: WebProtocol): Timeout {
  if (kind === "grpc_web") return readTimeout(headers.get("grpc-timeout") ?? undefined);
  const value = headers.get("connect-timeout-ms");
  if (value === null) return undefined;
  if (CONNECT_TIMEOUT.test(value)) return { ms: Number(value) };
  return { problem: "connect-timeout-ms is not one to ten digits" };
}

function encodingOf(
  method: string,
  headers: Headers,
  url: URL,
  { kind }: WebProtocol,
): string | null {
  if (method === "GET") return url.searchParams.get("compression");
  switch (kind) {
    case "grpc_web":
      return headers.get("grpc-encoding");
    case "connect_stream":
      return headers.get("connect-content-encoding");
    case "connect_unary":
      return headers.get("content-encoding");
  }
}

/** The message of a GET: base64 for URLs when it says so, else UTF-8. */
function messageOf(url: URL): Uint8Array | undefined {
  const text = url.searchParams.get("message");
  if (text === null) return undefined;
  if (url.searchParams.get("base64") !== "1") return new TextEncoder().encode(text);
  return decodeBase64(text.replaceAll("-", "+").replaceAll("_", "/"));
}

function bodyOf(message: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      if (message.length > 0) controller.enqueue(message);
      controller.close();
    },
  });
}
