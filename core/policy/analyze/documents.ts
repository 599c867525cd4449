/**
 * Whole documents: those that refuse everything, restrict nothing, or are never reached; and limits
 * of money that a wider document reaches first.
 *
 * @module
 */
import type { Action } from "../../action.ts";
import { BUDGET_LIMITS, hasLimit } from "../budget.ts";
import type { ActiveHours, PolicyDocument } from "../document.ts";
import { isKnownLocalePack } from "../../scanner/mod.ts";
import { ruleAt } from "../stage.ts";
import { at, sameDocument, sameRule, type Workbench } from "./witness.ts";

const EXEC: Action = { kind: "process_exec", command: "probe" };

/** Looks at a document as a whole. */
export function analyzeDocument(on: Workbench, document: PolicyDocument): void {
  closedForEver(on, document);
  emptyIntersection(on, document);
  unknownPack(on, document);
  unreachable(on, document);
  restrictsNothing(on, document);
  lateBudgets(on, document);
  idleRates(on, document);
}

/** An action that reaches a document. */
function anyAction(on: Workbench, document: PolicyDocument): Action {
  const { scope } = document;
  return on.mode === "directory" && scope.tier === "tool"
    ? { kind: "tool_call", tool: scope.id, args: "{}" }
    : EXEC;
}

/** Windows of one zone that are never open together. Several zones shift against each other. */
function closedForEver(on: Workbench, document: PolicyDocument): void {
  const hours = document.schedule?.active_hours;
  if (hours === undefined) return;
  const action = anyAction(on, document);
  const witness = on.witness(document, action);
  const cascade = on.set.index.cascade(witness.principal, action);
  // Told once, of the narrowest document that takes part.
  if (cascade?.schedules.at(-1)?.document !== document) return;
  const windows = cascade.schedules.flatMap((by) => by.document.schedule?.active_hours ?? []);
  const rule = ruleAt(document, hours.at, "schedule.active_hours");
  if (new Set(windows.map(({ timezone }) => timezone)).size > 1) {
    if (on.openMoment(witness.principal, action) !== undefined) return;
    return on.leaveOpen(
      rule,
      `${at(rule)}: never open with the other windows on one winter's day; their zones differ, ` +
        "so that summer may be another matter",
    );
  }
  if (openTogether(windows)) return;
  const decision = on.decide(witness);
  const message =
    `${at(rule)} is never open together with the wider windows: every request of the ` +
    "agents it governs is refused";
  const because = decision.rule && !sameRule(decision.rule, rule) ? decision.rule : undefined;
  on.report(
    { kind: "always_denies", rule, ...(because && { because }), message },
    witness,
    ({ stage }) => stage === "schedule",
  );
}

function openTogether(windows: readonly ActiveHours[]): boolean {
  for (let minute = 0; minute < 1_440; minute++) {
    const open = windows.every(({ start_minute, end_minute }) =>
      start_minute <= end_minute
        ? minute >= start_minute && minute < end_minute
        : minute >= start_minute || minute < end_minute
    );
    if (open) return true;
  }
  return false;
}

/** Allow lists of several documents that have no token in common, or none that is not denied. */
function emptyIntersection(on: Workbench, document: PolicyDocument): void {
  const list = document.capabilities?.allow ?? [];
  if (list.length === 0) return;
  const action = anyAction(on, document);
  const witness = on.witness(document, action);
  const cascade = on.set.index.cascade(witness.principal, action);
  if (cascade?.capabilities.lists.at(-1)?.document !== document) return;
  const open = list.some(({ text }) => cascade.capabilities.check(text).verdict === "pass");
  if (open) return;
  const rule = ruleAt(document, document.capabilities?.at ?? list[0] ?? TOP, "capabilities.allow");
  const message =
    `${at(rule)} leaves nothing: no token of it is granted by every list and denied ` +
    "by none, so that every action is refused";
  on.report(
    { kind: "always_denies", rule, message },
    witness,
    ({ stage }) => stage === "capability",
  );
}

const TOP = { line: 1, column: 1 };

/** A locale pack this build lacks denies every action (contract §4.7). */
function unknownPack(on: Workbench, document: PolicyDocument): void {
  const packs = document.data?.locale_packs ?? [];
  const index = packs.findIndex(({ value }) => !isKnownLocalePack(value));
  const pack = packs[index];
  if (pack === undefined) return;
  const rule = ruleAt(document, pack, `data.locale_packs[${index}]`);
  const message = `${at(rule)} (\`${pack.value}\`) is not in this build: every action is refused`;
  on.report(
    { kind: "always_denies", rule, message },
    on.witness(document, anyAction(on, document)),
    ({ stage }) => stage === "scan",
  );
}

