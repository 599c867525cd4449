/**
 * The merged `anomaly` sections of a cascade: for each detector the strongest response that any
 * document states (contract `policy-and-gateway` §3.2, §9).
 *
 * @module
 */
import { type AnomalyResponse, type DetectorName, stronger } from "../anomaly/detectors.ts";
import type { RuleRef } from "../verdict.ts";
import type { CompiledDocument } from "./compiled_document.ts";
import { ruleAt } from "./stage.ts";

/** What policy wants done when a detector speaks. */
export interface PlannedResponse {
  readonly response: AnomalyResponse;
  readonly rule: RuleRef;
}

/** Responses by detector; a detector no document names does what the gateway does by default. */
export type AnomalyPlan = ReadonlyMap<DetectorName, PlannedResponse>;

/** Merges: the strongest response wins, of equal ones the widest document's. */
export function planAnomaly(documents: readonly CompiledDocument[]): AnomalyPlan {
  const plan = new Map<DetectorName, PlannedResponse>();
  for (const { document } of documents) {
    for (const [name, stated] of document.anomaly?.responses ?? []) {
      const known = plan.get(name);
      if (known !== undefined && stronger(known.response, stated.value) === known.response) {
        continue;
      }
      plan.set(name, { response: stated.value, rule: ruleAt(document, stated, `anomaly.${name}`) });
    }
  }
  return plan;
}
