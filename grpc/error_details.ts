/**
 * The standard details of errors, `google.rpc`: messages to put into `GrpcError.details` and to
 * look for with `GrpcError.findDetails`. Apart from `mod.ts`, because few programs need them.
 *
 * @example A handler says which field is wrong, a caller reads it.
 * ```ts
 * import { Code, GrpcError } from "@agent-assembly/grpc";
 * import { BadRequestSchema, detailOf } from "@agent-assembly/grpc/error_details";
 *
 * const error = new GrpcError("the request is wrong", Code.INVALID_ARGUMENT, {
 *   details: [detailOf(BadRequestSchema, { fieldViolations: [{ field: "name" }] })],
 * });
 * for (const { fieldViolations } of error.findDetails(BadRequestSchema)) {
 *   console.log(fieldViolations[0]?.field);
 * }
 * ```
 *
 * @module
 */

import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";

export {
  type BadRequest,
  type BadRequest_FieldViolation,
  BadRequest_FieldViolationSchema,
  BadRequestSchema,
  type DebugInfo,
  DebugInfoSchema,
  type ErrorInfo,
  ErrorInfoSchema,
  type Help,
  type Help_Link,
  Help_LinkSchema,
  HelpSchema,
  type LocalizedMessage,
  LocalizedMessageSchema,
  type PreconditionFailure,
  type PreconditionFailure_Violation,
  PreconditionFailure_ViolationSchema,
  PreconditionFailureSchema,
  type QuotaFailure,
  type QuotaFailure_Violation,
  QuotaFailure_ViolationSchema,
  QuotaFailureSchema,
  type RequestInfo,
  RequestInfoSchema,
  type ResourceInfo,
  ResourceInfoSchema,
  type RetryInfo,
  RetryInfoSchema,
} from "./gen/google/rpc/error_details_pb.ts";
export { type Status, StatusSchema } from "./gen/google/rpc/status_pb.ts";

/**
 * A detail of any message type, checked against its schema by the compiler.
 *
 * @throws Error when a value is outside what its field holds, for example 2^40 in an int32
 */
export function detailOf<Desc extends DescMessage>(
  desc: Desc,
  init: MessageInitShape<Desc>,
): Any {
  return anyPack(desc, create(desc, init));
}
