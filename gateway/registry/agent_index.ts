/**
 * The registered agents in memory, by every handle they are looked up with. Holds no rule: it shows
 * what it was given, and keeps the counts that decisions ask for up to date.
 *
 * @module
 */
import { RISK_TIERS, type RiskTier } from "../../core/principal.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import { type AgentTriple, hash16Hex, registryKeyOf } from "../identity/keys.ts";

/** One registered agent and its place among the others. */
export interface AgentEntry {
  /** Replaced whole at every change. */
  record: AgentRecord;
  /** Key under which `agent:` policies name it: a hash of the agent id alone. */
  readonly engine_key: string;
  readonly team: Team;
  parent: AgentEntry | undefined;
  readonly children: Set<AgentEntry>;
  /** When the last heartbeat came to this process; absent before the first since its start. */
  heard_monotonic_ms: number | undefined;
  /** Computed on demand; dropped when a child comes or goes. */
  child_facts: ChildFacts | undefined;
}

/** The agents of one team of one organisation. */
export interface Team {
  readonly org_id: string;
  readonly team_id: string;
  readonly agents: Map<string, AgentEntry>;
  /** Agents whose stored status is active. */
  active_agents: number;
}

/** What a policy may ask about an agent's children. */
export interface ChildFacts {
  readonly tools: readonly string[];
  /** The highest tier among the children: the one that matters to a limit. */
  readonly risk_tier: RiskTier | undefined;
}

/** All agents of one gateway. */
export class AgentIndex {
  readonly #by_key = new Map<string, AgentEntry>();
  readonly #by_token_hash = new Map<string, AgentEntry>();
  readonly #organisations = new Map<string, Map<string, Team>>();
  /** Ended registrations, the one that ended first comes first. */
  readonly #ended = new Map<string, AgentRecord>();
  #sorted_keys: readonly string[] | undefined;

  /** Registered agents. */
  get size(): number {
    return this.#by_key.size;
  }

  /** Ended registrations still remembered. */
  get ended(): ReadonlyMap<string, AgentRecord> {
    return this.#ended;
  }

  /** Teams that have a registered agent. */
  get teams(): number {
    return this.#organisations.values().reduce((sum, teams) => sum + teams.size, 0);
  }

  /** Every registered agent. */
  entries(): IterableIterator<AgentEntry> {
    return this.#by_key.values();
  }

  /** A registered agent by registry key. */
  byKey(key: string): AgentEntry | undefined {
    return this.#by_key.get(key);
  }

  /** A record by registry key, ended registrations included. */
  recordOf(key: string): AgentRecord | undefined {
    return this.#by_key.get(key)?.record ?? this.#ended.get(key);
  }

  /** A registered agent by its exact names; no hashing, no allocation. */
  byTriple({ org_id, team_id, agent_id }: AgentTriple): AgentEntry | undefined {
    return this.#organisations.get(org_id)?.get(team_id)?.agents.get(agent_id);
  }

