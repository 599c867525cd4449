/**
 * From what a server sent to a gRPC status (gRPC over HTTP/2, "Responses" and "Errors"; gRPC core
 * documentation, "HTTP to gRPC Status Code Mapping").
 *
 * @module
 */

import { Code, isCode } from "../code.ts";
import { type Compression, isCompression } from "../compression.ts";
import { GrpcError } from "../grpc_error.ts";
import { ErrorCode, errorCodeName } from "../http2/frames.ts";
import { customFields, Metadata } from "../metadata.ts";
import { decodeStatusDetails, STATUS_DETAILS } from "../status_details.ts";
import { decodeStatusMessage } from "../status_message.ts";

const FROM_HTTP: Readonly<Record<string, Code>> = {
  "400": Code.INTERNAL,
  "401": Code.UNAUTHENTICATED,
  "403": Code.PERMISSION_DENIED,
  "404": Code.UNIMPLEMENTED,
  "429": Code.UNAVAILABLE,
  "502": Code.UNAVAILABLE,
  "503": Code.UNAVAILABLE,
  "504": Code.UNAVAILABLE,
};

const FROM_RESET: Readonly<Record<number, Code>> = {
  [ErrorCode.REFUSED_STREAM]: Code.UNAVAILABLE,
  [ErrorCode.CANCEL]: Code.CANCELLED,
  [ErrorCode.ENHANCE_YOUR_CALM]: Code.RESOURCE_EXHAUSTED,
  [ErrorCode.INADEQUATE_SECURITY]: Code.PERMISSION_DENIED,
};

/** The first value of a field, or undefined. */
export function fieldOf(fields: readonly string[], name: string): string | undefined {
  for (let index = 0; index < fields.length; index += 2) {
    if (fields[index] === name) return fields[index + 1];
  }
  return undefined;
}

/** The error of a response whose head is not a gRPC one, or undefined when it is. */
export function headError(fields: readonly string[]): GrpcError | undefined {
  const status = fieldOf(fields, ":status") ?? "";
  if (status !== "200") {
    const code = FROM_HTTP[status] ?? Code.UNKNOWN;
    return new GrpcError(`the server answered with HTTP status \`${status.slice(0, 8)}\``, code);
  }
  const content_type = fieldOf(fields, "content-type") ?? "";
  if (!/^application\/grpc(?:$|[+;\s])/i.test(content_type)) {
    return new GrpcError("the server's answer is not gRPC by its content-type", Code.UNKNOWN);
  }
  const encoding = fieldOf(fields, "grpc-encoding") ?? "identity";
  if (isCompression(encoding)) return undefined;
  const text = `the server compressed its answer as \`${encoding.slice(0, 32)}\`, unasked`;
  return new GrpcError(text, Code.INTERNAL);
}

/** How the messages of a response are compressed, those that are. */
export function encodingOf(fields: readonly string[]): Compression {
  return fieldOf(fields, "grpc-encoding") === "gzip" ? "gzip" : "identity";
}

/** Custom metadata of a response; undefined when a binary value is not base64. */
export function metadataOf(fields: readonly string[]): Metadata | undefined {
  const custom = customFields(fields);
  return custom.ok ? Metadata.fromFields(custom.fields) : undefined;
}

/** The status in trailers: undefined when it is OK. */
export function statusError(fields: readonly string[], trailers: Metadata): GrpcError | undefined {
  const text = fieldOf(fields, "grpc-status");
  if (text === "0") return undefined;
  if (text === undefined) {
    return new GrpcError("the server ended the call without a status", Code.UNKNOWN);
  }
  const code = /^[0-9]{1,2}$/.test(text) ? Number(text) : -1;
  const message = decodeStatusMessage(fieldOf(fields, "grpc-message") ?? "");
  return new GrpcError(message, isCode(code) && code !== Code.OK ? code : Code.UNKNOWN, {
    metadata: trailers,
    details: decodeStatusDetails(fieldOf(fields, STATUS_DETAILS)),
  });
}

/** The status of a call whose stream the server reset. */
export function resetError(code: number): GrpcError {
  return new GrpcError(
    `the server reset the call: ${errorCodeName(code)}`,
    FROM_RESET[code] ?? Code.INTERNAL,
  );
}
