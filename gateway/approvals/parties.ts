/**
 * The two sides of a request as the registry and the operator list know them: who asks, who answers.
 * Nothing here comes from a request's own words.
 *
 * @module
 */
import type { Approver, BoundAgent, Requester } from "../../core/approval/mod.ts";
import type { Grant } from "../../core/iam/permits.ts";
import type { Principal } from "../../core/principal.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";

/** Looks an agent up by registry key, ended registrations included. */
export type AgentByKey = (key: string) => AgentRecord | undefined;

/** Ancestors looked through; the registry allows fewer. */
const ANCESTORS_MAX = 64;

/** The agent of a decision, as approvals bind it. */
export function boundAgent(principal: Principal): BoundAgent {
  const { org_id, team_id, registry_key } = principal;
  return {
    key: registry_key ?? `asserted:${principal.engine_key}`,
    agent_id: principal.agent_id,
    ...(org_id === undefined || org_id === "" ? {} : { org_id }),
    ...(team_id === undefined || team_id === "" ? {} : { team_id }),
    assurance: principal.assurance,
  };
}

/** The agent of a decision with its lineage. */
export function requesterOf(
  principal: Principal,
  record: AgentRecord | undefined,
  byKey: AgentByKey,
  ownerOf: (agent: AgentRecord) => string | undefined,
): Requester {
  const agent = boundAgent(principal);
  if (record === undefined) return { ...agent, ancestors: [], enrolled: false };
  const owner = ownerOf(record);
  return {
    ...agent,
    ...(owner === undefined ? {} : { owner }),
    root_key: record.root_key,
    ancestors: ancestorsOf(record, byKey),
    enrolled: record.tenancy === "enrolled",
  };
}

/** A registered agent as an approver. */
export function agentApprover(record: AgentRecord, byKey: AgentByKey): Approver {
  return {
    kind: "agent",
    key: record.key,
    agent_id: record.agent_id,
    org_id: record.org_id,
    team_id: record.team_id,
    root_key: record.root_key,
    ancestors: ancestorsOf(record, byKey),
    enrolled: record.tenancy === "enrolled",
  };
}

/** An operator as an approver. */
export function operatorApprover(operator: Grant & { readonly name: string }): Approver {
  const { name, role, org_id, team_id } = operator;
  return {
    kind: "operator",
    name,
    role,
    ...(org_id === undefined ? {} : { org_id }),
    ...(team_id === undefined ? {} : { team_id }),
  };
}

/** Registry keys from the parent up, through registrations that have ended, too. */
function ancestorsOf(record: AgentRecord, byKey: AgentByKey): readonly string[] {
  const keys: string[] = [];
  for (let key = record.parent_key; key !== undefined && keys.length < ANCESTORS_MAX;) {
    if (keys.includes(key)) break;
    keys.push(key);
    key = byKey(key)?.parent_key;
  }
  return keys;
}
