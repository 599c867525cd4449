/**
 * Changes of policy by operators: who may, what exactly, and under four eyes who else.
 *
 * @module
 */
import { contains, isBound, permits, type Tenant } from "../../core/iam/permits.ts";
import type { Scope } from "../../core/policy/document.ts";
import type { AuditLog } from "../audit/log.ts";
import type { Clock } from "../clock.ts";
import { governanceEntry } from "../engine/governance.ts";
import type { LoadedPolicy } from "../engine/policy_files.ts";
import type { ChangeOrigin, PolicyStore } from "../engine/policy_store.ts";
import type { AuthenticatedOperator, Operators } from "../identity/operators.ts";
import { authenticated } from "../identity/operators.ts";
import { hash16Hex } from "../identity/keys.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import { REGISTRY_LIMITS } from "../registry/limits.ts";
import type { AgentPage } from "../registry/listing.ts";
import type { Registry } from "../registry/registry.ts";
import type { PolicyHistory } from "./history.ts";
import { POLICY_CHANGE_LIMITS } from "./limits.ts";
import { governs, type Plan, planChange, planOf, type WantedChange } from "./plan.ts";
import { type Proposal, ProposalError, type Proposals } from "./proposals.ts";
import type { PolicyVersion } from "./version.ts";

/** What changes stand on. */
export interface ChangeGround {
  readonly policy: PolicyStore;
  readonly history: PolicyHistory;
  readonly proposals: Proposals;
  readonly operators: Operators;
  readonly registry: Pick<Registry, "list">;
  readonly audit: Pick<AuditLog, "append">;
  readonly clock: Clock;
  readonly four_eyes: boolean;
}

/** Why a change was refused. */
export class ChangeRefused extends Error {
  override readonly name = "ChangeRefused";
  readonly code: "not_permitted" | "conflict" | "invalid_field";

  constructor(code: ChangeRefused["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** How a change came about, beside who made it. */
export interface ChangeTerms extends Pick<ChangeOrigin, "rollback_of" | "bundle"> {
  readonly kind: "apply" | "rollback" | "import";
  readonly reason: string;
  /** Refuse when another set is in force; empty: any. */
  readonly expected_digest: string;
  readonly dry_run: boolean;
  /** 0: the default. */
  readonly ttl_seconds: number;
}

/** What became of a change. */
export type ChangeOutcome =
  | { readonly outcome: "applied"; readonly plan: Plan; readonly version: PolicyVersion }
  | { readonly outcome: "proposed"; readonly plan: Plan; readonly proposal: Proposal }
  | { readonly outcome: "unchanged" | "dry_run"; readonly plan: Plan };

/** Makes changes, one after the other. */
export class PolicyChanges {
  readonly #on: ChangeGround;

  constructor(on: ChangeGround) {
    this.#on = on;
  }

  /**
   * Plans a change of single files.
   *
   * @throws {PlanError}
   */
  plan(wanted: WantedChange): Plan {
    return planChange(this.#on.policy.loaded, wanted, this.#shown());
  }

  /**
   * Plans the replacing of the whole set.
   *
   * @throws {ChangeRefused} when the set is of another kind than the one that is run.
   */
  planWhole(next: LoadedPolicy): Plan {
    const { policy } = this.#on;
    const current = policy.loaded;
    const other_kind = next.mode !== current.mode ||
      (next.mode === "single_file" && next.texts[0]?.name !== current.texts[0]?.name);
    if (other_kind && policy.source.kind !== "history") {
      throw new ChangeRefused(
        "conflict",
        `that set is a ${
          next.mode.replace("_", " ")
        }, this gateway was started on another: start ` +
          "it on the like, or with `--policy history`",
      );
    }
    return planOf(current, next);
  }

  /** Name of a single file in explanations. */
  #shown(): string | undefined {
    const { source, loaded } = this.#on.policy;
    return source.kind === "path" && loaded.mode === "single_file" ? source.path : undefined;
  }

  /**
   * Makes a planned change, or proposes it under four eyes.
   *
   * @throws {ChangeRefused} `not_permitted` with the role or tenant reason, `conflict`.
   * @throws {PolicyChangeError} {@link ProposalError} nothing has changed then.
   */
  async submit(
    actor: AuthenticatedOperator,
    plan: Plan,
    terms: ChangeTerms,
  ): Promise<ChangeOutcome> {
    const { policy } = this.#on;
    const parent = policy.digest;
    refuseReason(terms.reason);
    if (terms.expected_digest !== "" && terms.expected_digest !== parent) {
      throw new ChangeRefused(
        "conflict",
        `the policy in force is \`${parent}\`, not \`${
          terms.expected_digest.slice(0, 80)
        }\`: look ` +
          "at what changed, then try again",
      );
    }
    this.#refuseUnpermitted(actor, plan);
    if (plan.digest === parent) return { outcome: "unchanged", plan };
    if (terms.dry_run) return { outcome: "dry_run", plan };
    if (policy.immutable !== undefined) throw new ChangeRefused("conflict", policy.immutable);
    if (this.#on.four_eyes) return await this.#propose(actor, plan, terms, parent);
    const version = await this.#apply(plan, parent, {
      origin: terms.kind,
      author: `operator:${actor.name}`,
      ...ofTerms(terms),
    });
    return { outcome: "applied", plan, version };
  }

  /** What a proposal would make of the set it is for, made anew from its bytes. */
  planOfProposal(proposal: Proposal): Plan {
    const { put, remove } = proposal;
    const plan = this.plan({ put, remove, replace_all: false });
    if (plan.digest === proposal.digest) return plan;
    throw new ChangeRefused(
      "conflict",
      `proposal \`${proposal.id}\` would now make \`${plan.digest}\`, proposed was ` +
        `\`${proposal.digest}\`: propose it anew`,
    );
  }

  /**
   * Puts a proposal in force: by another operator than the proposer, who may change every one of its
   * documents, and only as exactly the set that was proposed and reviewed.
   *
   * @param expected_digest The digest that was reviewed; empty: not stated.
   */
  async confirm(
    actor: AuthenticatedOperator,
    id: string,
    expected_digest: string,
  ): Promise<ChangeOutcome> {
    const { policy, proposals, audit, clock } = this.#on;
    const { proposal, free } = proposals.take(id, policy.digest);
    try {
      this.#refuseSamePerson(actor, proposal);
      if (expected_digest !== "" && expected_digest !== proposal.digest) {
        throw new ChangeRefused(
          "conflict",
          `proposal \`${id}\` makes \`${proposal.digest}\`, not what was reviewed`,
        );
      }
      const plan = this.planOfProposal(proposal);
      this.#refuseUnpermitted(actor, plan);
      this.#refuseUnpermitted(this.#proposerOf(proposal), plan);
      const { digest, parent, kind, proposer } = proposal;
      await audit.append(governanceEntry("policy_proposal_confirmed", {
        actor: `operator:${actor.name}`,
        key_id: actor.key_id,
        proposal_id: id,
        proposer,
        digest,
        parent,
      }, clock));
      const version = await this.#apply(plan, parent, {
        origin: kind,
        author: `operator:${proposer}`,
        confirmed_by: `operator:${actor.name}`,
        proposal_id: id,
        ...ofTerms({ ...proposal, reason: proposal.reason ?? "" }),
      });
      // Whatever becomes of this note: the set it was made for is not in force any more.
      await proposals.decide(proposal, "confirmed", actor.name, "").catch(() => {});
      return { outcome: "applied", plan, version };
    } finally {
      free();
    }
  }

