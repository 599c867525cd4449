/**
 * Header blocks a server answers with. The common ones are computed once: our encoder keeps no
 * table, so a block means the same on every connection.
 *
 * @module
 */

import { Code } from "../code.ts";
import { GrpcError } from "../grpc_error.ts";
import { encodeBlock, listBytes } from "../hpack/encoder.ts";
import type { Metadata } from "../metadata.ts";
import { encodeStatusMessage } from "../status_message.ts";

const HEAD_FIELDS: readonly string[] = [":status", "200", "content-type", "application/grpc"];

/** Response headers without custom metadata. */
export const RESPONSE_HEADERS: Uint8Array = encodeBlock(HEAD_FIELDS);
/** Trailers of a call that went well, without custom metadata. */
export const OK_TRAILERS: Uint8Array = encodeBlock(["grpc-status", "0"]);

/** Response headers with custom metadata. */
export function responseHeaders(metadata: Metadata | undefined): Uint8Array {
  if (metadata === undefined || metadata.size === 0) return RESPONSE_HEADERS;
  return encodeBlock([...HEAD_FIELDS, ...metadata.fields]);
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

/**
 * Trailers of a call that failed.
 *
 * @param only whether they are the whole response ("Trailers-Only"): no headers were sent
 */
export function errorTrailers(
  error: GrpcError,
  trailers: Metadata | undefined,
  only: boolean,
  message_bytes_max: number,
): Uint8Array {
  const fields = errorTrailerFields(error, trailers, message_bytes_max);
  return encodeBlock(only ? [...HEAD_FIELDS, ...fields] : fields);
}

/** The same as fields, for whatever protocol they travel in: flat name, value, name, value. */
export function errorTrailerFields(
  error: GrpcError,
  trailers: Metadata | undefined,
  message_bytes_max: number,
): string[] {
  const fields = ["grpc-status", String(error.code)];
  if (error.message !== "") {
    fields.push("grpc-message", encodeStatusMessage(error.message, message_bytes_max));
  }
  if (error.hasMetadata) fields.push(...error.metadata.fields);
  if (trailers !== undefined) fields.push(...trailers.fields);
  return fields;
}

/** Refuses metadata of a handler that no peer would read. */
export function checkMetadataSize(metadata: Metadata | undefined, list_bytes_max: number): void {
  if (metadata === undefined || listBytes(metadata.fields) <= list_bytes_max) return;
  throw new GrpcError("response metadata is larger than header_list_bytes", Code.INTERNAL);
}
