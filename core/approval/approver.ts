/**
 * Who may decide a request (contract `policy-and-gateway` §8.4, §13.3 #37).
 *
 * The rule, first refusal first:
 * 1. never the requesting agent, under any registration of its agent id;
 * 2. never an agent of the same delegation tree: ancestor, descendant, or below the same root;
 * 3. never an operator who owns the agent (whose enrolment it registered under), if the routing file
 *    has a row for the request and that row does not say `owner_may_decide`: without a routing file
 *    one operator alone must be able to run a gateway;
 * 4. nobody of another organisation or team; a request without a team is for operators alone; an
 *    agent that merely says which team it is of decides nothing for one whose enrolment names it;
 * 5. an agent only where the route admits agents: it went to the team's admins, as the reference's
 *    gRPC surface has it, or names that agent;
 * 6. someone the request was routed, forwarded or escalated to. A list of names is exclusive: who is
 *    not on it may not decide, whatever the role.
 *
 * @module
 */
import { type OperatorRole, parseRole, ranksAtLeast } from "../iam/role.ts";
import type { BoundAgent } from "./bound_call.ts";

/** Roles that count for approvals are those of operators. An auditor decides nothing. */
export type ApproverRole = OperatorRole;

/** Who answers. */
export type Approver =
  | {
    readonly kind: "operator";
    readonly name: string;
    readonly role: ApproverRole;
    /** Bound to one organisation or team; absent means every one. */
    readonly org_id?: string;
    readonly team_id?: string;
  }
  | {
    readonly kind: "agent";
    /** Registry key. */
    readonly key: string;
    readonly agent_id: string;
    readonly org_id: string;
    readonly team_id: string;
    readonly root_key: string;
    /** Registry keys, parent first. */
    readonly ancestors: readonly string[];
    /** An enrolment names the team; else it is the agent's own word. */
    readonly enrolled: boolean;
  };

/** The agent that asked, as far as it matters for who may answer. */
export interface Requester extends BoundAgent {
  /** Absent when the agent is not registered. */
  readonly root_key?: string;
  /** Registry keys, parent first. */
  readonly ancestors: readonly string[];
  /** An enrolment names the team; else it is the agent's own word. */
  readonly enrolled: boolean;
  /** Operator who answers for the agent, when one is known. */
  readonly owner?: string;
}

/** To whom a request goes. */
export type Target =
  /** Everyone with that role or a higher one. A word that is no role is a group or a name. */
  | { readonly kind: "role"; readonly role: string }
  /** These and nobody else: operator names, `agent:<agent id>`. */
  | { readonly kind: "named"; readonly names: readonly string[] };

/** What a request says about who may decide it. */
export interface Eligibility {
  readonly requester: Requester;
  readonly targets: readonly Target[];
  readonly agents_may_decide: boolean;
  readonly owner_may_decide: boolean;
}

/** Why somebody may not decide. */
export type NotPermitted =
  | "self_approval"
  | "lineage"
  | "owner"
  | "other_tenant"
  | "agents_excluded"
  | "wrong_role";

/** Whether somebody may decide. */
export type Permission =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: NotPermitted; readonly message: string };

/** How an approver stands in records: `operator:<name>` or `agent:<registry key>`. */
export function approverId(approver: Approver): string {
  return approver.kind === "operator" ? `operator:${approver.name}` : `agent:${approver.key}`;
}

/** Applies the rule of this module. */
export function mayDecide(on: Eligibility, approver: Approver): Permission {
  return kinship(on, approver) ?? tenancy(on, approver) ?? addressed(on, approver);
}

function kinship(
  { requester, owner_may_decide }: Eligibility,
  approver: Approver,
): Permission | undefined {
  if (approver.kind === "operator") {
    if (requester.owner !== approver.name || owner_may_decide) return undefined;
    return no(
      "owner",
      `operator \`${approver.name}\` owns the agent: another operator must decide`,
    );
  }
  if (approver.key === requester.key || approver.agent_id === requester.agent_id) {
    return no("self_approval", "an agent cannot decide its own request");
  }
  const related = approver.root_key === requester.root_key ||
    requester.ancestors.includes(approver.key) || approver.ancestors.includes(requester.key);
  if (!related) return undefined;
  return no("lineage", "an agent of the same delegation tree cannot decide the request");
}

function tenancy({ requester }: Eligibility, approver: Approver): Permission | undefined {
  const { org_id, team_id } = approver;
  if (approver.kind === "agent") {
    const same = team_id !== "" && team_id === requester.team_id &&
      org_id === (requester.org_id ?? "");
    if (!same) return no("other_tenant", "the request does not belong to the caller's team");
    if (approver.enrolled || !requester.enrolled) return undefined;
    return no("other_tenant", "the caller's team is only its own word: enrol it");
  }
  const foreign = (org_id !== undefined && org_id !== (requester.org_id ?? "")) ||
    (team_id !== undefined && team_id !== (requester.team_id ?? ""));
  if (!foreign) return undefined;
  return no("other_tenant", `the request does not belong to the tenant of \`${approver.name}\``);
}

function addressed(on: Eligibility, approver: Approver): Permission {
  if (on.targets.some((target) => meets(target, approver, on.agents_may_decide))) {
    return { ok: true };
  }
  if (approver.kind === "agent") {
    return no("agents_excluded", "the request is routed to people: an operator must decide it");
  }
  const wanted = on.targets.map(targetText).join(" or ");
  return no(
    "wrong_role",
    `the request is routed to ${wanted}; operator \`${approver.name}\` is ${approver.role}`,
  );
}

function meets(target: Target, approver: Approver, agents_may_decide: boolean): boolean {
  if (target.kind === "named") {
    return target.names.includes(
      approver.kind === "operator" ? approver.name : `agent:${approver.agent_id}`,
    );
  }
  if (approver.kind === "agent") return agents_may_decide && target.role === "team_admin";
  const needed = parseRole(target.role);
  if (needed !== undefined) return ranksAtLeast(approver.role, needed);
  return approver.name === target.role || ranksAtLeast(approver.role, "org_admin");
}

/** A target in words. */
export function targetText(target: Target): string {
  return target.kind === "role" ? target.role : target.names.join(", ");
}

function no(code: NotPermitted, message: string): Permission {
  return { ok: false, code, message };
}
