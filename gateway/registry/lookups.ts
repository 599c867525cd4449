/**
 * What is asked of the registry: who an agent is, how it stands, who is below it. Everything here is
 * synchronous and reads memory only.
 *
 * @module
 */
import type { AgentStatus, Principal } from "../../core/principal.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { AgentTriple } from "../identity/keys.ts";
import { tokenMatches } from "../identity/tokens.ts";
import { AgentIndex } from "./agent_index.ts";
import type { TeamBudgetRemaining } from "./context.ts";
import { effectiveEnforcement } from "./enforcement.ts";
import {
  type CircuitOptions,
  identify,
  type IdentityOutcome,
  ownerOf,
  principalOf,
  tokenExpired,
} from "./identity_circuit.ts";
import { REGISTRY_LIMITS } from "./limits.ts";
import { isKilled } from "./lineage.ts";
import { type AgentPage, listAgents, type ListFilter } from "./listing.ts";

/** One agent by whatever an operator typed. */
export type Found =
  | { readonly outcome: "found"; readonly agent: AgentRecord }
  | { readonly outcome: "unknown" }
  /** Several teams have an agent of this id; name one by registry key. */
  | { readonly outcome: "ambiguous"; readonly keys: readonly string[] };

/** What looking up depends on. */
export interface LookupOptions {
  /** Wall clock, milliseconds. */
  readonly now_ms: () => number;
  /**
   * Clock that never jumps, milliseconds since any start: silence is measured with it, so that setting
   * the wall clock makes no agent stale and keeps none from it. Default: the wall clock.
   */
  readonly monotonic_ms?: () => number;
  /** Refuse agents that are not registered (trap 39). Default false, as in the reference. */
  readonly strict?: boolean;
  /**
   * What a decision does with an agent that stopped sending heartbeats (trap 43): `deny` (default),
   * or `allow`, and listings alone tell. The reference detects nothing.
   */
  readonly stale_agents?: "deny" | "allow";
  /** From the ledger; without it `team.budget_remaining` is missing, so its conditions fire. */
  readonly teamBudgetRemaining?: TeamBudgetRemaining;
}

/** The reading half of the registry. */
export class Lookups {
  protected readonly index = new AgentIndex();
  protected readonly now_ms: () => number;
  protected readonly opened_ms: number;
  protected readonly monotonic_ms: () => number;
  readonly #opened_monotonic_ms: number;
  readonly #circuit: CircuitOptions;

