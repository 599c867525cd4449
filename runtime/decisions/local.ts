/**
 * What can be decided here and now, with certainty. Everything that could come out another way at
 * the gateway is forwarded: an action that needs a person, a detector that may refuse, facts about
 * other agents, an hour that begins or ends just now.
 *
 * @module
 */
import type { Action } from "../../core/action.ts";
import { isCharged, isModelCall } from "../../core/policy/budget.ts";
import type { Cascade } from "../../core/policy/cascade.ts";
import { decide, type Facts } from "../../core/policy/decide.ts";
import { explain } from "../../core/policy/explain.ts";
import { modelCallOf } from "../../core/ledger/call_price.ts";
import type { AgentContext, Principal } from "../../core/principal.ts";
import type { Decision, Explanation } from "../../core/verdict.ts";
import { actionFromWire, identifierProblem } from "../../proto/mapping.ts";
import type { policy } from "../../proto/mod.ts";
import { DECISION_LIMITS } from "./limits.ts";
import { isTokenOf, sameName, type Snapshot } from "./snapshot.ts";

/** What a call must be covered by, before it may be let through here. */
export interface LeaseNeed {
  /** The same for calls that cost the same of the same limits. */
  readonly class_id: string;
  /** Set when a model call: what one lease of the class is priced for. */
  readonly prompt_tokens?: number;
}

/** A ruling, or why there is none here. */
export type LocalRuling =
  | {
    readonly kind: "certain";
    readonly action: Action;
    readonly decision: Decision;
    /** Absent when nothing counts such a call. */
    readonly needs?: LeaseNeed;
    /** Nothing but the epoch could change it. */
    readonly repeatable: boolean;
    readonly explain: () => Explanation;
  }
  | { readonly kind: "forward"; readonly because: string };

/** Decides one query from a snapshot, or says why it cannot. Takes nothing. */
export function decideLocally(
  query: policy.CheckActionRequest,
  snapshot: Snapshot,
  gateway_now_ms: number,
): LocalRuling {
  const { agent, suspended } = snapshot;
  if (suspended !== "") return forward(suspended);
  const { orgId: org_id = "", teamId: team_id = "", agentId: agent_id = "" } = query.agentId ?? {};
  if (!sameName({ org_id, team_id, agent_id }, agent.name)) return forward("another agent asks");
  const token = query.credentialToken;
  if (token === "" || token.length > TOKEN_CHARS_MAX) return forward("its credential is not known");
  if (!isTokenOf(token, agent.token_sha256)) return forward("its credential is not known");
  const { clock_uncertainty_ms } = DECISION_LIMITS;
  const latest_ms = gateway_now_ms + clock_uncertainty_ms;
  if (agent.token_expires_at_ms !== 0 && latest_ms >= agent.token_expires_at_ms) {
    return forward("its credential ends");
  }
  if (agent.observed) return forward("the agent is observed only");
  if (identifierProblem(query) !== undefined) return forward("a name is too long");
  const mapped = actionFromWire(query.context);
  if (!mapped.ok) return forward("the action is not understood");
  return decideAction(mapped.action, snapshot, gateway_now_ms);
}

/** Longest token looked at; a longer one cannot be the agent's. */
const TOKEN_CHARS_MAX = 1_024;

function decideAction(action: Action, snapshot: Snapshot, gateway_now_ms: number): LocalRuling {
  const set = snapshot.policy;
  if (set.state !== "configured") return forward("no policy governs the agent");
  const context = new WitnessContext(snapshot);
  const principal = principalOf(snapshot, context);
  const cascade = set.index.cascade(principal, action);
  if (cascade === undefined) return forward("no policy governs the agent");
  for (const { response } of cascade.anomaly.values()) {
    if (response !== "alert") return forward("an anomaly detector may refuse it");
  }
  const { clock_uncertainty_ms } = DECISION_LIMITS;
  const facts = factsAt(principal, gateway_now_ms);
  const decision = decide(set, action, facts);
  if (cascade.schedules.length > 0) {
    for (
      const now_ms of [gateway_now_ms - clock_uncertainty_ms, gateway_now_ms + clock_uncertainty_ms]
    ) {
      const other = decide(set, action, factsAt(principal, now_ms));
      if (other.outcome !== decision.outcome || other.stage !== decision.stage) {
        return forward("an hour begins or ends");
      }
    }
  }
  if (context.asked || decision.evidence.length > 0) return forward("it depends on other agents");
  const unsettled = uncertainty(decision);
  if (unsettled !== undefined) return forward(unsettled);
  const needs = decision.outcome === "deny" ? undefined : needOf(action, decision, cascade);
  return {
    kind: "certain",
    action,
    decision,
    ...(needs === undefined ? {} : { needs }),
    repeatable: needs === undefined && cascade.schedules.length === 0,
    explain: () => explain(set, action, facts, decision),
  };
}

