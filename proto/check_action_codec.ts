/**
 * The codec of the one hot call. Messages in the form that SDKs and gateways write are read and
 * written by hand-tuned code; whatever is not in that form (unknown or repeated fields, groups,
 * overlong numbers, cut or unsound bytes, redactions) goes to the generated code from the start.
 * So the generated code alone decides what a message is, and the tuned one only has to agree where
 * it answers at all. Hostile bytes cost the generated decoder's time and one bounded walk more.
 *
 * @module
 */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type CheckActionRequest,
  CheckActionRequestSchema,
  type CheckActionResponse,
  CheckActionResponseSchema,
} from "./gen/assembly/policy/v1/policy_pb.ts";
import { readRequest } from "./check_action/request_reader.ts";
import { writeRequest } from "./check_action/request_writer.ts";
import { readResponse } from "./check_action/response_reader.ts";
import { writeResponse } from "./check_action/response_writer.ts";

/** The server's side: for `addService(PolicyService, …, { codecs: { checkAction } })`. */
export const CHECK_ACTION_SERVER_CODEC: {
  /** @throws {Error} as `fromBinary` does, when the bytes are no request */
  decode(bytes: Uint8Array): CheckActionRequest;
  /** @throws {Error} as `toBinary` does, when a value does not fit its field */
  encode(response: CheckActionResponse): Uint8Array;
} = {
  decode: (bytes) => readRequest(bytes) ?? fromBinary(CheckActionRequestSchema, bytes),
  encode: (response) => writeResponse(response) ?? toBinary(CheckActionResponseSchema, response),
};

/** The client's side: for `createClient(PolicyService, channel, { codecs: { checkAction } })`. */
export const CHECK_ACTION_CLIENT_CODEC: {
  /** @throws {Error} as `create` and `toBinary` do, when a value does not fit its field */
  encode(request: MessageInitShape<typeof CheckActionRequestSchema>): Uint8Array;
  /** @throws {Error} as `fromBinary` does, when the bytes are no response */
  decode(bytes: Uint8Array): CheckActionResponse;
} = {
  encode: (request) =>
    writeRequest(request) ??
      toBinary(CheckActionRequestSchema, create(CheckActionRequestSchema, request)),
  decode: (bytes) => readResponse(bytes) ?? fromBinary(CheckActionResponseSchema, bytes),
};
