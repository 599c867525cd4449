/**
 * Agents as operators list them: filtered, in pages, in the order of their keys.
 *
 * @module
 */
import type { AgentStatus } from "../../core/principal.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { AgentIndex } from "./agent_index.ts";
import { REGISTRY_LIMITS } from "./limits.ts";

/** Which agents to list; absent conditions hold for all. */
export interface ListFilter {
  readonly status?: AgentStatus;
  readonly framework?: string;
  readonly org_id?: string;
  readonly team_id?: string;
}

/** One page. */
export interface AgentPage {
  readonly agents: readonly AgentRecord[];
  /** Registry key to continue after; absent on the last page. */
  readonly next_page_token?: string;
}

/**
 * One page of agents, ended registrations included.
 *
 * @param page_size Agents a page: 0 means the default; more than the bound is the bound.
 * @param page_token `next_page_token` of the page before; empty for the first.
 */
export function listAgents(
  index: AgentIndex,
  filter: ListFilter,
  statusOf: (record: AgentRecord) => AgentStatus,
  page_size = 0,
  page_token = "",
): AgentPage {
  const size = page_size === 0
    ? REGISTRY_LIMITS.list_page_default_agents
    : Math.min(page_size, REGISTRY_LIMITS.list_page_agents);
  const keys = index.sortedKeys();
  const agents: AgentRecord[] = [];
  for (let at = firstAfter(keys, page_token); at < keys.length; at++) {
    const record = index.recordOf(keys[at] ?? "");
    if (record === undefined || !matches(record, filter, statusOf)) continue;
    const last = agents.at(-1);
    if (agents.length === size && last !== undefined) {
      return { agents, next_page_token: last.key };
    }
    agents.push(record);
  }
  return { agents };
}

function matches(
  record: AgentRecord,
  filter: ListFilter,
  statusOf: (record: AgentRecord) => AgentStatus,
): boolean {
  return (filter.framework === undefined || record.framework === filter.framework) &&
    (filter.org_id === undefined || record.org_id === filter.org_id) &&
    (filter.team_id === undefined || record.team_id === filter.team_id) &&
    (filter.status === undefined || statusOf(record) === filter.status);
}

/** Position of the first key greater than `token`, by bisection. */
function firstAfter(keys: readonly string[], token: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] ?? "") > token) high = middle;
    else low = middle + 1;
  }
  return low;
}
