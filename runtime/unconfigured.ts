/**
 * Absent rooms, with a name: what is not configured denies (trap R11).
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { common, policy } from "../proto/mod.ts";
import type { DecisionsPart } from "./parts.ts";

/** Denies every query, saying what to configure. */
export function unconfiguredDecisions(): DecisionsPart {
  return {
    answer: () =>
      Promise.resolve(create(policy.CheckActionResponseSchema, {
        decision: common.Decision.DENY,
        reason: "the runtime is unconfigured: it has neither a gateway nor local rules, so that " +
          "every action is denied; start it with --gateway URL or --local-policy FILE",
        policyRule: "unconfigured",
      })),
    epoch: () => undefined,
    repeatable: () => false,
  };
}
