/**
 * Which documents bind whom: the ledger's view of policy and lineage. An agent's calls count for
 * everybody above it, so the documents of its ancestors bind it, too.
 *
 * @module
 */
import { type Action, llmCall } from "../../core/action.ts";
import { ownerKind, ownersOf, tenantOfOwner } from "../../core/ledger/mod.ts";
import { type BoundLimit, boundLimits, subtreeOwner } from "../../core/ledger/mod.ts";
import type { CompiledDocument } from "../../core/policy/compiled_document.ts";
import type { PolicySet } from "../../core/policy/compile.ts";
import type { Principal } from "../../core/principal.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { Registry } from "../registry/registry.ts";
import type { Ancestor } from "./ledger.ts";
import { REGISTRY_LIMITS } from "../registry/limits.ts";

/** The call whose documents stand for an agent's budget when no call is in question. */
const MODEL_CALL = llmCall("", 0, false);

/** Looks up documents and ancestors. */
export class Bindings {
  readonly #registry: Pick<Registry, "byKey" | "principalOf">;
  readonly #policy: () => PolicySet;

  constructor(registry: Pick<Registry, "byKey" | "principalOf">, policy: () => PolicySet) {
    this.#registry = registry;
    this.#policy = policy;
  }

  /** Documents with a say in the budget of a principal's call, widest first. */
  budgetsOf(principal: Principal, action: Action = MODEL_CALL): readonly CompiledDocument[] {
    const policy = this.#policy();
    if (policy.state !== "configured") return [];
    return policy.index.cascade(principal, action)?.budgets ?? [];
  }

  /** Agents above a registered one, root first, each with the documents that bind its subtree. */
  ancestors(registry_key: string, action: Action, now_ms: number): readonly Ancestor[] {
    const above: Ancestor[] = [];
    for (const record of this.#above(registry_key)) {
      const principal = this.#registry.principalOf(record, now_ms);
      above.push({ key: record.key, budgets: this.budgetsOf(principal, action) });
    }
    return above.reverse();
  }

  /** Every limit that binds a registered agent. */
  limitsOf(record: AgentRecord, now_ms: number): readonly BoundLimit[] {
    const principal = this.#registry.principalOf(record, now_ms);
    const ancestors = this.ancestors(record.key, MODEL_CALL, now_ms);
    const owners = ownersOf(principal, ancestors.map(({ key }) => key));
    const above = ancestors.map(({ key, budgets }) => ({ owner: subtreeOwner(key), budgets }));
    return boundLimits(owners, this.budgetsOf(principal), above);
  }

  /** Documents that bind an account: those of its agent, or of anybody in its tenant. */
  budgetsOfOwner(owner: string, now_ms: number): readonly CompiledDocument[] {
    const kind = ownerKind(owner);
    if (kind === "agent" || kind === "subtree") {
      const record = this.#registry.byKey(owner.slice(kind.length + 1));
      return record === undefined ? [] : this.budgetsOf(this.#registry.principalOf(record, now_ms));
    }
    const { org_id = "", team_id = "" } = tenantOfOwner(owner) ?? {};
    return this.budgetsOf({
      assurance: "bound",
      agent_id: "",
      engine_key: "",
      ...(org_id === "" ? {} : { org_id }),
      ...(team_id === "" ? {} : { team_id }),
      status: "active",
    });
  }

  *#above(registry_key: string): Generator<AgentRecord> {
    let record = this.#registry.byKey(registry_key);
    for (let step = 0; step < REGISTRY_LIMITS.lineage_depth; step++) {
      if (record?.parent_key === undefined || record.orphaned) return;
      record = this.#registry.byKey(record.parent_key);
      if (record === undefined) return;
      yield record;
    }
  }
}