  protected constructor(options: LookupOptions) {
    this.now_ms = options.now_ms;
    this.opened_ms = options.now_ms();
    this.monotonic_ms = options.monotonic_ms ?? options.now_ms;
    this.#opened_monotonic_ms = this.monotonic_ms();
    const stale = options.stale_agents === "allow" ? "active" : "stale";
    this.#circuit = {
      index: this.index,
      statusOf: (record) => {
        const status = this.statusOf(record);
        return status === "stale" ? stale : status;
      },
      strict: options.strict ?? false,
      budget: options.teamBudgetRemaining,
    };
  }

  /** Registered agents. */
  get size(): number {
    return this.index.size;
  }

  /** Who asks, and what a policy may know of it (contract `wire` §1.3). */
  principalFor(claimed: AgentTriple, token: string, now_ms: number): IdentityOutcome {
    return identify(this.#circuit, claimed, token, now_ms);
  }

  /** The principal of a known agent, for an operator's question: nobody claims, so nobody proves. */
  principalOf(record: AgentRecord, now_ms: number): Principal {
    return principalOf(this.#circuit, record, now_ms);
  }

  /** A registered agent, or one whose registration ended and is remembered, by registry key. */
  byKey(key: string): AgentRecord | undefined {
    return this.index.recordOf(key);
  }

  /** A registered agent by its exact names. */
  byTriple(triple: AgentTriple): AgentRecord | undefined {
    return this.index.byTriple(triple)?.record;
  }

  /** The registered agent that a token belongs to; `undefined` once the token's time is over. */
  byToken(token: string): AgentRecord | undefined {
    const record = ownerOf(this.index, token)?.record;
    return record === undefined || tokenExpired(record, this.now_ms()) ? undefined : record;
  }

  /** A registered agent by its names and its token; `undefined` if either is wrong. */
  authenticate(triple: AgentTriple, token: string): AgentRecord | undefined {
    const record = this.byTriple(triple);
    const expected = record?.token_hash;
    const matches = expected !== undefined && tokenMatches(token, expected);
    return matches && record !== undefined && !tokenExpired(record, this.now_ms())
      ? record
      : undefined;
  }

  /**
   * Whether exactly this agent, with this key, is registered and has no live token: proving the key
   * again gets it a new one. Never after a kill.
   */
  awaitsToken(claimed: AgentTriple & { readonly public_key: string }): boolean {
    const record = this.byTriple(claimed);
    if (record === undefined || isKilled(record)) return false;
    return record.public_key === claimed.public_key.toLowerCase() &&
      (record.token_hash === undefined || tokenExpired(record, this.now_ms()));
  }

  /** An agent by registry key, or by its own id when only one team has it. */
  find(key_or_id: string): Found {
    const by_key = this.index.recordOf(key_or_id);
    if (by_key !== undefined) return { outcome: "found", agent: by_key };
    const [first, ...more] = this.index.byAgentId(key_or_id).map((entry) => entry.record);
    if (first === undefined) return { outcome: "unknown" };
    if (more.length === 0) return { outcome: "found", agent: first };
    return { outcome: "ambiguous", keys: [first, ...more].map((agent) => agent.key) };
  }

  /**
   * Status now. An active agent that has sent heartbeats and then none for three intervals is
   * `stale`; one that never sent any is not judged by them, because several clients send none.
   */
  statusOf(record: AgentRecord): AgentStatus {
    if (record.state.status !== "active") return record.state.status;
    if (record.last_heartbeat_ms === undefined) return "active";
    const heard_ms = this.index.byKey(record.key)?.heard_monotonic_ms ?? this.#opened_monotonic_ms;
    const silence_ms = this.monotonic_ms() - heard_ms;
    return silence_ms > REGISTRY_LIMITS.stale_after_ms ? "stale" : "active";
  }

  /** Whether refusals of this agent are shown only (contract `policy-and-gateway` §3.6). */
  observes(record: AgentRecord, now_ms: number): boolean {
    return effectiveEnforcement(record.enforcement, now_ms).mode === "observe";
  }

  /** Direct children of a registered agent. */
  childrenOf(key: string): readonly AgentRecord[] {
    return [...this.index.byKey(key)?.children ?? []].map((entry) => entry.record);
  }

  /** How many direct children a registered agent has. */
  childCount(key: string): number {
    return this.index.byKey(key)?.children.size ?? 0;
  }

  /** A registered agent and everything below it, parents first: what a cascade would touch. */
  familyOf(key: string): readonly AgentRecord[] {
    const entry = this.index.byKey(key);
    return entry === undefined ? [] : this.index.family(entry).map((member) => member.record);
  }

  /** Every registered agent, in no order. */
  registeredAgents(): AgentRecord[] {
    return [...this.index.entries()].map(({ record }) => record);
  }

  /** Registered agents of one team of one organisation. */
  teamMembers(team: { readonly org_id: string; readonly team_id: string }): AgentRecord[] {
    return this.index.teamAgents(team).map(({ record }) => record);
  }

  /** Whether any organisation has a registered agent in a team of this name. */
  hasTeam(team_id: string): boolean {
    return this.index.hasTeam(team_id);
  }

  /** One page of agents; see {@linkcode listAgents}. */
  list(filter: ListFilter = {}, page_size = 0, page_token = ""): AgentPage {
    const statusOf = (record: AgentRecord) => this.statusOf(record);
    return listAgents(this.index, filter, statusOf, page_size, page_token);
  }

  /** Agents by status. */
  counts(): Readonly<Record<AgentStatus, number>> {
    const counts = { active: 0, suspended: 0, stale: 0, deregistered: this.index.ended.size };
    for (const { record } of this.index.entries()) counts[this.statusOf(record)]++;
    return counts;
  }
}
