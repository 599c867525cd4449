/**
 * What a request's header list asks for, and whether it may (RFC 9113 section 8.3.1; gRPC over
 * HTTP/2, "Requests").
 *
 * @module
 */

import type { Refusal } from "../bounds.ts";
import { Code } from "../code.ts";
import { acceptsGzip, type Compression, isCompression } from "../compression.ts";
import { isAllowedField, isAllowedValue } from "../http2/field_rules.ts";
import { customFields } from "../metadata.ts";
import { parseTimeout } from "../timeout.ts";
import type { Route } from "./route.ts";

/** A request's head, judged. Immutable: equal header blocks share one. */
export type RequestHead =
  | {
    readonly kind: "call";
    readonly route: Route;
    readonly timeout_ms: number | undefined;
    /** How the request's messages are compressed, those that are. */
    readonly encoding: Compression;
    /** What the client says it reads; `unnamed` when it says nothing of encodings at all. */
    readonly accepts: Compression | "unnamed";
    /** Custom metadata, flat. */
    readonly fields: readonly string[];
    readonly content_length: number | undefined;
  }
  /** Answered with trailers only. */
  | {
    readonly kind: "status";
    readonly path: string;
    readonly code: Code;
    readonly text: string;
    readonly refusal: Refusal;
    /** Whether to say which message encodings we read. */
    readonly accept_encoding: boolean;
  }
  /** Not gRPC: answered with a plain HTTP status. */
  | {
    readonly kind: "http";
    readonly status: "405" | "415";
    readonly refusal: Refusal;
    /** Whether the answer may have a body: not to HEAD. */
    readonly with_body: boolean;
    readonly content_length: number | undefined;
  }
  /** Not HTTP/2: the stream is reset. */
  | { readonly kind: "malformed" };

const MALFORMED: RequestHead = { kind: "malformed" };
const CONTENT_TYPE = /^application\/grpc(?:\+proto)?(?:\s*;.*)?$/i;
const CONTENT_LENGTH = /^[0-9]{1,15}$/;

interface Pseudo {
  method: string | undefined;
  scheme: string | undefined;
  path: string | undefined;
  authority: string | undefined;
}

const COLON = 0x3a;
const PSEUDO: ReadonlyMap<string, keyof Pseudo> = new Map([
  [":method", "method"],
  [":scheme", "scheme"],
  [":path", "path"],
  [":authority", "authority"],
]);

/** Judges a decoded header list. */
export function parseRequestHead(
  fields: readonly string[],
  routes: ReadonlyMap<string, Route>,
): RequestHead {
  const pseudo: Pseudo = {
    method: undefined,
    scheme: undefined,
    path: undefined,
    authority: undefined,
  };
  const regular_from = readPseudo(fields, pseudo);
  if (regular_from === undefined) return MALFORMED;
  let content_type = "";
  let timeout: string | undefined;
  let encoding: string | undefined;
  let accept_encoding: string | undefined;
  let content_length: number | undefined;
  for (let index = regular_from; index < fields.length; index += 2) {
    const name = fields[index] ?? "";
    const value = fields[index + 1] ?? "";
    if (!isAllowedField(name, value)) return MALFORMED;
    if (name === "content-type") content_type = value;
    else if (name === "grpc-timeout") timeout = value;
    else if (name === "grpc-encoding") encoding = value;
    else if (name === "grpc-accept-encoding") accept_encoding = value;
    else if (name === "content-length") {
      if (!CONTENT_LENGTH.test(value)) return MALFORMED;
      content_length = Number(value);
    }
  }
  const with_body = pseudo.method !== "HEAD";
  if (pseudo.method !== "POST") {
    return { kind: "http", status: "405", refusal: "http_method", with_body, content_length };
  }
  if (!CONTENT_TYPE.test(content_type)) {
    return { kind: "http", status: "415", refusal: "content_type", with_body, content_length };
  }
  const request = {
    path: pseudo.path ?? "",
    timeout: readTimeout(timeout),
    encoding,
    accept_encoding,
    fields,
  };
  return judgeCall(request, routes, content_length);
}

/** How long a caller waits, or what is wrong with how it says so. */
export type Timeout = { readonly ms: number } | { readonly problem: string } | undefined;

/** Reads a `grpc-timeout` header, if there is one. */
export function readTimeout(value: string | undefined): Timeout {
  if (value === undefined) return undefined;
  const ms = parseTimeout(value);
  if (ms !== undefined) return { ms };
  return { problem: "grpc-timeout is not one to eight digits and a unit (H M S m u n)" };
}

/** What a request asks for, in whatever protocol it came. */
export interface CallRequest {
  readonly path: string;
  readonly timeout: Timeout;
  /** Message encoding; undefined when none is named. */
  readonly encoding: string | undefined;
  /** Message encodings the client reads, as `grpc-accept-encoding` lists them. */
  readonly accept_encoding: string | undefined;
  /** The whole header list, flat. */
  readonly fields: readonly string[];
}

/** Judges a request for a method once its protocol is known. */
export function judgeCall(
  { path, timeout, encoding: named_encoding, accept_encoding, fields }: CallRequest,
  routes: ReadonlyMap<string, Route>,
  content_length?: number,
): RequestHead & { kind: "call" | "status" } {
  const route = routes.get(path);
  if (route === undefined) {
    return status(path, Code.UNIMPLEMENTED, "unknown method: no service has it", "unknown_method");
  }
  const encoding = named_encoding ?? "identity";
  if (!isCompression(encoding)) {
    const text = `message encoding \`${encoding.slice(0, 32)}\` is not supported: ` +
      "send `identity` or `gzip`";
    return { ...status(path, Code.UNIMPLEMENTED, text, "compression"), accept_encoding: true };
  }
  if (timeout !== undefined && "problem" in timeout) {
    return status(path, Code.INVALID_ARGUMENT, timeout.problem, "malformed_request");
  }
  const custom = customFields(fields);
  if (!custom.ok) {
    const text = `metadata \`${custom.name.slice(0, 64)}\` is not base64`;
    return status(path, Code.INVALID_ARGUMENT, text, "malformed_request");
  }
  const gzip = accept_encoding !== undefined && acceptsGzip(accept_encoding);
  const unnamed = named_encoding === undefined && accept_encoding === undefined;
  return {
    kind: "call",
    route,
    timeout_ms: timeout?.ms,
    encoding,
    accepts: unnamed ? "unnamed" : gzip ? "gzip" : "identity",
    fields: custom.fields,
    content_length,
  };
}

function status(path: string, code: Code, text: string, refusal: Refusal): RequestHead & {
  kind: "status";
} {
  return { kind: "status", path, code, text, refusal, accept_encoding: false };
}

/**
 * Reads the pseudo headers, which come first and once each.
 *
 * @returns where the regular fields begin, or undefined when the request is malformed
 */
function readPseudo(fields: readonly string[], pseudo: Pseudo): number | undefined {
  let index = 0;
  for (; index < fields.length; index += 2) {
    const name = fields[index] ?? "";
    if (name.charCodeAt(0) !== COLON) break;
    const value = fields[index + 1] ?? "";
    const key = PSEUDO.get(name);
    if (key === undefined || pseudo[key] !== undefined || !isAllowedValue(value)) return undefined;
    pseudo[key] = value;
  }
  const { method, scheme, path } = pseudo;
  if (method === undefined || scheme === undefined || path === undefined) return undefined;
  return path.startsWith("/") || path === "*" ? index : undefined;
}
