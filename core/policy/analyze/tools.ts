/**
 * Entries of `tools` that decide nothing: denied elsewhere, limited more strictly elsewhere, or
 * limited to nothing.
 *
 * @module
 */
import type { Action } from "../../action.ts";
import { MESSAGE_TOOL } from "../compiled_document.ts";
import type { PolicyDocument, ToolRule } from "../document.ts";
import { ruleAt } from "../stage.ts";
import { at, sameDocument, sameRule, type Workbench } from "./witness.ts";

/** Looks at every entry of a document. */
export function analyzeTools(on: Workbench, document: PolicyDocument): void {
  for (const [name, rule] of document.tools) {
    if (rule.allow) analyzePermit(on, document, name, rule);
    else analyzeRefusal(on, document, name, rule);
  }
}

/** A call that an entry governs. */
export function callOf(on: Workbench, document: PolicyDocument, name: string): Action {
  const { scope } = document;
  const tool = name !== "*"
    ? name
    : on.mode === "directory" && scope.tier === "tool" && !document.tools.has(scope.id)
    ? scope.id
    : on.unlisted();
  return { kind: "tool_call", tool, args: "{}" };
}

/** Calls of a tool reach a document scoped to another tool never at all. */
function isReachable(on: Workbench, document: PolicyDocument, name: string): boolean {
  const { scope } = document;
  return on.mode !== "directory" || scope.tier !== "tool" || name === "*" || name === scope.id;
}

function analyzePermit(
  on: Workbench,
  document: PolicyDocument,
  name: string,
  rule: ToolRule,
): void {
  const path = `tools.${name}`;
  const entry = ruleAt(document, rule.at, path);
  const witness = on.witness(document, callOf(on, document, name));
  if (!isReachable(on, document, name)) return unreachableEntry(on, document, name, rule);
  const decision = on.decide(witness);
  const structural = decision.stage === "tool" || decision.stage === "capability";
  // Messages are governed by the entry's condition alone, whatever becomes of calls of that name.
  const governs_messages = name === MESSAGE_TOOL && rule.requires_approval_if !== undefined;
  // A tool nobody names may be refused by a list that lets named ones through.
  if (decision.outcome === "deny" && structural && decision.rule && name !== "*") {
    if (governs_messages) return;
    const because = decision.rule;
    const kind = sameDocument(entry, because) ? "contradictory" : "shadowed";
    const message = `${at(entry)} permits nothing: every call is refused by ${at(because)}`;
    const claim = { kind, rule: entry, because, message } as const;
    return on.report(claim, witness, ({ rule: by }) => sameRule(by, because));
  }
  analyzeLimit(on, document, name, rule);
}

function unreachableEntry(
  on: Workbench,
  document: PolicyDocument,
  name: string,
  rule: ToolRule,
): void {
  const entry = ruleAt(document, rule.at, `tools.${name}`);
  const witness = on.witness(document, callOf(on, document, name));
  const kind = "dead" as const;
  const message = `${
    at(entry)
  } is never looked up: the document governs calls of its own tool only`;
  on.report(
    { kind, rule: entry, message },
    witness,
    ({ rule: by }) => by === undefined || !sameDocument(by, entry),
  );
}

function analyzeLimit(
  on: Workbench,
  document: PolicyDocument,
  name: string,
  rule: ToolRule,
): void {
  const limit = rule.limit_per_hour;
  if (limit === undefined) return;
  const cited = ruleAt(document, limit, `tools.${name}.limit_per_hour`);
  const witness = on.witness(document, callOf(on, document, name));
  if (limit.value === 0) {
    const message = `${at(cited)} is 0: every call is refused, whatever is left of any limit`;
    const claim = { kind: "always_denies", rule: cited, message } as const;
    return on.report(claim, witness, ({ stage }) => stage === "rate_limit");
  }
  const cascade = on.set.index.cascade(witness.principal, witness.action);
  const tool = witness.action.kind === "tool_call" ? witness.action.tool : "";
  const strictest = cascade?.tool(tool).limit;
  if (strictest === undefined || sameRule(strictest.rule, cited)) return;
  const because = strictest.rule;
  const message = `${at(cited)} (${limit.value}) never limits: ${at(because)} ` +
    `(${strictest.limit_per_hour}) is not looser and runs out first`;
  on.report(
    { kind: "shadowed", rule: cited, because, message },
    { ...witness, rate_tokens: 0 },
    ({ rule: by }) => sameRule(by, because),
  );
}

function analyzeRefusal(
  on: Workbench,
  document: PolicyDocument,
  name: string,
  rule: ToolRule,
): void {
  const path = `tools.${name}`;
  const refusal = rule.allow_at === undefined
    ? ruleAt(document, rule.at, path)
    : ruleAt(document, rule.allow_at, `${path}.allow`);
  if (!isReachable(on, document, name)) return unreachableEntry(on, document, name, rule);
  const witness = on.witness(document, callOf(on, document, name));
  const extras = [
    rule.limit_per_hour && ruleAt(document, rule.limit_per_hour, `${path}.limit_per_hour`),
    name !== MESSAGE_TOOL && rule.requires_approval_if &&
    ruleAt(document, rule.requires_approval_if.at, `${path}.requires_approval_if`),
  ];
  for (const extra of extras) {
    if (!extra) continue;
    const message = `${at(extra)} is never consulted: ${at(refusal)} denies the tool`;
    const claim = { kind: "contradictory", rule: extra, because: refusal, message } as const;
    on.report(claim, witness, ({ outcome }) => outcome === "deny");
  }
  const decision = on.decide(witness);
  if (decision.rule === undefined || sameRule(decision.rule, refusal)) return;
  if (decision.stage !== "tool" || sameDocument(decision.rule, refusal)) return;
  const because = decision.rule;
  const message = `${at(refusal)} decides nothing: ${at(because)} refuses every such call first`;
  on.report(
    { kind: "shadowed", rule: refusal, because, message },
    witness,
    ({ rule: by }) => sameRule(by, because),
  );
}
