/**
 * Where coverage is seen: between the socket or the broker and the rooms behind them.
 *
 * @module
 */
import { common } from "../../proto/mod.ts";
import type { DecisionsPart, Origin, PipelinePart } from "../parts.ts";
import type { Attestation, ComponentName } from "./attestation.ts";
import type { Outcome } from "./claims.ts";

/** What the runtime says itself is nobody's coverage. */
const COMPONENT_OF: Readonly<Record<Exclude<Origin["source"], "runtime">, ComponentName>> = {
  sdk: "sdk",
  broker: "deno-broker",
  proxy: "proxy",
  ebpf: "ebpf",
};

/**
 * The decisions room, watched. Deno itself carries out what the broker denies, so that a denial
 * there prevented the act. An SDK carries out its answers, or does not: to it they are advice.
 */
export function witnessedDecisions(
  decisions: DecisionsPart,
  witness: Pick<Attestation, "witness">,
): DecisionsPart {
  const answer: DecisionsPart["answer"] = async (query, origin, signal) => {
    const response = await decisions.answer(query, origin, signal);
    seen(witness, origin, outcomeOf(origin, response.decision));
    return response;
  };
  const { explain, settle } = decisions;
  return {
    answer,
    epoch: () => decisions.epoch(),
    repeatable: (response) => decisions.repeatable(response),
    ...explain === undefined ? {} : { explain: explain.bind(decisions) },
    ...settle === undefined ? {} : {
      settle: async (query, pending, origin, signal) => {
        const response = await settle.call(decisions, query, pending, origin, signal);
        seen(witness, origin, "held_for_approval");
        seen(witness, origin, outcomeOf(origin, response.decision));
        return response;
      },
    },
  };
}

function seen(
  witness: Pick<Attestation, "witness">,
  { source }: Origin,
  outcome: Outcome,
): void {
  if (source !== "runtime") witness.witness(COMPONENT_OF[source], outcome);
}

function outcomeOf(origin: Origin, decision: common.Decision): Outcome {
  return origin.source === "broker" && decision === common.Decision.DENY
    ? "blocked"
    : "advisory_decision";
}

/** The pipeline, watched: an event that was kept was recorded. */
export function witnessedPipeline(
  pipeline: PipelinePart,
  witness: Pick<Attestation, "witness">,
): PipelinePart {
  return {
    report: async (event, origin) => {
      await pipeline.report(event, origin);
      seen(witness, origin, "recorded");
    },
  };
}
