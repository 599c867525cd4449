/**
 * Whether an operator may do something to something: one pure function over the RBAC table
 * (contract `policy-and-gateway` §11.1, §11.2).
 *
 * One rule is ours and stricter than the reference: an operator bound to an organisation or a team
 * changes only what lies in it. Documents for every agent (`global`) and for a tool reach beyond
 * any tenant, so they need an operator who is bound to none.
 *
 * @module
 */
import type { Scope } from "../policy/document.ts";
import { type OperatorRole, ranksAtLeast } from "./role.ts";
import {
  DOCUMENT_ROLE,
  KEY_SCOPE_INCLUDES,
  KEY_SCOPE_OF,
  type KeyScope,
  type Permission,
  PERMISSIONS,
  READING,
} from "./table.ts";

/** What an operator holds. */
export interface Grant {
  readonly role: OperatorRole;
  /** Organisation the operator is bound to; absent: not bound to one. */
  readonly org_id?: string;
  /** Team of that organisation the operator is bound to; absent: not bound to one. */
  readonly team_id?: string;
  /** What the presented API key is narrowed to; absent: no narrowing. */
  readonly key_scopes?: readonly KeyScope[];
}

/** Whose something is; empty texts when it belongs to no organisation or team. */
export interface Tenant {
  readonly org_id: string;
  readonly team_id: string;
}

/** What the permission is asked for. */
export type Target =
  /** The gateway as a whole, every tenant at once: a halt, the whole audit log. */
  | { readonly kind: "gateway" }
  /** Something that belongs to a tenant: an agent, an approval, a secret, a key. */
  | ({ readonly kind: "tenant" } & Tenant)
  /** A policy document. `agent`: whose the agent of an `agent:` scope is, when it is registered. */
  | { readonly kind: "document"; readonly scope: Scope; readonly agent?: Tenant };

/** The whole gateway. */
export const GATEWAY: Target = { kind: "gateway" };

/** May it, or which rule stands against it. */
export type Permitted =
  | { readonly ok: true }
  | {
    readonly ok: false;
    /** `role`: never with this role; `tenant`: not this target; `key_scope`: not with this key. */
    readonly because: "role" | "tenant" | "key_scope";
    /** For the operator; names no target that was not already named by it. */
    readonly message: string;
  };

const YES: Permitted = { ok: true };

/**
 * Whether `grant` has `permission` for `target`.
 *
 * Without a target it tells whether there is anything at all the operator could do it to: to be
 * asked first, so that a refusal reveals nothing of what exists (contract §11.2).
 */
export function permits(grant: Grant, permission: Permission, target?: Target): Permitted {
  const reach = PERMISSIONS[permission][grant.role];
  if (reach === "none") {
    return refused("role", `the role \`${grant.role}\` does not include \`${permission}\``);
  }
  const needed = KEY_SCOPE_OF[permission];
  if (!keyScopesInclude(grant.key_scopes, needed)) {
    return refused("key_scope", `this key needs the scope \`${needed}\` for \`${permission}\``);
  }
  if (reach === "team" && grant.team_id === undefined) {
    return refused(
      "tenant",
      `\`${permission}\` reaches only the own team, and this operator is bound to no team`,
    );
  }
  if (target === undefined || reach === "all") return YES;
  switch (target.kind) {
    case "gateway":
      return isBound(grant)
        ? refused("tenant", `\`${permission}\` for every tenant at once: ${boundTo(grant)}`)
        : YES;
    case "tenant":
      return contains(grant, target) ? YES : refused(
        "tenant",
        `\`${permission}\` reaches only the own tenant: ${boundTo(grant)}`,
      );
    case "document":
      return permitsDocument(grant, permission, target.scope, target.agent);
  }
}

/**
 * Why a role cannot be bound so, or `undefined` when it can: an owner is bound to nothing, an
 * `org_admin` to no team, a `team_admin` to one.
 */
export function bindingProblem({ role, org_id, team_id }: Grant): string | undefined {
  if (role === "owner" && (org_id !== undefined || team_id !== undefined)) {
    return "org_id: an owner is bound to no organisation and no team; leave both out";
  }
  if (role === "org_admin" && team_id !== undefined) {
    return "team_id: an org_admin is bound to no team; leave it out, or give the role team_admin";
  }
  if (role === "team_admin" && team_id === undefined) {
    return "team_id: is missing: a team_admin needs a team";
  }
  return undefined;
}

/** Whether an operator is bound to a tenant, and so sees and changes only that. */
export function isBound(grant: Grant): boolean {
  return grant.role !== "owner" && (grant.org_id !== undefined || grant.team_id !== undefined);
}

/** Whether something of a tenant lies within what an operator is bound to. */
export function contains(grant: Grant, tenant: Tenant): boolean {
  if (!isBound(grant)) return true;
  if ((grant.org_id ?? "") !== tenant.org_id) return false;
  return grant.team_id === undefined || grant.team_id === tenant.team_id;
}

/** Whether someone with `grant` may hand out `other`: at most the own role, within the own tenant. */
export function mayGrant(grant: Grant, other: Grant): boolean {
  if (!ranksAtLeast(grant.role, other.role)) return false;
  if (!isBound(grant)) return true;
  if (other.org_id !== grant.org_id) return false;
  return grant.team_id === undefined || other.team_id === grant.team_id;
}

/** Whether a key's scopes include one; no list means no narrowing. */
export function keyScopesInclude(
  scopes: readonly KeyScope[] | undefined,
  needed: KeyScope,
): boolean {
  if (scopes === undefined) return true;
  return scopes.some((scope) =>
    scope === "admin" || scope === needed || KEY_SCOPE_INCLUDES[scope] === needed
  );
}

function permitsDocument(
  grant: Grant,
  permission: Permission,
  scope: Scope,
  agent: Tenant | undefined,
): Permitted {
  if (READING.has(permission)) return YES;
  const needed = DOCUMENT_ROLE[scope.tier];
  const named = `a document scoped \`${scopeName(scope)}\``;
  if (!ranksAtLeast(grant.role, needed)) {
    return refused("role", `${named} needs the role ${needed}, not \`${grant.role}\``);
  }
  if (documentLiesWithin(grant, scope, agent)) return YES;
  return refused("tenant", `tenant mismatch: ${named}: ${boundTo(grant)}`);
}

/** Organisation and team documents need the operator's own tenant to be the one they name. */
function documentLiesWithin(grant: Grant, scope: Scope, agent: Tenant | undefined): boolean {
  switch (scope.tier) {
    case "org":
      return grant.org_id === scope.id && grant.team_id === undefined;
    case "team":
      return grant.team_id === scope.id;
    case "agent":
      return !isBound(grant) || (agent !== undefined && contains(grant, agent));
    case "global":
    case "tool":
      return !isBound(grant);
  }
}

function scopeName(scope: Scope): string {
  return scope.tier === "global" ? "global" : `${scope.tier}:${scope.id.slice(0, 80)}`;
}

function boundTo({ org_id, team_id }: Grant): string {
  const org = org_id === undefined ? "no organisation" : `organisation \`${org_id}\``;
  return `this operator is bound to ${org}` +
    (team_id === undefined ? "" : ` and team \`${team_id}\``);
}

function refused(because: "role" | "tenant" | "key_scope", message: string): Permitted {
  return { ok: false, because, message };
}
