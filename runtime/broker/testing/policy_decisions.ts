/**
 * A decisions room for tests: policies as text, decided by the shipped engine, evidence in a list.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import {
  compilePolicySet,
  decide,
  explain,
  type Facts,
  type PolicySet,
} from "../../../core/policy/mod.ts";
import { loadPolicy } from "../../../core/policy/load.ts";
import { actionFromWire } from "../../../proto/mapping.ts";
import { policy } from "../../../proto/mod.ts";
import type { DecisionsPart, Origin, RefusalWords } from "../../parts.ts";

/** One decision that was put on record. */
export interface Evidence {
  readonly action: unknown;
  readonly decision: number;
  readonly origin: Origin;
}

/** A decisions room over policy texts. */
export class PolicyDecisions implements DecisionsPart {
  readonly evidence: Evidence[] = [];
  #policy: PolicySet;
  #epoch: number | undefined = 1;
  readonly #words = new WeakMap<policy.CheckActionResponse, RefusalWords>();
  /** Called before each answer: a test may make it slow, or fail. */
  before: (query: policy.CheckActionRequest) => Promise<void> | void = () => {};
  settle?: NonNullable<DecisionsPart["settle"]>;

  /** @param texts Policy files `p0.yaml`, `p1.yaml`, …; each must be valid. */
  constructor(...texts: string[]) {
    this.#policy = policySetOf(texts);
  }

  /** Another policy takes effect. */
  replace(...texts: string[]): void {
    this.#policy = policySetOf(texts);
    this.#epoch = (this.#epoch ?? 0) + 1;
  }

  /** Nothing may be kept: the gateway is away. */
  lose(): void {
    this.#epoch = undefined;
  }

  readonly answer: DecisionsPart["answer"] = async (query, origin) => {
    await this.before(query);
    const mapped = actionFromWire(query.context);
    if (!mapped.ok) {
      return create(policy.CheckActionResponseSchema, { decision: 2, reason: mapped.message });
    }
    const decision = decide(this.#policy, mapped.action, FACTS);
    const redacted = decision.outcome === "allow" && decision.redacted !== undefined;
    const number = { allow: redacted ? 4 : 1, deny: 2, require_approval: 3 }[decision.outcome];
    this.evidence.push({ action: mapped.action, decision: number, origin });
    const response = create(policy.CheckActionResponseSchema, {
      decision: number,
      reason: decision.reason,
      policyRule: decision.rule?.path ?? "",
    });
    if (number === 2) {
      const { rule, changes } = explain(this.#policy, mapped.action, FACTS, decision);
      this.#words.set(response, {
        ...(rule && { rule: `${rule.file}:${rule.line} ${rule.path}` }),
        change: changes.map((change) => change.text).join(", then "),
      });
    }
    return response;
  };

  readonly epoch = (): number | undefined => this.#epoch;

  readonly repeatable = (response: policy.CheckActionResponse): boolean =>
    response.decision === 1 || response.decision === 2;

  readonly explain = (response: policy.CheckActionResponse): RefusalWords | undefined =>
    this.#words.get(response);
}

function policySetOf(texts: readonly string[]): PolicySet {
  return compilePolicySet(texts.map((text, at) => {
    const loaded = loadPolicy(`p${at}.yaml`, text);
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    return loaded.document;
  }));
}

const FACTS: Facts = {
  now_ms: Date.UTC(2026, 2, 4, 12),
  principal: {
    assurance: "bound",
    agent_id: "a1",
    engine_key: "0".repeat(32),
    status: "active",
    context: {},
  },
  rateTokens: (charge) => charge.limit,
  spend: { state: "known", agent_daily_micro_usd: 0, agent_monthly_micro_usd: 0 },
};
