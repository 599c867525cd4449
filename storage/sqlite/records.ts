/**
 * What the embedded store keeps: agents, operators and a few named values.
 *
 * Records are plain data. A credential is present only as the SHA-256 of its text.
 *
 * @module
 */
import type { OperatorRole } from "../../core/iam/role.ts";
import type { GovernanceLevel, RiskTier } from "../../core/principal.ts";

/** Why an agent is suspended (contract `policy-and-gateway` §7.3). */
export type SuspensionCause =
  | "manual"
  | "policy"
  | "budget_exceeded"
  | "parent_suspended"
  | "parent_deregistered"
  /** Ended for good by an operator: no token, no resuming; only a deregistration frees the names. */
  | "killed";

/** Suspension causes, as stored. */
export const SUSPENSION_CAUSES: readonly SuspensionCause[] = [
  "manual",
  "policy",
  "budget_exceeded",
  "parent_suspended",
  "parent_deregistered",
  "killed",
];

/** How an agent's organisation and team became known (trap 38). */
export type TenancyProof =
  /** Both are empty. */
  | "none"
  /** The agent said so itself. */
  | "asserted"
  /** An operator's enrolment names them. */
  | "enrolled";

/** Proofs of tenancy, as stored. */
export const TENANCY_PROOFS: readonly TenancyProof[] = ["none", "asserted", "enrolled"];

/** Where an agent stands in its life. `stale` is computed, never stored. */
export type AgentState =
  | { readonly status: "active" }
  | {
    readonly status: "suspended";
    readonly cause: SuspensionCause;
    readonly reason: string;
    readonly since_ms: number;
  }
  | { readonly status: "deregistered"; readonly reason: string; readonly since_ms: number };

/** How verdicts apply to one agent. There is no "disabled", and no observing without an end. */
export type Enforcement =
  | { readonly mode: "enforce" }
  | { readonly mode: "observe"; readonly expires_at_ms: number; readonly reason: string };

/** One agent, whole: what is stored is what a restart brings back. */
export interface AgentRecord {
  /** Registry key, 32 lower-case hex (contract `wire` §6.1). */
  readonly key: string;
  readonly org_id: string;
  readonly team_id: string;
  readonly agent_id: string;
  readonly name: string;
  readonly framework: string;
  readonly version: string;
  /** Absent when the agent declared none. */
  readonly risk_tier?: RiskTier;
  readonly governance_level: GovernanceLevel;
  readonly tool_names: readonly string[];
  /** Ed25519 public key, 64 lower-case hex. */
  readonly public_key: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly registered_at_ms: number;
  /** Absent until the first heartbeat. */
  readonly last_heartbeat_ms?: number;
  readonly parent_key?: string;
  /** True once the registration it was spawned under has ended; `parent_key` is then history. */
  readonly orphaned: boolean;
  readonly root_key: string;
  /** 0 for a root, at most 9. */
  readonly depth: number;
  readonly delegation_reason?: string;
  readonly spawned_by_tool?: string;
  readonly state: AgentState;
  readonly enforcement: Enforcement;
  /**
   * SHA-256 of the credential token, 64 lower-case hex; absent once deregistered, killed, or while
   * revoked.
   */
  readonly token_hash?: string;
  /** When the token dies by itself; absent when it does not. */
  readonly token_expires_at_ms?: number;
  readonly tenancy: TenancyProof;
  /** Enrolment that the agent registered under; present exactly when `tenancy` is `enrolled`. */
  readonly enrolment_id?: string;
}

/** Roles, as stored. */
export const OPERATOR_ROLES: readonly OperatorRole[] = [
  "owner",
  "org_admin",
  "team_admin",
  "developer",
  "viewer",
  "auditor",
];

/** One operator: a person, or a program that a person answers for. */
export interface OperatorRecord {
  readonly name: string;
  readonly role: OperatorRole;
  /** Organisation the operator is bound to; absent: bound to none. */
  readonly org_id?: string;
  /** Team the operator is bound to; absent: bound to none. */
  readonly team_id?: string;
  /** A revoked operator stays known, so that old evidence keeps a name. It never comes back. */
  readonly status: "active" | "revoked";
  /** When the operator ends by itself; absent: never. */
  readonly expires_at_ms?: number;
  /** SHA-256 of the operator token, 64 lower-case hex. */
  readonly token_hash: string;
  readonly created_at_ms: number;
  /** Who made it: `operator:NAME` or `gateway`. */
  readonly created_by: string;
}

/**
 * What the rooms of the gateway keep beside agents and operators. The store knows a record as a key
 * and a text; each room reads its own records back strictly and refuses what it does not understand.
 */
export const COLLECTIONS = [
  "alert_rules",
  "alerts",
  "anomaly_baselines",
  "api_keys",
  "approvals",
  "approval_history",
  "decision_facts",
  "edges",
  "enrolments",
  "governance_proposals",
  "issued_credentials",
  "ledger_accounts",
  "ledger_journal",
  "ledger_reservations",
  "notifications",
  "operations",
  "policy_versions",
  "rate_windows",
  "runtime_spools",
  "secret_keys",
  "secrets",
  "settings",
] as const;

/** One collection of records. */
export type Collection = (typeof COLLECTIONS)[number];

/** One record of a collection. */
export interface StoredRecord {
  /** Unique in its collection; pages are ordered by it (code points). */
  readonly key: string;
  /** JSON text; what is in it is its room's business. */
  readonly value: string;
}

/** Which records of a collection to read; both bounds are keys, absent means no bound. */
export interface RecordRange {
  /** Exclusive. */
  readonly after?: string;
  /** Inclusive. */
  readonly through?: string;
}

/** One change. Changes handed over together are stored together or not at all. */
export type Mutation =
  | { readonly kind: "put_agent"; readonly agent: AgentRecord }
  | { readonly kind: "forget_agent"; readonly key: string }
  | { readonly kind: "heartbeat"; readonly key: string; readonly at_ms: number }
  | { readonly kind: "put_operator"; readonly operator: OperatorRecord }
  | { readonly kind: "delete_operator"; readonly name: string }
  | { readonly kind: "put_meta"; readonly key: string; readonly value: string }
  | {
    readonly kind: "put_record";
    readonly collection: Collection;
    readonly key: string;
    readonly value: string;
  }
  | { readonly kind: "delete_record"; readonly collection: Collection; readonly key: string }
  /** Deletes every record up to and including a key: how histories are pruned. */
  | {
    readonly kind: "delete_records_through";
    readonly collection: Collection;
    readonly key: string;
  };

/** The durable state of a gateway, as its registry needs it. */
export interface StateStore {
  /** Every agent, deregistered ones included, in pages ordered by key. */
  agents(): AsyncIterable<readonly AgentRecord[]>;
  /** Every operator. */
  operators(): Promise<readonly OperatorRecord[]>;
  /** One named value; `undefined` when it was never set. */
  meta(key: string): Promise<string | undefined>;
  /** The records of one collection, in pages ordered by key. */
  records(collection: Collection, range?: RecordRange): AsyncIterable<readonly StoredRecord[]>;
  /** Resolves once all mutations are durable, or rejects and none of them is stored. */
  commit(mutations: readonly Mutation[]): Promise<void>;
}
