/**
 * The RBAC table: for every permission and role, how far it reaches. Data only; `permits.ts` reads it.
 *
 * @module
 */
import type { Scope } from "../policy/document.ts";
import type { OperatorRole } from "./role.ts";

/**
 * How far a permission reaches.
 *
 * - `all`: everything, of every tenant.
 * - `bound`: everything for an operator bound to no tenant, else what lies in that tenant.
 * - `team`: what belongs to the operator's own team; nothing for an operator without one
 *   (contract `policy-and-gateway` §11.2, ownership).
 * - `none`: nothing.
 */
export type Reach = "all" | "bound" | "team" | "none";

type Row = Readonly<Record<OperatorRole, Reach>>;

function row(
  owner: Reach,
  org_admin: Reach,
  team_admin: Reach,
  developer: Reach,
  viewer: Reach,
  auditor: Reach,
): Row {
  return { owner, org_admin, team_admin, developer, viewer, auditor };
}

const READ = row("all", "bound", "bound", "bound", "bound", "bound");
/** The reference's write scope with ownership. */
const OWN = row("all", "bound", "team", "team", "none", "none");
const TEAM_ADMIN = row("all", "bound", "team", "none", "none", "none");
/** The reference's admin scope. */
const ADMIN = row("all", "bound", "none", "none", "none", "none");

/** Every permission that an operator can need, and who has it. */
export const PERMISSIONS = {
  /** Status, components, metrics, roles: nothing of any tenant. */
  "status.read": row("all", "all", "all", "all", "all", "all"),
  /** Agents: list, show, capability matrix. */
  "agent.read": READ,
  /** Suspend, resume, end the registration of an agent; revoke its token. */
  "agent.control": OWN,
  /** Set an agent to enforce. */
  "agent.strengthen": OWN,
  /** Set an agent to observe, for a time. */
  "agent.weaken": ADMIN,
  /** Make and withdraw enrolment credentials, which bind organisation and team. */
  "agent.enrol": TEAM_ADMIN,
  "approval.read": READ,
  /** Approve, reject, forward; who of these may decide one request is the approvals' own rule. */
  "approval.decide": OWN,
  /** Documents, versions, differences, simulation, replay. */
  "policy.read": READ,
  /** Apply, roll back, import. The document's scope decides further: {@linkcode DOCUMENT_ROLE}. */
  "policy.mutate": row("all", "bound", "bound", "bound", "none", "none"),
  "budget.read": READ,
  /** Limits, corrections, releases. */
  "budget.write": TEAM_ADMIN,
  "alert.read": READ,
  /** Acknowledge, silence; rules and destinations. */
  "alert.write": OWN,
  /** Anomaly settings and baselines. */
  "anomaly.write": TEAM_ADMIN,
  "topology.read": READ,
  /** Report edges. */
  "topology.write": OWN,
  /** Names and metadata of secrets, never values. */
  "secret.read": row("all", "bound", "team", "team", "none", "bound"),
  /** Set, rotate, delete secrets. */
  "secret.write": TEAM_ADMIN,
  /** Have a secret put into a call. */
  "secret.use": OWN,
  /** Operations: list, show. */
  "ops.read": READ,
  /** Pause, resume, terminate one operation. */
  "ops.control": OWN,
  /** Halt every agent at once. */
  "ops.halt_all": ADMIN,
  "audit.read": READ,
  /** Compliance export, whole-log downloads. */
  "audit.export": row("all", "bound", "none", "none", "none", "bound"),
  /** What is kept for how long. */
  "retention.write": ADMIN,
  /** Operators, keys, who holds which role. */
  "iam.read": row("all", "bound", "none", "none", "none", "bound"),
  /** Make and revoke operators, revoke keys; up to the own role, within the own tenant. */
  "iam.manage": ADMIN,
  /** Make and rotate keys that act in the own name, with at most what one has. */
  "key.own": row("all", "bound", "bound", "bound", "none", "none"),
} as const satisfies Readonly<Record<string, Row>>;

/** One permission. */
export type Permission = keyof typeof PERMISSIONS;

/** Permissions in the order of the table. */
export const PERMISSION_NAMES = Object.keys(PERMISSIONS) as readonly Permission[];

/** Permissions that change nothing; the only ones a viewer or an auditor can ever have. */
export const READING: ReadonlySet<Permission> = new Set(
  PERMISSION_NAMES.filter((name) => name.endsWith(".read") || name === "audit.export"),
);

/** The lowest role that may create, update or delete a document of a scope (contract §11.1). */
export const DOCUMENT_ROLE: Readonly<Record<Scope["tier"], OperatorRole>> = {
  global: "org_admin",
  org: "org_admin",
  team: "team_admin",
  agent: "developer",
  tool: "developer",
};

/** What an API key is narrowed to (contract §11.3). A key's role limits it further. */
export type KeyScope =
  | "read:members"
  | "write:members"
  | "read:policies"
  | "write:policies"
  | "read:audit"
  | "admin";

/** Every key scope. */
export const KEY_SCOPES: readonly KeyScope[] = [
  "read:members",
  "write:members",
  "read:policies",
  "write:policies",
  "read:audit",
  "admin",
];

/** The scope a key needs for each permission; `admin` stands for all of them. */
export const KEY_SCOPE_OF: Readonly<Record<Permission, KeyScope>> = {
  "status.read": "read:members",
  "agent.read": "read:members",
  "agent.control": "write:members",
  "agent.strengthen": "write:members",
  "agent.weaken": "admin",
  "agent.enrol": "write:members",
  "approval.read": "read:members",
  "approval.decide": "write:members",
  "policy.read": "read:policies",
  "policy.mutate": "write:policies",
  "budget.read": "read:members",
  "budget.write": "admin",
  "alert.read": "read:members",
  "alert.write": "write:members",
  "anomaly.write": "admin",
  "topology.read": "read:members",
  "topology.write": "write:members",
  "secret.read": "read:members",
  "secret.write": "admin",
  "secret.use": "write:members",
  "ops.read": "read:members",
  "ops.control": "write:members",
  "ops.halt_all": "admin",
  "audit.read": "read:audit",
  "audit.export": "read:audit",
  "retention.write": "admin",
  "iam.read": "admin",
  "iam.manage": "admin",
  "key.own": "admin",
};

/** What a scope includes besides itself: writing includes reading. */
export const KEY_SCOPE_INCLUDES: Readonly<Partial<Record<KeyScope, KeyScope>>> = {
  "write:members": "read:members",
  "write:policies": "read:policies",
};
