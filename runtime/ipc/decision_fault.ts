/**
 * The answer when the deciding room broke its promise to always answer: a denial with a name.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { common, policy } from "../../proto/mod.ts";

/** A denial that says the fault is the runtime's, not the action's. */
export function decisionFault(): policy.CheckActionResponse {
  return create(policy.CheckActionResponseSchema, {
    decision: common.Decision.DENY,
    reason:
      "the runtime could not decide: internal fault; the operator finds it in the runtime's log",
  });
}
