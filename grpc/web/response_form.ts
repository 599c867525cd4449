/**
 * How each protocol writes a response: its head, each message, and what follows the last.
 *
 * @module
 */

import type { GrpcError } from "../grpc_error.ts";
import type { Metadata } from "../metadata.ts";
import { putUint32 } from "../http2/frames.ts";
import { MESSAGE_PREFIX_BYTES } from "../http2/sender.ts";
import { errorTrailerFields, okTrailerFields, type StatusLimits } from "../server/response.ts";
import { base64Bytes } from "./base64_stream.ts";
import { connectErrorJson, httpStatusOf, metadataJson } from "./connect_error.ts";
import type { WebProtocol } from "./protocol.ts";

/** How a call ended. */
export interface CallEnd {
  /** Undefined when it ended well. */
  readonly error: GrpcError | undefined;
  readonly trailers: Metadata | undefined;
}

/** A response that is known as a whole. */
export interface WholeResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** Writes responses of one protocol. */
export interface ResponseForm {
  /** The headers of a response whose messages follow as they come; its status is 200. */
  head(metadata: Metadata | undefined): Headers;
  /** One message as it travels. */
  frame(message: Uint8Array): Uint8Array<ArrayBuffer>;
  /** What follows the last message. */
  last(end: CallEnd): Uint8Array<ArrayBuffer>;
  /** A response of at most one message. */
  whole(
    metadata: Metadata | undefined,
    message: Uint8Array | undefined,
    end: CallEnd,
  ): WholeResponse;
}

/** The form a request's protocol answers in. */
export function responseForm(protocol: WebProtocol, limits: StatusLimits): ResponseForm {
  switch (protocol.kind) {
    case "grpc_web":
      return new EnvelopeForm(protocol, (end) => grpcWebTrailers(end, limits));
    case "connect_stream":
      return new EnvelopeForm(protocol, (end) => connectEndOfStream(end, limits));
    case "connect_unary":
      return new ConnectUnaryForm(protocol, limits);
  }
}

/** Flag of the frame that holds gRPC-Web's trailers: the most significant bit. */
const GRPC_WEB_TRAILERS = 0x80;
/** Flag of the envelope that ends a Connect stream: the second least significant bit. */
const CONNECT_END_OF_STREAM = 0x02;
/** Headers of HTTP's own that metadata of a handler may not set. */
const HTTP_HEADERS: ReadonlySet<string> = new Set(["accept-encoding", "content-encoding"]);

const encoder = new TextEncoder();

/** gRPC-Web and Connect streams: messages behind a prefix, then one last frame. */
class EnvelopeForm implements ResponseForm {
  readonly #protocol: WebProtocol;
  readonly #end: (end: CallEnd) => Uint8Array<ArrayBuffer>;

  constructor(protocol: WebProtocol, end: (end: CallEnd) => Uint8Array<ArrayBuffer>) {
    this.#protocol = protocol;
    this.#end = end;
  }

  head(metadata: Metadata | undefined): Headers {
    return headersOf(this.#protocol.content_type, metadata);
  }

  frame(message: Uint8Array): Uint8Array<ArrayBuffer> {
    return this.#written(envelope(0, message));
  }

  last(end: CallEnd): Uint8Array<ArrayBuffer> {
    return this.#written(this.#end(end));
  }

  whole(
    metadata: Metadata | undefined,
    message: Uint8Array | undefined,
    end: CallEnd,
  ): WholeResponse {
    const last = this.last(end);
    if (message === undefined) return { status: 200, headers: this.head(metadata), body: last };
    const frame = this.frame(message);
    const body = new Uint8Array(frame.length + last.length);
    body.set(frame);
    body.set(last, frame.length);
    return { status: 200, headers: this.head(metadata), body };
  }

  #written(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    return this.#protocol.text ? base64Bytes(bytes) : bytes;
  }
}

/** Connect's unary calls: a bare message, or an HTTP status and a JSON error. */
class ConnectUnaryForm implements ResponseForm {
  readonly #protocol: WebProtocol;
  readonly #limits: StatusLimits;

  constructor(protocol: WebProtocol, limits: StatusLimits) {
    this.#protocol = protocol;
    this.#limits = limits;
  }

  head(metadata: Metadata | undefined): Headers {
    return headersOf(this.#protocol.content_type, metadata);
  }

  frame(message: Uint8Array): Uint8Array<ArrayBuffer> {
    return new Uint8Array(message);
  }

  last(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(0);
  }

  whole(
    metadata: Metadata | undefined,
    message: Uint8Array | undefined,
    { error, trailers }: CallEnd,
  ): WholeResponse {
    const failed = error !== undefined;
    const headers = headersOf(failed ? "application/json" : this.#protocol.content_type, metadata);
    for (
      const fields of [error?.hasMetadata ? error.metadata.fields : [], trailers?.fields ?? []]
    ) {
      for (let index = 0; index < fields.length; index += 2) {
        headers.append(`trailer-${fields[index]}`, fields[index + 1] ?? "");
      }
    }
    if (!failed) {
      return { status: 200, headers, body: new Uint8Array(message ?? new Uint8Array(0)) };
    }
    const json = connectErrorJson(error, this.#limits.status_message_bytes);
    const body = encoder.encode(JSON.stringify(json));
    return { status: httpStatusOf(error.code), headers, body };
  }
}

function headersOf(content_type: string, metadata: Metadata | undefined): Headers {
  const headers = new Headers();
  const fields = metadata?.fields ?? [];
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] ?? "";
    if (!HTTP_HEADERS.has(name)) headers.append(name, fields[index + 1] ?? "");
  }
  headers.set("content-type", content_type);
  return headers;
}

/** A flag byte, four length bytes, the message. */
export function envelope(flag: number, message: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(MESSAGE_PREFIX_BYTES + message.length);
  bytes[0] = flag;
  putUint32(bytes, 1, message.length);
  bytes.set(message, MESSAGE_PREFIX_BYTES);
  return bytes;
}

/** Trailers as a header block of HTTP/1 without its empty line (gRPC-Web). */
function grpcWebTrailers(end: CallEnd, limits: StatusLimits): Uint8Array<ArrayBuffer> {
  const fields = end.error === undefined
    ? okTrailerFields(end.trailers)
    : errorTrailerFields(end.error, end.trailers, limits);
  let text = "";
  for (let index = 0; index < fields.length; index += 2) {
    text += `${fields[index]}: ${fields[index + 1]}\r\n`;
  }
  return envelope(GRPC_WEB_TRAILERS, encoder.encode(text));
}

function connectEndOfStream(
  { error, trailers }: CallEnd,
  limits: StatusLimits,
): Uint8Array<ArrayBuffer> {
  const json: Record<string, unknown> = {};
  if (error !== undefined) json.error = connectErrorJson(error, limits.status_message_bytes);
  const metadata = metadataJson([error?.hasMetadata ? error.metadata : undefined, trailers]);
  if (Object.keys(metadata).length > 0) json.metadata = metadata;
  return envelope(CONNECT_END_OF_STREAM, encoder.encode(JSON.stringify(json)));
}