  /** Registered agents of one team. */
  teamAgents(team: { readonly org_id: string; readonly team_id: string }): AgentEntry[] {
    return [...this.#organisations.get(team.org_id)?.get(team.team_id)?.agents.values() ?? []];
  }

  /** Whether any organisation has a team of this name. */
  hasTeam(team_id: string): boolean {
    return this.#organisations.values().some((teams) => teams.has(team_id));
  }

  /** An ended registration by its exact names: keys of different triples may be equal. */
  endedByTriple(triple: AgentTriple): AgentRecord | undefined {
    if (this.#ended.size === 0) return undefined;
    const record = this.#ended.get(registryKeyOf(triple));
    const same = record?.org_id === triple.org_id && record.team_id === triple.team_id &&
      record.agent_id === triple.agent_id;
    return same ? record : undefined;
  }

  /** A registered agent by the hash of its token. */
  byTokenHash(token_hash: string): AgentEntry | undefined {
    return this.#by_token_hash.get(token_hash);
  }

  /** Registered agents of any team with this agent id. */
  byAgentId(agent_id: string): AgentEntry[] {
    const found: AgentEntry[] = [];
    for (const teams of this.#organisations.values()) {
      for (const team of teams.values()) {
        const entry = team.agents.get(agent_id);
        if (entry !== undefined) found.push(entry);
      }
    }
    return found;
  }

  /** All keys in order, ended registrations included. */
  sortedKeys(): readonly string[] {
    this.#sorted_keys ??= [...this.#by_key.keys(), ...this.#ended.keys()].sort();
    return this.#sorted_keys;
  }

  /** An agent and all below it, parents before children. */
  family(entry: AgentEntry): AgentEntry[] {
    const family = [entry];
    // The list grows while it is walked; the graph has no loop, so it ends.
    for (const member of family) family.push(...member.children);
    return family;
  }

  /** Takes a record over: a new agent, a change of one, or the end of a registration. */
  install(record: AgentRecord): void {
    const entry = this.#by_key.get(record.key);
    if (record.state.status === "deregistered") this.#end(record, entry);
    else if (entry === undefined) this.#add(record);
    else this.#update(entry, record);
  }

  /** Forgets an ended registration. */
  forget(key: string): void {
    if (this.#ended.delete(key)) this.#sorted_keys = undefined;
  }

  /** What a policy may ask about an agent's children. */
  childFacts(entry: AgentEntry): ChildFacts {
    entry.child_facts ??= childFacts(entry.children);
    return entry.child_facts;
  }

  #add(record: AgentRecord): void {
    const entry: AgentEntry = {
      record,
      engine_key: hash16Hex(record.agent_id),
      team: this.#team(record),
      parent: this.#parentOf(record),
      children: new Set(),
      heard_monotonic_ms: undefined,
      child_facts: undefined,
    };
    this.#ended.delete(record.key);
    this.#link(entry);
    this.#sorted_keys = undefined;
  }

  #update(entry: AgentEntry, record: AgentRecord): void {
    const before = entry.record;
    entry.team.active_agents += activity(record) - activity(before);
    if (before.token_hash !== record.token_hash) {
      if (before.token_hash !== undefined) this.#by_token_hash.delete(before.token_hash);
      if (record.token_hash !== undefined) this.#by_token_hash.set(record.token_hash, entry);
    }
    entry.record = record;
    // The parent's view of its children holds their tiers and tools.
    if (entry.parent !== undefined) entry.parent.child_facts = undefined;
    const parent = this.#parentOf(record);
    if (parent === entry.parent) return;
    this.#detach(entry);
    entry.parent = parent;
    this.#attach(entry);
  }

  #end(record: AgentRecord, entry: AgentEntry | undefined): void {
    if (entry !== undefined) this.#unlink(entry);
    this.#ended.delete(record.key);
    this.#ended.set(record.key, record);
    this.#sorted_keys = undefined;
  }

  #link(entry: AgentEntry): void {
    const { record, team } = entry;
    this.#by_key.set(record.key, entry);
    if (record.token_hash !== undefined) this.#by_token_hash.set(record.token_hash, entry);
    team.agents.set(record.agent_id, entry);
    team.active_agents += activity(record);
    this.#attach(entry);
  }

  #unlink(entry: AgentEntry): void {
    const { record, team } = entry;
    this.#by_key.delete(record.key);
    if (record.token_hash !== undefined) this.#by_token_hash.delete(record.token_hash);
    team.agents.delete(record.agent_id);
    team.active_agents -= activity(record);
    if (team.agents.size === 0) this.#dropTeam(team);
    this.#detach(entry);
  }

  #attach(entry: AgentEntry): void {
    if (entry.parent === undefined) return;
    entry.parent.children.add(entry);
    entry.parent.child_facts = undefined;
  }

  #detach(entry: AgentEntry): void {
    if (entry.parent === undefined) return;
    entry.parent.children.delete(entry);
    entry.parent.child_facts = undefined;
  }

  #parentOf(record: AgentRecord): AgentEntry | undefined {
    const key = parentKey(record);
    return key === undefined ? undefined : this.#by_key.get(key);
  }

  #team({ org_id, team_id }: AgentRecord): Team {
    let teams = this.#organisations.get(org_id);
    if (teams === undefined) this.#organisations.set(org_id, teams = new Map());
    let team = teams.get(team_id);
    if (team === undefined) {
      team = { org_id, team_id, agents: new Map(), active_agents: 0 };
      teams.set(team_id, team);
    }
    return team;
  }

  #dropTeam(team: Team): void {
    const teams = this.#organisations.get(team.org_id);
    teams?.delete(team.team_id);
    if (teams?.size === 0) this.#organisations.delete(team.org_id);
  }
}

function parentKey(record: AgentRecord): string | undefined {
  return record.orphaned ? undefined : record.parent_key;
}

function activity(record: AgentRecord): 0 | 1 {
  return record.state.status === "active" ? 1 : 0;
}

function childFacts(children: ReadonlySet<AgentEntry>): ChildFacts {
  const tools = new Set<string>();
  let rank = -1;
  for (const { record } of children) {
    for (const tool of record.tool_names) tools.add(tool);
    if (record.risk_tier !== undefined) {
      rank = Math.max(rank, RISK_TIERS.indexOf(record.risk_tier));
    }
  }
  return { tools: [...tools], risk_tier: RISK_TIERS[rank] };
}
