/**
 * What a policy may ask about a registered agent, read from the registry only when it is asked
 * (contract `policy-and-gateway` §2.4): one small object a decision.
 *
 * @module
 */
import type { AgentContext, Fact, GovernanceLevel, RiskTier } from "../../core/principal.ts";
import type { AgentEntry, AgentIndex } from "./agent_index.ts";

/** What is left of a team's monthly budget, in micro-dollars; from the ledger. */
export type TeamBudgetRemaining = (org_id: string, team_id: string) => Fact<number>;

/** Live context of one registered agent at one moment. */
export class RegisteredContext implements AgentContext {
  readonly #entry: AgentEntry;
  readonly #index: AgentIndex;
  readonly #now_ms: number;
  readonly #budget: TeamBudgetRemaining | undefined;

  constructor(
    entry: AgentEntry,
    index: AgentIndex,
    now_ms: number,
    budget: TeamBudgetRemaining | undefined,
  ) {
    this.#entry = entry;
    this.#index = index;
    this.#now_ms = now_ms;
    this.#budget = budget;
  }

  get governance_level(): GovernanceLevel {
    return this.#entry.record.governance_level;
  }

  get risk_tier(): RiskTier | undefined {
    return this.#entry.record.risk_tier;
  }

  get parent_risk_tier(): RiskTier | undefined {
    return this.#entry.parent?.record.risk_tier;
  }

  /** The highest tier among the children. */
  get child_risk_tier(): RiskTier | undefined {
    return this.#index.childFacts(this.#entry).risk_tier;
  }

  get depth(): number {
    return this.#entry.record.depth;
  }

  get age_s(): number {
    return Math.max(0, (this.#now_ms - this.#entry.record.registered_at_ms) / 1000);
  }

  get children_count(): number {
    return this.#entry.children.size;
  }

  /** Agent id text of the parent, also of one whose registration has ended while it is known. */
  get parent_agent_id(): string | undefined {
    const { parent_key } = this.#entry.record;
    return parent_key === undefined ? undefined : this.#index.recordOf(parent_key)?.agent_id;
  }

  get child_tools(): readonly string[] {
    return this.#index.childFacts(this.#entry).tools;
  }

  /**
   * Active agents of the team, the agent included; absent without a team. A stale agent counts: it
   * comes back with one heartbeat.
   */
  get team_active_agents(): number | undefined {
    const { team } = this.#entry;
    return team.team_id === "" ? undefined : team.active_agents;
  }

  get team_budget_remaining_micro_usd(): Fact<number> {
    const { team } = this.#entry;
    return team.team_id === "" ? undefined : this.#budget?.(team.org_id, team.team_id);
  }
}

/**
 * Context of an agent that is not registered: the default level and nothing else, so that every
 * numeric condition fires (contract §2.5, §3.4).
 */
export const UNREGISTERED_CONTEXT: AgentContext = Object.freeze({ governance_level: 0 });
