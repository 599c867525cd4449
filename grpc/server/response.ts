/**
 * Header blocks a server answers with. The common ones are computed once: our encoder keeps no
 * table, so a block means the same on every connection.
 *
 * @module
 */

import { Code } from "../code.ts";
import { ACCEPTED_ENCODINGS } from "../compression.ts";
import { GrpcError } from "../grpc_error.ts";
import { encodeBlock, listBytes } from "../hpack/encoder.ts";
import type { Metadata } from "../metadata.ts";
import { encodeStatusDetails, STATUS_DETAILS } from "../status_details.ts";
import { encodeStatusMessage } from "../status_message.ts";

const HEAD_FIELDS: readonly string[] = [":status", "200", "content-type", "application/grpc"];

/** What response headers say of encodings; only clients that speak of them hear of ours. */
export type ResponseEncoding =
  /** Nothing. */
  | "unnamed"
  /** Which encodings we read. */
  | "identity"
  /** The same, and that messages of the response may be compressed. */
  | "gzip";

const ENCODING_FIELDS: Readonly<Record<ResponseEncoding, readonly string[]>> = {
  unnamed: [],
  identity: ["grpc-accept-encoding", ACCEPTED_ENCODINGS],
  gzip: ["grpc-accept-encoding", ACCEPTED_ENCODINGS, "grpc-encoding", "gzip"],
};

/** Response headers without custom metadata. */
const RESPONSE_HEADERS: Readonly<Record<ResponseEncoding, Uint8Array>> = {
  unnamed: encodeBlock(HEAD_FIELDS),
  identity: encodeBlock([...HEAD_FIELDS, ...ENCODING_FIELDS.identity]),
  gzip: encodeBlock([...HEAD_FIELDS, ...ENCODING_FIELDS.gzip]),
};
/** Trailers of a call that went well, without custom metadata. */
export const OK_TRAILERS: Uint8Array = encodeBlock(["grpc-status", "0"]);

/** What a request that is no gRPC is told. */
export const PLAIN_BODY: Uint8Array = new TextEncoder().encode(
  "this server speaks gRPC: POST, content-type application/grpc\n",
);

/** Response headers of a request that is no gRPC (RFC 9110 sections 15.5.6 and 15.5.16). */
export function plainHeaders(status: "405" | "415", with_body: boolean): Uint8Array {
  const fields = [":status", status];
  if (status === "405") fields.push("allow", "POST");
  if (with_body) {
    fields.push("content-type", "text/plain", "content-length", String(PLAIN_BODY.length));
  }
  return encodeBlock(fields);
}

/** Response headers, with custom metadata if there is any. */
export function responseHeaders(
  metadata: Metadata | undefined,
  encoding: ResponseEncoding,
): Uint8Array {
  if (metadata === undefined || metadata.size === 0) return RESPONSE_HEADERS[encoding];
  return encodeBlock([...HEAD_FIELDS, ...ENCODING_FIELDS[encoding], ...metadata.fields]);
}

/** Trailers of a call that went well, with custom metadata. */
export function okTrailers(metadata: Metadata | undefined): Uint8Array {
  if (metadata === undefined || metadata.size === 0) return OK_TRAILERS;
  return encodeBlock(okTrailerFields(metadata));
}

/** The same as fields: flat name, value, name, value. */
export function okTrailerFields(metadata: Metadata | undefined): string[] {
  return ["grpc-status", "0", ...(metadata?.fields ?? [])];
}

/** How much of a status travels. */
export interface StatusLimits {
  /** Text of `grpc-message`, before percent-encoding. */
  readonly status_message_bytes: number;
  /** The whole header list, as the peer counts it. */
  readonly header_list_bytes: number;
}

/**
 * Trailers of a call that failed.
 *
 * @param only whether they are the whole response ("Trailers-Only"): no headers were sent
 */
export function errorTrailers(
  error: GrpcError,
  trailers: Metadata | undefined,
  only: boolean,
  limits: StatusLimits,
): Uint8Array {
  return encodeBlock(errorTrailerFields(error, trailers, limits, only ? HEAD_FIELDS : []));
}

/**
 * The same as fields, for whatever protocol they travel in: flat name, value, name, value. What
 * makes them too large is left out: first the details, then the metadata, then the text; the code
 * always travels.
 *
 * @param head fields that go before, and count
 */
export function errorTrailerFields(
  error: GrpcError,
  trailers: Metadata | undefined,
  limits: StatusLimits,
  head: readonly string[] = [],
): string[] {
  const fits = (fields: readonly string[]) => listBytes(fields) <= limits.header_list_bytes;
  const code = [...head, "grpc-status", String(error.code)];
  const plain = error.message === ""
    ? code
    : [...code, "grpc-message", encodeStatusMessage(error.message, limits.status_message_bytes)];
  if (!fits(plain)) return code;
  const with_metadata = error.hasMetadata ? [...plain, ...error.metadata.fields] : plain;
  const without_details = trailers === undefined
    ? with_metadata
    : [...with_metadata, ...trailers.fields];
  if (!fits(without_details)) return plain;
  const details = encodeStatusDetails(error, limits.status_message_bytes);
  if (details === undefined) return without_details;
  const whole = [...without_details, STATUS_DETAILS, details];
  return fits(whole) ? whole : without_details;
}

/** What goes before custom metadata, at most: the head of a response, or an OK status. */
const BEFORE_METADATA_BYTES = listBytes([...HEAD_FIELDS, ...ENCODING_FIELDS.gzip]);

/**
 * Refuses metadata of a handler that no peer would read.
 *
 * @throws GrpcError INTERNAL
 */
export function checkMetadataSize(metadata: Metadata | undefined, list_bytes_max: number): void {
  if (metadata === undefined || metadata.size === 0) return;
  if (BEFORE_METADATA_BYTES + listBytes(metadata.fields) <= list_bytes_max) return;
  throw new GrpcError(
    `the response metadata is larger than the limit of ${list_bytes_max} bytes`,
    Code.INTERNAL,
  );
}
