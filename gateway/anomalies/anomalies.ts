/**
 * The detectors on the decision path: every real decision is looked at; what is unusual becomes an
 * alert, and, where policy asks for it, more (contract `policy-and-gateway` §9).
 *
 * @module
 */
import type { Baseline, BaselineSummary, Sign } from "../../core/anomaly/baseline.ts";
import {
  type AnomalyResponse,
  DEFAULT_RESPONSES,
  type DetectorName,
  type ResponsePlan,
  SPOOFING,
  stronger,
} from "../../core/anomaly/detectors.ts";
import type { Cascade } from "../../core/policy/cascade.ts";
import type { RuleRef } from "../../core/verdict.ts";
import { observationOf } from "../../core/anomaly/observation.ts";
import type { Raise, Severity } from "../alerts/alert.ts";
import { clean, resourceOf } from "../engine/evidence.ts";
import type { AnomaliesPart, AnomalySighting, AnomalyVerdict } from "../engine/parts.ts";
import { Baselines, type BaselinesOptions } from "./baselines.ts";

/** What the detectors need. */
export interface AnomaliesOptions extends BaselinesOptions {
  /** Takes an alert. */
  readonly raise: (raise: Raise) => void;
  /** Is told how many times the usual was seen. */
  readonly onScore?: (score: number) => void;
  /** What a detector does where no policy says. @default only alerts */
  readonly defaults?: ResponsePlan;
}

/** Severity of a response (contract `surface` §1.8: block and quarantine, pause, alert). */
const SEVERITY_OF: Readonly<Record<AnomalyResponse, Severity>> = {
  alert: "info",
  require_approval: "warning",
  throttle: "critical",
  quarantine: "critical",
};

/** Detectors that see a secret leave: an alert about a secret is always critical (same table). */
const SECRETS: ReadonlySet<DetectorName> = new Set([
  "credential_leak_attempt",
  "data_exfiltration_attempt",
]);

/** The anomaly detectors of one gateway. */
export class Anomalies implements AnomaliesPart {
  readonly baselines: Baselines;
  readonly #raise: (raise: Raise) => void;
  readonly #defaults: ResponsePlan;
  readonly #onScore: (score: number) => void;

  constructor(options: AnomaliesOptions) {
    this.baselines = new Baselines(options);
    this.#raise = options.raise;
    this.#onScore = options.onScore ?? (() => {});
    this.#defaults = options.defaults ?? DEFAULT_RESPONSES;
  }

  /**
   * What happens when a detector speaks: the stronger of what the gateway does by default and what
   * the merged policy asks for, and the rule that asks.
   */
  responseTo(
    detector: DetectorName,
    cascade: Cascade | undefined,
  ): { readonly response: AnomalyResponse; readonly rule?: RuleRef } {
    const planned = cascade?.anomaly.get(detector);
    const usual = this.#defaults[detector];
    if (planned === undefined || stronger(usual, planned.response) !== planned.response) {
      return { response: usual };
    }
    return planned;
  }

  /** @inheritdoc */
  observe(sighting: AnomalySighting): AnomalyVerdict | undefined {
    const { registry_key, engine_key } = sighting.principal;
    let verdict: AnomalyVerdict | undefined;
    const look = (baseline: Baseline, late: boolean) => {
      const signs = baseline.observe(observationOf(sightedOf(sighting), baseline.seed));
      if (signs.length === 0) return;
      const judged = this.#judge(sighting, signs, late);
      if (!late) verdict = judged;
    };
    if (registry_key === undefined) this.baselines.useUnregistered(engine_key, look);
    else this.baselines.use(registry_key, look);
    return verdict;
  }

  /** @inheritdoc */
  spoofed(claimed_agent_id: string, reason: string): void {
    // One alert for all: whoever invents names must not fill the list with them.
    this.#raise({
      category: "anomaly",
      severity: "critical",
      dedup_key: `anomaly:${SPOOFING}`,
      source: SPOOFING,
      message: `identity refused for \`${clean(claimed_agent_id).slice(0, 128)}\`: ${reason}`,
    });
  }

  /** What is usual for an agent; `undefined` when nothing is known of it. */
  async summary(registry_key: string): Promise<BaselineSummary | undefined> {
    return (await this.baselines.look(registry_key))?.summary();
  }

  /** Raises every sign, and gives the one with the strongest response. */
  #judge(sighting: AnomalySighting, signs: readonly Sign[], late: boolean): AnomalyVerdict {
    let strongest: AnomalyVerdict | undefined;
    for (const sign of signs) {
      // What is seen late cannot change an answer that has been given.
      const response = late ? "alert" : this.responseTo(sign.detector, sighting.cascade).response;
      this.#raise(raiseOf(sighting, sign, response));
      this.#onScore(sign.seen / Math.max(1, sign.usual));
      const heavier = strongest === undefined ||
        (response !== strongest.response && stronger(response, strongest.response) === response);
      if (heavier) strongest = { response, detector: sign.detector, reason: sign.explanation };
    }
    if (strongest === undefined) throw new Error("a judgement without a sign");
    return strongest;
  }
}

function sightedOf({ now_ms, action, decision, micro_usd, cascade }: AnomalySighting) {
  return { at_ms: now_ms, action, decision, micro_usd, cascade };
}

function raiseOf(sighting: AnomalySighting, sign: Sign, response: AnomalyResponse): Raise {
  const { principal, action } = sighting;
  const { registry_key, org_id, team_id } = principal;
  const touched = clean(resourceOf(action)).slice(0, 128);
  const last = touched === "" ? action.kind : `${action.kind} \`${touched}\``;
  const did = response === "alert" ? "" : `; response: ${response}`;
  return {
    category: SECRETS.has(sign.detector) ? "secret_detected" : "anomaly",
    severity: SECRETS.has(sign.detector) ? "critical" : SEVERITY_OF[response],
    dedup_key: `anomaly:${sign.detector}:${registry_key ?? "unregistered"}`,
    source: sign.detector,
    message: `${sign.explanation}; last: ${last}${did}`,
    ...(registry_key !== undefined && { agent_key: registry_key }),
    agent_id: clean(principal.agent_id),
    ...(org_id !== undefined && { org_id }),
    ...(team_id !== undefined && { team_id }),
  };
}
