/**
 * Laws broken on purpose, in the wiring of the simulation alone: each shows that the simulation
 * would see a gateway that broke it. (`ack` is broken by the disk: it says it synced.)
 *
 * @module
 */
import { BUDGET_LIMITS, type Spend } from "../../core/policy/budget.ts";
import type { CompiledDocument } from "../../core/policy/compiled_document.ts";
import type { ApprovalOutcome, ApprovalsPart, LedgerPart } from "../../gateway/engine/parts.ts";
import type { AuditLog } from "../../gateway/audit/log.ts";
import type { Registry } from "../../gateway/registry/registry.ts";
import type { Break } from "./violation.ts";

const NOTHING_SPENT: Spend = {
  state: "known",
  agent_daily_micro_usd: 0,
  agent_monthly_micro_usd: 0,
  team_daily_micro_usd: 0,
  team_monthly_micro_usd: 0,
  org_daily_micro_usd: 0,
  org_monthly_micro_usd: 0,
  global_daily_micro_usd: 0,
  global_monthly_micro_usd: 0,
};

/** A document whose limits are a hundred times what they say. */
function raised(by: CompiledDocument): CompiledDocument {
  const { budget } = by.document;
  if (budget === undefined) return by;
  const limits = BUDGET_LIMITS.map(({ key }) => {
    const stated = budget[key];
    return [key, stated && { ...stated, value: stated.value * 100 }];
  });
  return {
    ...by,
    document: { ...by.document, budget: { ...budget, ...Object.fromEntries(limits) } },
  };
}

/** Wraps the parts of a gateway so that one law does not hold. */
export class AnyBreak {
  constructor(private readonly law: Break | undefined) {}

  /** `money`: every fifth reservation is forgotten. `limit`: a hundred times too much is room. */
  ledger(ledger: LedgerPart): LedgerPart {
    const { law } = this;
    if (law !== "money" && law !== "limit") return ledger;
    let count = 0;
    return {
      spend: (principal, now_ms) =>
        law === "limit" ? NOTHING_SPENT : ledger.spend(principal, now_ms),
      price: (action, budgets) => ledger.price(action, budgets),
      preview: (ask) => ledger.preview(ask),
      note: (ask) => ledger.note(ask),
      reserve: (ask) => {
        const outcome = ledger.reserve(
          law === "limit" ? { ...ask, budgets: ask.budgets.map(raised) } : ask,
        );
        if (law === "money" && outcome.outcome === "reserved" && ++count % 5 === 0) {
          outcome.release();
        }
        return outcome;
      },
    };
  }

  /** `approval`: the last grant of an agent serves its next call, whatever it is. */
  approvals(approvals: ApprovalsPart): ApprovalsPart {
    if (this.law !== "approval") return approvals;
    const last = new Map<string, ApprovalOutcome>();
    return {
      ask: async (ask) => {
        const before = last.get(ask.principal.agent_id);
        if (before !== undefined) return before;
        const outcome = await approvals.ask(ask);
        if (outcome.outcome !== "granted") return outcome;
        const spend = async () => await outcome.spend() || true;
        last.set(ask.principal.agent_id, { ...outcome, spend });
        return outcome;
      },
    };
  }

  /** `evidence`: now and then an answer leaves unrecorded. */
  audit(audit: AuditLog): Pick<AuditLog, "append"> {
    if (this.law !== "evidence") return audit;
    let count = 0;
    return {
      append: (draft) => {
        if (++count % 50 !== 0) return audit.append(draft);
        return Promise.resolve({ seq: BigInt(count), entry_hash: new Uint8Array(32) });
      },
    };
  }

  /** `suspend`: the engine does not hear of suspensions. */
  registry(registry: Registry): Registry {
    if (this.law !== "suspend") return registry;
    return new Proxy(registry, {
      get(target, name) {
        const value = Reflect.get(target, name, target);
        if (name !== "principalFor" || typeof value !== "function") {
          return typeof value === "function" ? value.bind(target) : value;
        }
        return (...args: Parameters<Registry["principalFor"]>) => {
          const identity = target.principalFor(...args);
          if (identity.outcome !== "ok") return identity;
          return { ...identity, principal: { ...identity.principal, status: "active" } };
        };
      },
    });
  }
}
