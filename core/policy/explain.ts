/**
 * Why a verdict is what it is, and the smallest change that would make it an allow. Runs only when
 * asked; decides nothing itself: every change it lists was tried on the one decision function.
 *
 * @module
 */
import type { Action } from "../action.ts";
import { LIMITS } from "../limits.ts";
import type { Considered, Decision, Explanation, RuleRef } from "../verdict.ts";
import type { PolicySet } from "./compile.ts";
import { ENGINE_FAULT, type Facts } from "./decide.ts";
import { consideredSteps } from "./explain/considered.ts";
import { Quote } from "./explain/quote.ts";
import { searchChanges, type SearchResult } from "./explain/search.ts";
import { worldOf } from "./explain/world.ts";
import { understandHost } from "./network.ts";

/**
 * Explains a decision that `decide` gave for the same policy, action and facts. Never throws: what
 * cannot be explained is said to be so.
 */
export function explain(
  policy: PolicySet,
  action: Action,
  facts: Facts,
  decision: Decision,
): Explanation {
  const outcome: Explanation["outcome"] =
    decision.outcome === "allow" && decision.redacted !== undefined ? "redact" : decision.outcome;
  const base = {
    outcome,
    reason: decision.reason,
    ...(decision.rule && { rule: decision.rule }),
  };
  try {
    if (decision.reason === ENGINE_FAULT) return { ...base, ...unexplained(decision) };
    const quote = quoterFor(policy, action, facts);
    const considered = steps(policy, action, facts, decision, quote);
    const found = searchChanges(worldOf(policy, action, facts), decision, quote);
    const changes = found.edits.map((edit) => edit.change);
    const summary = summarize(outcome, action, decision, found, quote);
    return { ...base, summary, considered, changes };
  } catch {
    return { ...base, ...unexplained(decision) };
  }
}

/** Of an engine fault nothing is known but that it happened; the request is not quoted. */
function unexplained(decision: Decision): Pick<Explanation, "summary" | "considered" | "changes"> {
  const stage = decision.stage ?? "configuration";
  return {
    summary: "The decision could not be explained because the policy engine failed on this " +
      "request; an operator should look at it.",
    considered: [{
      stage,
      result: decision.outcome === "deny" ? "deny" : "pass",
      detail: "failed",
    }],
    changes: [],
  };
}

function quoterFor(policy: PolicySet, action: Action, facts: Facts): Quote {
  const cascade = policy.index.cascade(facts.principal, action);
  return new Quote(
    cascade?.scanner ?? (() => policy.index.scannerFor({ patterns: [], locale_packs: [] })),
  );
}

function steps(
  policy: PolicySet,
  action: Action,
  facts: Facts,
  decision: Decision,
  quote: Quote,
): Considered[] {
  const cascade = policy.index.cascade(facts.principal, action);
  if (cascade === undefined) {
    const count = policy.documents.length;
    const detail = count === 0
      ? "no policy document is loaded"
      : `none of ${count} policy documents governs this agent`;
    return [{ stage: "configuration", result: "deny", detail }];
  }
  const listed: Considered[] = [];
  let omitted = 0;
  let last: Considered | undefined;
  for (const step of consideredSteps({ cascade, action, facts, decision, quote })) {
    if (listed.length < LIMITS.explanation_steps - 1) listed.push(step);
    else {
      omitted += last === undefined ? 0 : 1;
      last = step;
    }
  }
  // The last step is the one that decided, so it is shown even when others are only counted.
  if (last !== undefined) {
    const counted = omitted === 0 ? "" : ` (${omitted} further steps not listed)`;
    listed.push({ ...last, detail: `${last.detail}${counted}` });
  }
  return listed;
}

function summarize(
  outcome: Explanation["outcome"],
  action: Action,
  decision: Decision,
  found: SearchResult,
  quote: Quote,
): string {
  const what = describe(action, quote);
  const where = decision.rule === undefined ? "" : ` by ${cite(decision.rule)}`;
  switch (outcome) {
    case "allow":
      return `Allowed: ${what}; no rule stands against it.`;
    case "redact":
      return `Allowed with sensitive data replaced: ${what}${where}.`;
    case "require_approval":
      return `Held for approval${where}: ${what}. ${remedy(found)}`;
    case "deny":
      return `Denied${where}: ${what}: ${decision.reason}. ${remedy(found)}`;
  }
}

function remedy(found: SearchResult): string {
  if (found.edits.length === 0) return "No change of policy or request was found that allows it.";
  const texts = found.edits.map((edit) => `${edit.change.text} (${edit.change.who})`).join(
    "; then ",
  );
  const more = found.complete ? "" : "; further refusals remain after that";
  return `To allow it: ${texts}${more}.`;
}

function cite(rule: RuleRef): string {
  return `\`${rule.path}\` at ${rule.file}:${rule.line}:${rule.column}`;
}

/** The host alone: a URL may carry a password, and a query may carry anything. */
function describeHost(url: string, quote: Quote): string {
  const understood = understandHost(url);
  return understood.kind === "host" ? `host ${quote.text(understood.host)}` : "no readable host";
}

function describe(action: Action, quote: Quote): string {
  switch (action.kind) {
    case "tool_call":
      return `call of tool ${quote.text(action.tool)}`;
    case "tool_result":
      return `result of tool ${quote.text(action.tool)}`;
    case "file_access":
      return `${action.mode} of file ${quote.text(action.path)}`;
    case "network_request":
      return `request to ${describeHost(action.url, quote)}`;
    case "process_exec":
      return `start of program ${quote.text(action.command.split(" ")[0] ?? "")}`;
    case "send_message":
      return "message to another agent";
  }
}
