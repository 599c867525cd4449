/**
 * Which rate-limit tokens an action costs: the contract's `limit_per_hour` of its tool, and every
 * rule of `rate_limits` that selects it (contract `policy-and-gateway` §4.8).
 *
 * A declared limit's bucket is known by its document's scope and by what it counts, never by its
 * file, its place or its limit: a reload, a renamed file or a reordered list resets nothing.
 *
 * @module
 */
import type { Action } from "../action.ts";
import type { Principal } from "../principal.ts";
import type { RateCharge, RuleRef } from "../verdict.ts";
import type { CompiledDocument } from "./compiled_document.ts";
import type { RateLimitOwner, RateLimitRule } from "./document.ts";
import { ruleAt } from "./stage.ts";
import type { ToolPlan } from "./tool.ts";

const HOUR_MS = 3_600_000;

/** One declared limit of a cascade. */
export interface PlannedRate {
  readonly by: CompiledDocument;
  readonly rule: RuleRef;
  readonly per: RateLimitOwner;
  readonly bucket: string;
  readonly limit: number;
  readonly window_ms: number;
  readonly selects: (action: Action) => boolean;
}

/** A token an action costs, and the rule that asks for it. */
export interface BoundCharge {
  readonly charge: RateCharge;
  readonly by: CompiledDocument;
  readonly rule: RuleRef;
  readonly per: RateLimitOwner | "tool";
}

/** Shared so that an action without limits allocates nothing. */
const NONE: readonly BoundCharge[] = Object.freeze([]);

/** The declared limits of a cascade, widest document first; of equal ones the smallest stays. */
export function planRates(documents: readonly CompiledDocument[]): readonly PlannedRate[] {
  const planned = new Map<string, PlannedRate>();
  for (const by of documents) {
    for (const [at, rule] of (by.document.rate_limits ?? []).entries()) {
      const bucket = bucketOf(by, rule);
      const key = `${rule.per} ${bucket}`;
      const known = planned.get(key);
      if (known !== undefined && known.limit <= rule.limit.value) continue;
      planned.set(key, {
        by,
        rule: ruleAt(by.document, rule.at, `rate_limits[${at}]`),
        per: rule.per,
        bucket,
        limit: rule.limit.value,
        window_ms: rule.window_ms,
        selects: selector(rule),
      });
    }
  }
  return [...planned.values()];
}

function bucketOf({ document: { scope } }: CompiledDocument, rule: RateLimitRule): string {
  const where = scope.tier === "global" ? "global" : `${scope.tier}:${scope.id}`;
  return JSON.stringify([where, rule.action ?? "", rule.tool ?? "", rule.window_ms]);
}

function selector({ tool, action }: RateLimitRule): PlannedRate["selects"] {
  if (tool === undefined) {
    return action === undefined ? () => true : (asked) => asked.kind === action;
  }
  const star = tool.indexOf("*");
  if (star < 0) return (asked) => asked.kind === "tool_call" && asked.tool === tool;
  const [start, end] = [tool.slice(0, star), tool.slice(star + 1)];
  return (asked) =>
    asked.kind === "tool_call" && asked.tool.length >= start.length + end.length &&
    asked.tool.startsWith(start) && asked.tool.endsWith(end);
}

/** Every token an action of a principal costs; the contract's own first. */
export function chargesOf(
  plan: ToolPlan | undefined,
  rates: readonly PlannedRate[],
  action: Action,
  principal: Principal,
): readonly BoundCharge[] {
  const own = plan?.limit;
  if (own === undefined && rates.length === 0) return NONE;
  const charges: BoundCharge[] = [];
  if (own !== undefined && action.kind === "tool_call") {
    const scope = rateScope(principal);
    const charge = { scope, bucket: action.tool, limit: own.limit_per_hour, window_ms: HOUR_MS };
    charges.push({ charge, by: own.by, rule: own.rule, per: "tool" });
  }
  for (const { by, rule, per, bucket, limit, window_ms, selects } of rates) {
    if (!selects(action)) continue;
    const scope = ownerScope(per, principal);
    charges.push({ charge: { scope, bucket, limit, window_ms }, by, rule, per });
  }
  return charges;
}

/**
 * Whose bucket an agent draws from under `limit_per_hour`: its team's, else its own; unregistered
 * agents without a team share one.
 */
export function rateScope(principal: Principal): string {
  return principal.team_id === undefined
    ? principal.registry_key ?? "anon"
    : `team:${principal.team_id}`;
}

/** Scopes of declared limits have a form of their own: tool names can't use up their room. */
function ownerScope(per: RateLimitOwner, principal: Principal): string {
  if (per === "global") return "limit global";
  const id = per === "team"
    ? principal.team_id
    : per === "org"
    ? principal.org_id
    : principal.registry_key;
  if (id !== undefined) return `limit ${per}:${id}`;
  return principal.registry_key === undefined
    ? "limit anon"
    : `limit agent:${principal.registry_key}`;
}