  /** Ends a proposal: by its proposer, or by anybody who may change one of its documents. */
  async reject(actor: AuthenticatedOperator, id: string, reason: string): Promise<Proposal> {
    const { policy, proposals, audit, clock } = this.#on;
    refuseReason(reason);
    const { proposal, free } = proposals.take(id, policy.digest);
    try {
      if (proposal.proposer !== actor.name) {
        this.#refuseUnpermitted(actor, this.planOfProposal(proposal));
      }
      await audit.append(governanceEntry("policy_proposal_rejected", {
        actor: `operator:${actor.name}`,
        key_id: actor.key_id,
        proposal_id: id,
        reason,
      }, clock));
      return await proposals.decide(proposal, "rejected", actor.name, reason);
    } finally {
      free();
    }
  }

  /** Whether an operator sees a document: all but those of tenants it is not bound to. */
  sees(actor: AuthenticatedOperator, scope: Scope): boolean {
    if (!isBound(actor)) return true;
    switch (scope.tier) {
      case "global":
      case "tool":
        return true;
      case "org":
        return actor.org_id === scope.id;
      case "team":
        // Which organisations have a team of that name only their agents tell.
        return actor.team_id === scope.id ||
          this.#agents().some((agent) => agent.team_id === scope.id && contains(actor, agent));
      case "agent":
        return this.#tenantsOf(scope.id).some((tenant) => contains(actor, tenant));
    }
  }

