/**
 * The read check of money limits at the end of a decision (contract `policy-and-gateway` §3.2,
 * §6.4). The reservation of a model call's price is the ledger's; this only refuses who has
 * already spent a limit, and refuses model calls when nobody can say what was spent.
 *
 * @module
 */
import { type Action, LLM_CALL_TOOL } from "../action.ts";
import type { Principal } from "../principal.ts";
import { type CompiledDocument, toolEntry } from "./compiled_document.ts";
import type { Budget, NamedLimit, PolicyDocument } from "./document.ts";
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
    readonly global_daily_micro_usd?: number;
    readonly global_monthly_micro_usd?: number;
    /**
     * Who counts per document: the figure in the document's own time zone and short window. When
     * present it is the one that counts; `undefined` is unknown.
     */
    readonly counted?: (limit: BudgetLimit, budget: Budget) => number | undefined;
  }
  | { readonly state: "unavailable" };

/** One limit key of the `budget` section. */
export interface BudgetLimit {
  /** Key in the parsed document. */
  readonly key: (typeof LIMIT_KEYS)[number];
  /** Key as written in a policy file. */
  readonly yaml_key: string;
  readonly window: "monthly" | "daily";
  readonly owner: "agent" | "team" | "org" | "global";
  /** The figure of {@linkcode Spend} that it is tested against. */
  readonly figure: Exclude<keyof Extract<Spend, { state: "known" }>, "state" | "counted">;
}

const LIMIT_KEYS = [
  "monthly_limit_micro_usd",
  "daily_limit_micro_usd",
  "team_monthly_limit_micro_usd",
  "team_daily_limit_micro_usd",
  "org_monthly_limit_micro_usd",
  "org_daily_limit_micro_usd",
  "global_monthly_limit_micro_usd",
  "global_daily_limit_micro_usd",
] as const;

/** In order of testing: agent before team before organisation, month before day. */
export const BUDGET_LIMITS: readonly BudgetLimit[] = LIMIT_KEYS.map((key) => {
  const window = key.includes("monthly") ? "monthly" : "daily";
  const owner = (["team", "org", "global"] as const).find((word) => key.startsWith(`${word}_`)) ??
    "agent";
  const yaml_key = key.replace("_micro_usd", "_usd");
  return { key, yaml_key, window, owner, figure: `${owner}_${window}_micro_usd` };
});

/** Whether a budget states any limit. */
export function hasLimit(budget: Budget | undefined): boolean {
  return budget !== undefined &&
    (LIMIT_KEYS.some((key) => budget[key] !== undefined) || (budget.limits?.size ?? 0) > 0);
}

/** Whether a document has a say in what calls cost: a limit, or the price of a tool. */
export function concernsLedger({ budget, tools }: PolicyDocument): boolean {
  if (hasLimit(budget) || budget?.assumed_output_tokens !== undefined) return true;
  return tools.values().some((rule) => rule.cost_micro_usd !== undefined);
}

/** Price of one call of a tool: the highest that any document states; 0 when none does. */
export function toolCost(documents: readonly CompiledDocument[], action: Action): number {
  if (action.kind !== "tool_call") return 0;
  let cost = 0;
  for (const { document } of documents) {
    const stated = toolEntry(document, action.tool)?.rule.cost_micro_usd?.value ?? 0;
    if (stated > cost) cost = stated;
  }
  return cost;
}

/** Whether a call is charged to anybody: it has a price, or its documents count calls. */
export function isCharged(documents: readonly CompiledDocument[], action: Action): boolean {
  if (action.kind !== "tool_call") return false;
  return isModelCall(action) || toolCost(documents, action) > 0 ||
    documents.some(({ document }) =>
      document.budget?.limits?.values().some((limit) => limit.calls !== undefined) ?? false
    );
}

/** Whether an action spends money: a model call, by its wire form or by its name. */
export function isModelCall(action: Action): boolean {
  return action.kind === "tool_call" &&
    (action.llm !== undefined || action.tool === LLM_CALL_TOOL);
}

/** The figure a limit is tested against; `undefined` when nobody knows it. */
export function spentAgainst(
  spend: Spend,
  limit: BudgetLimit,
  budget: Budget,
): number | undefined {
  if (spend.state !== "known") return undefined;
  const figure = spend.counted === undefined ? spend[limit.figure] : spend.counted(limit, budget);
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
    if (spend.state !== "known") unknown ??= uncounted(by, budget, documents, action, principal);
    for (const limit of BUDGET_LIMITS) {
      const stated = budget[limit.key];
      if (stated === undefined || !applies(limit, principal)) continue;
      const spent = spentAgainst(spend, limit, budget);
      if (spent === undefined) {
        unknown ??= isCharged(documents, action)
          ? refuse(by, limit, stated, LEDGER_UNAVAILABLE, false)
          : undefined;
      } else if (!(spent < stated.value)) {
        const suspend = budget.action_on_exceed === "suspend";
        return refuse(by, limit, stated, `${limit.window} budget exceeded`, suspend);
      }
    }
  }
  return unknown;
}

/** Named limits are tested when a call is charged; while nobody counts, nothing is charged. */
function uncounted(
  by: CompiledDocument,
  budget: Budget,
  documents: readonly CompiledDocument[],
  action: Action,
  principal: Principal,
): Denial | undefined {
  for (const [name, { at, per }] of budget.limits ?? []) {
    if (!binds(per, principal) || !isCharged(documents, action)) continue;
    const rule = ruleAt(by.document, at, `budget.limits.${name}`);
    return { stage: "budget", reason: LEDGER_UNAVAILABLE, by, rule, suspend: false };
  }
  return undefined;
}

/** Denial of a priced call while nobody can say what was spent. */
export const LEDGER_UNAVAILABLE = "budget ledger unavailable";

function applies(limit: BudgetLimit, principal: Principal): boolean {
  return binds(limit.owner, principal);
}

/** A team's or organisation's limit binds only agents that belong to one. */
export function binds(owner: NamedLimit["per"], principal: Principal): boolean {
  if (owner === "team") return (principal.team_id ?? "") !== "";
  if (owner === "org") return (principal.org_id ?? "") !== "";
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