/** A document for one tool whose calls and answers are all refused by others. */
function unreachable(on: Workbench, document: PolicyDocument): void {
  const { scope } = document;
  if (on.mode !== "directory" || scope.tier !== "tool") return;
  const rule = on.top(document);
  const call = on.witness(document, { kind: "tool_call", tool: scope.id, args: "{}" });
  const answer = on.witness(document, { kind: "tool_result", tool: scope.id, result: "" });
  const decisions = [on.decide(call), on.decide(answer)];
  const elsewhere = decisions.every(({ outcome, stage, rule: by }) =>
    outcome === "deny" && (stage === "capability" || stage === "tool") && by !== undefined &&
    !sameDocument(by, rule)
  );
  const because = decisions[0]?.rule;
  if (!elsewhere || because === undefined) return;
  const message =
    `nothing in this document is ever decided: ${at(because)} refuses every call and ` +
    `answer of \`${scope.id}\``;
  on.report(
    { kind: "unreachable_document", rule, because, message },
    call,
    ({ rule: by }) => by !== undefined && !sameDocument(by, rule),
  );
}

/** Neither denies nor limits nor asks: only the built-in redaction is left. */
function restrictsNothing(on: Workbench, document: PolicyDocument): void {
  const { network, schedule, budget, capabilities, filesystem, data, rate_limits } = document;
  if (network || schedule?.active_hours || filesystem || hasLimit(budget)) return;
  if ((capabilities?.allow.length ?? 0) + (capabilities?.deny.length ?? 0) > 0) return;
  if (data?.credential_action === "block" || (data?.locale_packs.length ?? 0) > 0) return;
  if ((rate_limits?.length ?? 0) > 0) return;
  for (const rule of document.tools.values()) {
    if (!rule.allow || rule.limit_per_hour || rule.requires_approval_if) return;
  }
  const rule = on.top(document);
  const message = "this document restricts nothing: it denies no request, limits none and asks " +
    "for no approval";
  on.report(
    { kind: "never_denies", rule, message },
    on.witness(document, anyAction(on, document)),
    ({ rule: by }) => by === undefined || !sameDocument(by, rule),
  );
}

/** A limit of money that a wider document's, at most as high, always reaches first. */
function lateBudgets(on: Workbench, document: PolicyDocument): void {
  const { budget } = document;
  if (budget === undefined) return;
  const action = anyAction(on, document);
  const base = on.witness(document, action);
  for (const limit of BUDGET_LIMITS) {
    const stated = budget[limit.key];
    if (stated === undefined) continue;
    // Limits of teams and organisations bind agents that belong to one.
    const principal = {
      ...base.principal,
      ...(limit.owner === "team" && { team_id: base.principal.team_id ?? "team-1" }),
      ...(limit.owner === "org" && { org_id: base.principal.org_id ?? "org-1" }),
    };
    const cascade = on.set.index.cascade(principal, action);
    const mine = cascade?.budgets.findIndex((by) => by.document === document) ?? -1;
    const wider = cascade?.budgets.slice(0, Math.max(0, mine)).find((by) => {
      const other = by.document.budget?.[limit.key];
      return other !== undefined && other.value <= stated.value;
    });
    const other = wider?.document.budget?.[limit.key];
    if (wider === undefined || other === undefined) continue;
    const path = `budget.${limit.yaml_key}`;
    const rule = ruleAt(document, stated, path);
    const because = ruleAt(wider.document, other, path);
    const message = `${at(rule)} is never reached: ${at(because)} is not higher and refuses first`;
    const witness = { ...base, principal, spent_micro_usd: stated.value };
    on.report(
      { kind: "shadowed", rule, because, message },
      witness,
      ({ stage, rule: by }) => stage === "budget" && by !== undefined && !sameRule(by, rule),
    );
  }
}

/** Declared limits of zero. */
function idleRates(on: Workbench, document: PolicyDocument): void {
  for (const [index, rate] of (document.rate_limits ?? []).entries()) {
    if (rate.limit.value !== 0) continue;
    const rule = ruleAt(document, rate.at, `rate_limits[${index}]`);
    const tool = rate.tool?.replace("*", "probe") ?? on.toolFor(document);
    const action: Action = rate.action === undefined || rate.action === "tool_call"
      ? { kind: "tool_call", tool, args: "{}" }
      : EXEC;
    const message = `${at(rule)} is 0: every action it selects is refused`;
    on.report(
      { kind: "always_denies", rule, message },
      on.witness(document, action),
      ({ stage, rule: by }) => stage === "rate_limit" && sameRule(by, rule),
    );
  }
}