  async #propose(
    actor: AuthenticatedOperator,
    plan: Plan,
    terms: ChangeTerms,
    parent: string,
  ): Promise<ChangeOutcome> {
    const { proposals, audit, clock } = this.#on;
    const names = new Set(plan.touched.map(({ name }) => name));
    const put = plan.next.texts.filter(({ name }) => names.has(name));
    const left = new Set(plan.next.texts.map(({ name }) => name));
    const ttl_seconds = terms.ttl_seconds === 0
      ? POLICY_CHANGE_LIMITS.proposal_ttl_default_seconds
      : terms.ttl_seconds;
    const proposal = proposals.prepare({
      kind: terms.kind,
      proposer: actor.name,
      parent,
      digest: plan.digest,
      mode: plan.next.mode,
      put,
      remove: [...names].filter((name) => !left.has(name)),
      ...ofTerms(terms),
    }, ttl_seconds);
    await audit.append(governanceEntry("policy_proposed", {
      actor: `operator:${actor.name}`,
      key_id: actor.key_id,
      proposal_id: proposal.id,
      kind: proposal.kind,
      digest: plan.digest,
      parent,
      files: [...names].slice(0, 100),
      reason: terms.reason,
      expires_at_ms: proposal.expires_at_ms,
    }, clock));
    await proposals.keep(proposal);
    return { outcome: "proposed", plan, proposal };
  }

  async #apply(plan: Plan, parent: string, by: ChangeOrigin): Promise<PolicyVersion> {
    const { policy, history } = this.#on;
    await policy.replace(plan.next, parent, by);
    return history.find(plan.digest);
  }

  /**
   * Two keys are one person, and a person who was made after the proposal may have been made for it.
   */
  #refuseSamePerson(actor: AuthenticatedOperator, proposal: Proposal): void {
    if (actor.name === proposal.proposer) {
      throw new ChangeRefused(
        "not_permitted",
        `proposal \`${proposal.id}\` is your own: another operator must confirm it`,
      );
    }
    const confirmer = this.#on.operators.get(actor.name);
    if (confirmer !== undefined && confirmer.created_at_ms < proposal.created_at_ms) return;
    throw new ChangeRefused(
      "not_permitted",
      `operator \`${actor.name}\` was made after proposal \`${proposal.id}\`: one who was there ` +
        "before must confirm it",
    );
  }

  #proposerOf(proposal: Proposal): AuthenticatedOperator {
    const record = this.#on.operators.get(proposal.proposer);
    if (record !== undefined && this.#on.operators.stateOf(record) === "active") {
      return authenticated(record);
    }
    throw new ProposalError(
      "ended",
      `proposal \`${proposal.id}\`: its proposer \`${proposal.proposer}\` is not active any more`,
    );
  }

  /** Every document that is created, changed or removed needs its scope's role and tenant. */
  #refuseUnpermitted(actor: AuthenticatedOperator, plan: Plan): void {
    const { loaded } = this.#on.policy;
    for (const { name, before, after } of plan.touched) {
      const scopes = [
        ...(before === undefined ? [] : [governs(loaded.mode, before)]),
        ...(after === undefined ? [] : [governs(plan.next.mode, after)]),
      ];
      for (const scope of scopes) {
        const answer = this.#permits(actor, scope);
        if (answer.ok) continue;
        throw new ChangeRefused("not_permitted", `\`${name}\`: ${answer.message}`);
      }
    }
  }

  #permits(actor: AuthenticatedOperator, scope: Scope) {
    const target = { kind: "document", scope } as const;
    if (scope.tier !== "agent" || !isBound(actor)) return permits(actor, "policy.mutate", target);
    // The scope names an id, which agents of several tenants may share.
    const tenants = this.#tenantsOf(scope.id);
    const foreign = tenants.find((tenant) => !contains(actor, tenant)) ?? tenants[0];
    return permits(actor, "policy.mutate", {
      ...target,
      ...(foreign === undefined ? {} : { agent: foreign }),
    });
  }

  #tenantsOf(uuid: string): Tenant[] {
    const wanted = uuid.replaceAll("-", "");
    return this.#agents().filter(({ agent_id }) => hash16Hex(agent_id) === wanted);
  }

  #agents(): AgentRecord[] {
    const agents: AgentRecord[] = [];
    for (let token: string | undefined = ""; token !== undefined;) {
      const page: AgentPage = this.#on.registry.list({}, REGISTRY_LIMITS.list_page_agents, token);
      agents.push(...page.agents);
      token = page.next_page_token;
    }
    return agents;
  }
}

function ofTerms(
  { reason, rollback_of, bundle }: Pick<ChangeTerms, "reason" | "rollback_of" | "bundle">,
): Pick<ChangeOrigin, "reason" | "rollback_of" | "bundle"> {
  return {
    ...(reason === "" ? {} : { reason }),
    ...(rollback_of === undefined ? {} : { rollback_of }),
    ...(bundle === undefined ? {} : { bundle }),
  };
}

function refuseReason(reason: string): void {
  const { reason_chars } = POLICY_CHANGE_LIMITS;
  if (reason.length <= reason_chars && reason.isWellFormed()) return;
  throw new ChangeRefused("invalid_field", `reason: at most ${reason_chars} characters are kept`);
}
