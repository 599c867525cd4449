/**
 * Writes a plain verdict: a `CheckActionResponse` without redactions, in ASCII.
 *
 * @module
 */
import type { CheckActionResponse } from "../gen/assembly/policy/v1/policy_pb.ts";
import { FieldWriter } from "./field_writer.ts";

const WRITER = new FieldWriter();

/**
 * The bytes of a response.
 *
 * @returns `undefined` for anything but a plain verdict, sound or not
 */
export function writeResponse(response: CheckActionResponse): Uint8Array | undefined {
  const { decisionLatencyUs } = response;
  if (
    response.$typeName !== "assembly.policy.v1.CheckActionResponse" ||
    response.$unknown !== undefined || response.redact !== undefined ||
    typeof decisionLatencyUs !== "bigint"
  ) return undefined;
  WRITER.begin();
  WRITER.integer(0x38, response.agentIdentityAssurance);
  WRITER.integer(0x30, Number(decisionLatencyUs));
  WRITER.text(0x22, response.approvalId);
  WRITER.text(0x1a, response.policyRule);
  WRITER.text(0x12, response.reason);
  WRITER.integer(0x08, response.decision);
  return WRITER.finish();
}
