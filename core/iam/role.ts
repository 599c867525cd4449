/**
 * Roles of operators, and the scope each one answers to (contract `policy-and-gateway` §11.1, §11.2).
 *
 * @module
 */

/**
 * What an operator is. `owner` is ours: the one who manages the gateway itself and every tenant.
 * The other five are the contract's; what is elsewhere called "admin" is `org_admin`.
 */
export type OperatorRole =
  | "owner"
  | "org_admin"
  | "team_admin"
  | "developer"
  | "viewer"
  | "auditor";

/** Roles by descending rank. */
export const ROLES: readonly OperatorRole[] = [
  "owner",
  "org_admin",
  "team_admin",
  "developer",
  "viewer",
  "auditor",
];

/** The reference's three API scopes; each includes the ones before it. */
export type OperatorScope = "read" | "write" | "admin";

/** Scopes in ascending order. */
export const OPERATOR_SCOPES: readonly OperatorScope[] = ["read", "write", "admin"];

const SCOPE_OF: Readonly<Record<OperatorRole, OperatorScope>> = {
  owner: "admin",
  org_admin: "admin",
  team_admin: "write",
  developer: "write",
  viewer: "read",
  auditor: "read",
};

/** The scope that a role answers to. */
export function scopeOf(role: OperatorRole): OperatorScope {
  return SCOPE_OF[role];
}

/** The role that a bare scope stands for (contract §11.1: admin, write and read). */
export function roleOfScope(scope: OperatorScope): OperatorRole {
  return ({ read: "viewer", write: "developer", admin: "org_admin" } as const)[scope];
}

/** Whether a scope includes what is needed (read < write < admin). */
export function scopeSatisfies(scope: OperatorScope, needed: OperatorScope): boolean {
  return OPERATOR_SCOPES.indexOf(scope) >= OPERATOR_SCOPES.indexOf(needed);
}

/** Whether a role ranks at least as high as another. */
export function ranksAtLeast(role: OperatorRole, needed: OperatorRole): boolean {
  return ROLES.indexOf(role) <= ROLES.indexOf(needed);
}

/** The role a text names, `admin` being another name of `org_admin`; `undefined` when it is none. */
export function parseRole(text: string): OperatorRole | undefined {
  return text === "admin" ? "org_admin" : ROLES.find((role) => role === text);
}
