/**
 * Which protocol a request speaks, by its method and content type (gRPC-Web; Connect, "Outline").
 *
 * @module
 */

import type { HttpRefusal } from "./access.ts";

/** How messages are written. */
export type WebCodec = "proto" | "json";

/** A protocol and what of it a request chose. */
export interface WebProtocol {
  readonly kind: "grpc_web" | "connect_unary" | "connect_stream";
  readonly codec: WebCodec;
  /** Base64 on the way, for readers that know text only. */
  readonly text: boolean;
  /** Of the response, when all goes well. */
  readonly content_type: string;
}

function entry(
  content_type: string,
  kind: WebProtocol["kind"],
  codec: WebCodec,
  text = false,
): [string, WebProtocol] {
  return [content_type, { kind, codec, text, content_type }];
}

const BY_CONTENT_TYPE: ReadonlyMap<string, WebProtocol> = new Map([
  entry("application/grpc-web", "grpc_web", "proto"),
  entry("application/grpc-web+proto", "grpc_web", "proto"),
  entry("application/grpc-web+json", "grpc_web", "json"),
  entry("application/grpc-web-text", "grpc_web", "proto", true),
  entry("application/grpc-web-text+proto", "grpc_web", "proto", true),
  entry("application/proto", "connect_unary", "proto"),
  entry("application/json", "connect_unary", "json"),
  entry("application/connect+proto", "connect_stream", "proto"),
  entry("application/connect+json", "connect_stream", "json"),
]);

const ACCEPT_POST = [...BY_CONTENT_TYPE.keys()].join(", ");

/** The protocol of a request, or why it is none of ours. */
export function protocolOf(method: string, headers: Headers, url: URL): WebProtocol | HttpRefusal {
  if (method === "POST") return ofContentType(headers.get("content-type") ?? "");
  if (method === "GET") {
    const protocol = BY_CONTENT_TYPE.get(`application/${url.searchParams.get("encoding")}`);
    if (protocol?.kind === "connect_unary") return protocol;
    const text = "a GET names no message encoding: add `encoding=json` or `encoding=proto`";
    return { status: 415, refusal: "content_type", text };
  }
  return methodNotAllowed("GET, POST, OPTIONS");
}

/** The refusal of an HTTP method. */
export function methodNotAllowed(allow: string): HttpRefusal {
  const text = `the HTTP method must be one of ${allow}`;
  return { status: 405, refusal: "http_method", text, headers: { allow } };
}

function ofContentType(value: string): WebProtocol | HttpRefusal {
  const type = (value.split(";", 1)[0] ?? "").trim().toLowerCase();
  const protocol = BY_CONTENT_TYPE.get(type);
  if (protocol !== undefined) return protocol;
  const text = /^application\/grpc(?:\+|$)/.test(type)
    ? "gRPC itself needs HTTP trailers, which this listener does not have: use a gRPC listener"
    : `the content type is none of ${ACCEPT_POST}`;
  return { status: 415, refusal: "content_type", text, headers: { "accept-post": ACCEPT_POST } };
}
