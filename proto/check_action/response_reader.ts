/**
 * `CheckActionResponse` in the form a gateway writes a plain verdict: without redactions.
 *
 * @module
 */
import type { CheckActionResponse } from "../gen/assembly/policy/v1/policy_pb.ts";
import { FieldReader } from "./field_reader.ts";

const READER = new FieldReader();

/**
 * Reads a response whose fields come known, of the right wire type, and without redactions.
 *
 * @returns `undefined` for anything else, sound or not
 */
export function readResponse(bytes: Uint8Array): CheckActionResponse | undefined {
  READER.begin(bytes);
  const response = responseFields(READER, bytes.length);
  READER.finish();
  return READER.gave_up ? undefined : response;
}

function responseFields(reader: FieldReader, end: number): CheckActionResponse {
  let decision = 0;
  let reason = "";
  let policyRule = "";
  let approvalId = "";
  let decisionLatencyUs = 0;
  let agentIdentityAssurance = 0;
  while (reader.position < end) {
    switch (reader.tag()) {
      case 0x08:
        decision = reader.integer(end);
        break;
      case 0x12:
        reason = reader.text(end);
        break;
      case 0x1a:
        policyRule = reader.text(end);
        break;
      case 0x22:
        approvalId = reader.text(end);
        break;
      case 0x30:
        decisionLatencyUs = reader.integer(end);
        break;
      case 0x38:
        agentIdentityAssurance = reader.integer(end);
        break;
      default:
        reader.giveUp();
    }
  }
  return {
    $typeName: "assembly.policy.v1.CheckActionResponse",
    decision,
    reason,
    policyRule,
    approvalId,
    decisionLatencyUs: BigInt(decisionLatencyUs),
    agentIdentityAssurance,
  };
}
