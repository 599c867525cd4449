/**
 * The agent of a local decision, as a gateway would know it after registration.
 *
 * @module
 */
import { hash16 } from "../core/audit/entry.ts";
import type { AgentContext, AgentStatus, Principal, RiskTier } from "../core/principal.ts";

/** What was said about the agent; everything may be missing. */
export interface SubjectWords {
  readonly agent?: string | undefined;
  readonly org?: string | undefined;
  readonly team?: string | undefined;
  readonly level?: number | undefined;
  readonly risk_tier?: RiskTier | undefined;
  readonly depth?: number | undefined;
  readonly status?: AgentStatus | undefined;
}

/** Scope key of an agent without an id (contract `policy-and-gateway` §4.1). */
const NO_AGENT_KEY = "00".repeat(16);

/**
 * An agent with an id counts as registered, so its organisation and team are believed. With any
 * fact given, the facts that were not are absent; with none, there is no context at all.
 */
export function principalOf(words: SubjectWords): Principal {
  const { agent, org, team, level, risk_tier, depth, status } = words;
  const context: AgentContext = {
    ...(isLevel(level) ? { governance_level: level } : {}),
    ...(risk_tier === undefined ? {} : { risk_tier }),
    ...(depth === undefined ? {} : { depth }),
  };
  return {
    assurance: agent === undefined || agent === "" ? "unattributed" : "bound",
    agent_id: agent ?? "",
    engine_key: agent === undefined || agent === "" ? NO_AGENT_KEY : hash16(agent).toHex(),
    status: status ?? "active",
    ...(org === undefined ? {} : { org_id: org }),
    ...(team === undefined ? {} : { team_id: team }),
    ...(agent !== undefined || Object.keys(context).length > 0 ? { context } : {}),
  };
}

function isLevel(level: number | undefined): level is 0 | 1 | 2 | 3 {
  return level === 0 || level === 1 || level === 2 || level === 3;
}
