/**
 * What a cascade says of one tool: permission, smallest rate limit and approval conditions, merged
 * once and then looked up (contract `policy-and-gateway` §3.2, §5.1).
 *
 * @module
 */
import type { RuleRef } from "../verdict.ts";
import { type CompiledDocument, MESSAGE_TOOL, toolEntry } from "./compiled_document.ts";
import type { Condition } from "./expression/condition.ts";
import { ruleAt } from "./stage.ts";

/** An approval condition and the document it stands in. */
export interface BoundCondition {
  readonly by: CompiledDocument;
  readonly condition: Condition;
  readonly rule: RuleRef;
}

/** The merged rules of one tool. */
export interface ToolPlan {
  /** The widest document that does not permit the tool. */
  readonly denied?: { readonly by: CompiledDocument; readonly rule: RuleRef };
  /** The smallest limit; of equal ones the widest document's. */
  readonly limit?: {
    readonly by: CompiledDocument;
    readonly rule: RuleRef;
    readonly limit_per_hour: number;
  };
  /** Widest document first: the last one that fires supplies the timeout. */
  readonly conditions: readonly BoundCondition[];
}

/** Merges the entries of one tool over the documents of a cascade, widest first. */
export function planTool(documents: readonly CompiledDocument[], tool: string): ToolPlan {
  let denied: ToolPlan["denied"];
  let limit: ToolPlan["limit"];
  const conditions: BoundCondition[] = [];
  for (const by of documents) {
    const entry = toolEntry(by.document, tool);
    if (entry === undefined) continue;
    const { name, rule } = entry;
    const path = `tools.${name}`;
    if (!rule.allow && denied === undefined) {
      const cited = rule.allow_at === undefined
        ? ruleAt(by.document, rule.at, path)
        : ruleAt(by.document, rule.allow_at, `${path}.allow`);
      denied = { by, rule: cited };
    }
    const own = rule.limit_per_hour;
    // Written so that a limit that is not a number wins over any other and then denies.
    if (own !== undefined && !(own.value >= (limit?.limit_per_hour ?? Infinity))) {
      const cited = ruleAt(by.document, own, `${path}.limit_per_hour`);
      limit = { by, rule: cited, limit_per_hour: own.value };
    }
    if (rule.requires_approval_if !== undefined) {
      conditions.push(bind(by, rule.requires_approval_if, path));
    }
  }
  return { ...(denied && { denied }), ...(limit && { limit }), conditions };
}

/** The conditions on messages: `tools.message` of each document, never `*` (contract §5.1). */
export function messageConditions(documents: readonly CompiledDocument[]): BoundCondition[] {
  const conditions: BoundCondition[] = [];
  for (const by of documents) {
    const condition = by.document.tools.get(MESSAGE_TOOL)?.requires_approval_if;
    if (condition !== undefined) conditions.push(bind(by, condition, `tools.${MESSAGE_TOOL}`));
  }
  return conditions;
}

function bind(by: CompiledDocument, condition: Condition, path: string): BoundCondition {
  const rule = ruleAt(by.document, condition.at, `${path}.requires_approval_if`);
  return { by, condition, rule };
}