/** Why a decision is not the last word. */
function uncertainty(decision: Decision): string | undefined {
  if (decision.outcome === "require_approval") return "a person must agree";
  if (decision.outcome !== "deny") return undefined;
  if (decision.deny_action !== "none") return "its denial suspends the agent";
  switch (decision.stage) {
    case "configuration":
    case "budget":
    case "rate_limit":
      return "the gateway counts it";
    default:
      return undefined;
  }
}

/**
 * What the call must be covered by: its rate tokens, its price, and while a budget governs the agent
 * the certainty that none is used up.
 */
function needOf(action: Action, decision: Decision, cascade: Cascade): LeaseNeed | undefined {
  const charges = decision.charges ?? [];
  const counted = cascade.budgets.length > 0 || isModelCall(action);
  if (charges.length === 0 && !counted) return undefined;
  const parts = charges.map(({ scope, bucket, limit, window_ms }) =>
    JSON.stringify([scope, bucket, limit, window_ms])
  );
  const call = modelCallOf(action);
  if (call !== undefined) {
    const prompt_tokens = roundedUp(call.prompt_tokens);
    parts.push("model", call.model, String(prompt_tokens));
    return { class_id: classOf(cascade, parts), prompt_tokens };
  }
  if (isCharged(cascade.budgets, action) && action.kind === "tool_call") {
    parts.push("tool", action.tool);
  } else if (counted) parts.push("uncounted");
  return { class_id: classOf(cascade, parts) };
}

/** A lease for a longer prompt covers a shorter one: few classes serve every length. */
function roundedUp(prompt_tokens: number): number {
  if (!(prompt_tokens > 0)) return 0;
  return Math.min(2 ** Math.ceil(Math.log2(prompt_tokens)), 2 ** 31 - 1);
}

const cascade_numbers = new WeakMap<Cascade, number>();
let cascades = 0;

function classOf(cascade: Cascade, parts: readonly string[]): string {
  let number = cascade_numbers.get(cascade);
  if (number === undefined) cascade_numbers.set(cascade, number = ++cascades);
  return `${number} ${parts.join(" ")}`;
}

function principalOf({ agent }: Snapshot, context: AgentContext): Principal {
  const { org_id, team_id, agent_id } = agent.name;
  return {
    assurance: "bound",
    agent_id,
    engine_key: agent.engine_key,
    registry_key: agent.registry_key,
    ...(org_id === "" ? undefined : { org_id }),
    ...(team_id === "" ? undefined : { team_id }),
    status: agent.status,
    context,
  };
}

/** Limits are the lease's business: here every bucket is full and nothing is spent. */
function factsAt(principal: Principal, now_ms: number): Facts {
  return {
    now_ms,
    principal,
    rateTokens: () => Infinity,
    spend: {
      state: "known",
      agent_daily_micro_usd: 0,
      agent_monthly_micro_usd: 0,
      counted: () => 0,
    },
  };
}

/**
 * What a policy may ask about the agent. What its own record says is answered; what depends on other
 * agents, time or money is noted as asked, and then nothing is decided here.
 */
class WitnessContext implements AgentContext {
  readonly #snapshot: Snapshot;
  asked = false;

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
  }

  get governance_level(): NonNullable<AgentContext["governance_level"]> {
    return this.#snapshot.agent.governance_level;
  }

  get risk_tier(): AgentContext["risk_tier"] {
    return this.#snapshot.agent.risk_tier;
  }

  get depth(): number {
    return this.#snapshot.agent.depth;
  }

  get parent_agent_id(): string | undefined {
    return this.#snapshot.agent.parent_agent_id;
  }

  get parent_risk_tier(): undefined {
    return this.#live();
  }

  get child_risk_tier(): undefined {
    return this.#live();
  }

  get age_s(): undefined {
    return this.#live();
  }

  get children_count(): undefined {
    return this.#live();
  }

  get child_tools(): undefined {
    return this.#live();
  }

  get team_active_agents(): undefined {
    return this.#live();
  }

  get team_budget_remaining_micro_usd(): undefined {
    return this.#live();
  }

  #live(): undefined {
    this.asked = true;
    return undefined;
  }
}

function forward(because: string): LocalRuling {
  return { kind: "forward", because };
}
