/**
 * How Connect writes an error: a lower-case code, an HTTP status, a JSON object (Connect, "Error
 * codes", "Error and EndStreamResponse").
 *
 * @module
 */

import { encodeBase64 } from "../base64.ts";
import { type Code, codeName } from "../code.ts";
import type { GrpcError } from "../grpc_error.ts";
import type { Metadata } from "../metadata.ts";
import { cutStatusMessage } from "../status_message.ts";

/** HTTP status by code; index is the code. OK stands first. */
const HTTP_STATUS: readonly number[] = [
  200,
  499,
  500,
  400,
  504,
  404,
  409,
  403,
  429,
  400,
  409,
  400,
  501,
  500,
  503,
  500,
  401,
];

/** The HTTP status of a unary response that failed. */
export function httpStatusOf(code: Code): number {
  return HTTP_STATUS[code] ?? 500;
}

/** The JSON object of an error. */
export function connectErrorJson(
  error: GrpcError,
  message_bytes_max: number,
): Record<string, unknown> {
  const json: Record<string, unknown> = { code: connectCode(error.code) };
  if (error.message !== "") json.message = cutStatusMessage(error.message, message_bytes_max);
  const details = error.details.map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    value: encodeBase64(value),
  }));
  if (details.length > 0) json.details = details;
  return json;
}

/** Trailing metadata as JSON: every value of a key in a list. */
export function metadataJson(
  metadata: readonly (Metadata | undefined)[],
): Record<string, string[]> {
  const json: Record<string, string[]> = Object.create(null);
  for (const fields of metadata.map((one) => one?.fields ?? [])) {
    for (let index = 0; index < fields.length; index += 2) {
      (json[fields[index] ?? ""] ??= []).push(fields[index + 1] ?? "");
    }
  }
  return json;
}

/** Connect writes `canceled` with one `l`. */
function connectCode(code: Code): string {
  return code === 1 ? "canceled" : codeName(code).toLowerCase();
}
