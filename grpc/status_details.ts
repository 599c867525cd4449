/**
 * The header `grpc-status-details-bin`: a whole `google.rpc.Status` in base64, for what the plain
 * status cannot say. It repeats code and message; where it disagrees with `grpc-status` and
 * `grpc-message`, those are right.
 *
 * @module
 */

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { StatusSchema } from "./gen/google/rpc/status_pb.ts";
import type { GrpcError } from "./grpc_error.ts";
import { cutStatusMessage } from "./status_message.ts";

/** The header's name. */
export const STATUS_DETAILS = "grpc-status-details-bin";

/** The header's value; undefined when the error has no details, or none that can be encoded. */
export function encodeStatusDetails(error: GrpcError, bytes_max: number): string | undefined {
  if (error.details.length === 0) return undefined;
  const status = create(StatusSchema, {
    code: error.code,
    message: cutStatusMessage(error.message, bytes_max),
    details: [...error.details],
  });
  try {
    return encodeBase64(toBinary(StatusSchema, status));
  } catch {
    // An Any a handler filled with something else.
    return undefined;
  }
}

/** The details in a header value; none when it is not a status: the plain one still stands. */
export function decodeStatusDetails(value: string | undefined): Any[] {
  const bytes = value === undefined ? undefined : decodeBase64(value.trim());
  if (bytes === undefined) return [];
  try {
    return fromBinary(StatusSchema, bytes).details;
  } catch {
    return [];
  }
}
