/**
 * The read check of money limits at the end of a decision (contract `policy-and-gateway` §3.2,
 * §6.4). The reservation of a model call's price is the ledger's; this only refuses who has
 * already spent a limit, and refuses model calls when nobody can say what was spent.
 *
 * @module
 */
import { type Action, LLM_CALL_TOOL } from "../action.ts";
import type { Principal } from "../principal.ts";
import type { CompiledDocument } from "./compiled_document.ts";
import type { Budget } from "./document.ts";
import { type Denial, ruleAt } from "./stage.ts";

/** What was spent in the running windows, in micro-dollars. A missing figure is unknown, not zero. */
export type Spend =
  | {
    readonly state: "known";
    readonly agent_daily_micro_usd: number;
    readonly agent_monthly_micro_usd: number;
    readonly team_daily_micro_usd?: number;
    readonly team_monthly_micro_usd?: number;
    readonly org_daily_micro_usd?: number;
    readonly org_monthly_micro_usd?: number;
  }
  | { readonly state: "unavailable" };

/** One limit key of the `budget` section. */
export interface BudgetLimit {
  /** Key in the parsed document. */
  readonly key: (typeof LIMIT_KEYS)[number];
  /** Key as written in a policy file. */
  readonly yaml_key: string;
  readonly window: "monthly" | "daily";
  readonly owner: "agent" | "team" | "org";
  /** The figure of {@linkcode Spend} that it is tested against. */
  readonly figure: Exclude<keyof Extract<Spend, { state: "known" }>, "state">;
}

const LIMIT_KEYS = [
  "monthly_limit_micro_usd",
  "daily_limit_micro_usd",
  "team_monthly_limit_micro_usd",
  "team_daily_limit_micro_usd",
  "org_monthly_limit_micro_usd",
  "org_daily_limit_micro_usd",
] as const;

/** In order of testing: agent before team before organisation, month before day. */
export const BUDGET_LIMITS: readonly BudgetLimit[] = LIMIT_KEYS.map((key) => {
  const window = key.includes("monthly") ? "monthly" : "daily";
  const owner = key.startsWith("team_") ? "team" : key.startsWith("org_") ? "org" : "agent";
  const yaml_key = key.replace("_micro_usd", "_usd");
  return { key, yaml_key, window, owner, figure: `${owner}_${window}_micro_usd` };
});

/** Whether a budget states any limit. */
export function hasLimit(budget: Budget | undefined): boolean {
  return budget !== undefined && LIMIT_KEYS.some((key) => budget[key] !== undefined);
}

/** Whether an action spends money: a model call, by its wire form or by its name. */
export function isModelCall(action: Action): boolean {
  return action.kind === "tool_call" &&
    (action.llm !== undefined || action.tool === LLM_CALL_TOOL);
}

/** The figure a limit is tested against; `undefined` when nobody knows it. */
export function spentAgainst(spend: Spend, limit: BudgetLimit): number | undefined {
  if (spend.state !== "known") return undefined;
  const figure = spend[limit.figure];
  return figure === undefined || Number.isNaN(figure) ? undefined : figure;
}

/**
 * The first exceeded limit, document by document. A limit whose figure is unknown refuses model
 * calls only: without a figure no model call is ever let through, so other actions cost nothing.
 *
 * @param documents Documents that state a limit, widest first.
 */
export function budgetDenial(
  documents: readonly CompiledDocument[],
  action: Action,
  principal: Principal,
  spend: Spend,
): Denial | undefined {
  let unknown: Denial | undefined;
  for (const by of documents) {
    const budget = by.document.budget;
    if (budget === undefined) continue;
    for (const limit of BUDGET_LIMITS) {
      const stated = budget[limit.key];
      if (stated === undefined || !applies(limit, principal)) continue;
      const spent = spentAgainst(spend, limit);
      if (spent === undefined) {
        unknown ??= isModelCall(action)
          ? refuse(by, limit, stated, "budget ledger unavailable", false)
          : undefined;
      } else if (!(spent < stated.value)) {
        const suspend = budget.action_on_exceed === "suspend";
        return refuse(by, limit, stated, `${limit.window} budget exceeded`, suspend);
      }
    }
  }
  return unknown;
}

/** A team's or organisation's limit binds only agents that belong to one. */
function applies(limit: BudgetLimit, principal: Principal): boolean {
  if (limit.owner === "team") return principal.team_id !== undefined;
  if (limit.owner === "org") return principal.org_id !== undefined;
  return true;
}

function refuse(
  by: CompiledDocument,
  limit: BudgetLimit,
  at: { readonly line: number; readonly column: number },
  reason: string,
  suspend: boolean,
): Denial {
  const rule = ruleAt(by.document, at, `budget.${limit.yaml_key}`);
  return { stage: "budget", reason, by, rule, suspend };
}
