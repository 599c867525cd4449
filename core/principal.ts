/**
 * Who asks: the authoritative facts about an agent that a policy may speak of.
 * Nothing here comes from the request itself; see design law 6.
 *
 * @module
 */

/** Product governance ladder L0 to L3. */
export type GovernanceLevel = 0 | 1 | 2 | 3;

/** Registered risk tier, ordered `low` < `medium` < `high` < `critical`. */
export type RiskTier = "low" | "medium" | "high" | "critical";

/** Tiers in ascending order; the index is the rank. */
export const RISK_TIERS: readonly RiskTier[] = ["low", "medium", "high", "critical"];

/** A context value whose backend failed: neither present nor absent (contract §2.5). */
export interface LookupFailure {
  readonly lookup_failed: string;
}

/** A context value: known, absent (`undefined`), or a failed look-up. */
export type Fact<T> = T | undefined | LookupFailure;

/** Narrows a {@linkcode Fact} to a failed look-up. */
export function isLookupFailure(fact: unknown): fact is LookupFailure {
  return typeof fact === "object" && fact !== null && "lookup_failed" in fact;
}

/** Live context a policy expression may read. Every field may be missing. */
export interface AgentContext {
  readonly governance_level?: Fact<GovernanceLevel>;
  readonly risk_tier?: Fact<RiskTier>;
  readonly parent_risk_tier?: Fact<RiskTier>;
  readonly child_risk_tier?: Fact<RiskTier>;
  /** Delegation depth, a root is 0. */
  readonly depth?: Fact<number>;
  /** Seconds since registration. */
  readonly age_s?: Fact<number>;
  readonly children_count?: Fact<number>;
  readonly parent_agent_id?: Fact<string>;
  readonly team_id?: Fact<string>;
  readonly child_tools?: Fact<readonly string[]>;
  readonly team_active_agents?: Fact<number>;
  /** Monthly team limit minus monthly team spend, in micro-dollars. */
  readonly team_budget_remaining_micro_usd?: Fact<number>;
}

/** How far the claimed identity is proven (contract `wire` §1.3). */
export type IdentityAssurance = "unattributed" | "asserted" | "bound";

/** Whether the agent may act at all; anything but `active` is denied. */
export type AgentStatus = "active" | "suspended" | "deregistered" | "stale";

/** The authoritative principal of one decision. */
export interface Principal {
  readonly assurance: IdentityAssurance;
  /** Agent id text; empty when unattributed. */
  readonly agent_id: string;
  /** First 16 bytes of SHA-256 of the agent id text, 32 lower-case hex: the `agent:<uuid>` scope key. */
  readonly engine_key: string;
  /** Registry key of a registered agent, 32 lower-case hex; absent when not registered. */
  readonly registry_key?: string;
  readonly org_id?: string;
  readonly team_id?: string;
  readonly status: AgentStatus;
  /** Absent means "no policy context at all": numeric conditions then fire (contract §2.5). */
  readonly context?: AgentContext;
}
