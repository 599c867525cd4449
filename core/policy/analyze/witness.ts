/**
 * Requests that rules are tried with: for each document the plainest agent it governs, at a moment
 * when every document is open, with nothing spent and every rate window full.
 *
 * An agent governed by more documents is governed by more restrictions: what is denied for the
 * plainest one is denied for all.
 *
 * @module
 */
import type { Action } from "../../action.ts";
import { LIMITS } from "../../limits.ts";
import type { AgentContext, Principal } from "../../principal.ts";
import { questionOf } from "../question.ts";
import type { Decision, RuleRef } from "../../verdict.ts";
import { compilePolicySet, type PolicySet } from "../compile.ts";
import { decide, type Facts } from "../decide.ts";
import type { PolicyDocument } from "../document.ts";
import { scheduleState } from "../schedule.ts";
import { ruleAt } from "../stage.ts";
import type { Counterexample, Finding, Undecided } from "./finding.ts";

/** A request to try. */
export interface Witness {
  readonly principal: Principal;
  readonly action: Action;
  readonly now_ms: number;
  /** Tokens left in every rate window; full when absent. */
  readonly rate_tokens?: number;
  /** Spent in every window of every account. */
  readonly spent_micro_usd?: number;
}

/** Findings listed of one policy; further ones are counted. */
export const FINDINGS_MAX = 1_000;

/** A Wednesday, noon UTC: a result never depends on the day it is computed. */
const NOON_MS = Date.UTC(2026, 0, 7, 12);
const MINUTE_MS = 60_000;
const DAY_MINUTES = 1_440;

/** What an agent of the plainest kind is known by. Everything a condition may read is there. */
export const PLAIN_CONTEXT: AgentContext = {
  governance_level: 1,
  risk_tier: "low",
  parent_risk_tier: "low",
  child_risk_tier: "low",
  depth: 0,
  age_s: 3_600,
  children_count: 0,
  child_tools: [],
  team_active_agents: 1,
  team_budget_remaining_micro_usd: 1_000_000,
};

/** The policy under analysis and everything said of it so far. */
export class Workbench {
  readonly set: PolicySet;
  readonly documents: readonly PolicyDocument[];
  readonly findings: Finding[] = [];
  readonly undecided: Undecided[] = [];
  omitted = 0;

  constructor(
    documents: readonly PolicyDocument[],
    readonly mode: PolicySet["mode"],
  ) {
    this.documents = documents;
    this.set = compilePolicySet(documents, { mode });
  }

  /** The plainest agent that a document governs. */
  principalFor(document: PolicyDocument): Principal {
    const base: Principal = {
      assurance: "bound",
      agent_id: "agent-1",
      engine_key: "0".repeat(31) + "1",
      status: "active",
      context: PLAIN_CONTEXT,
    };
    if (this.mode === "single_file") return base;
    const { scope } = document;
    switch (scope.tier) {
      case "org":
        return { ...base, org_id: scope.id };
      case "team":
        return { ...base, team_id: scope.id, context: { ...PLAIN_CONTEXT, team_id: scope.id } };
      case "agent":
        return { ...base, agent_id: scope.id, engine_key: scope.id.replaceAll("-", "") };
      case "global":
      case "tool":
        return base;
    }
  }

  /** A tool name that a document speaks of, else one that no document does. */
  toolFor(document: PolicyDocument): string {
    const { scope } = document;
    return this.mode === "directory" && scope.tier === "tool" ? scope.id : this.unlisted();
  }

  /** A tool that no document names. */
  unlisted(): string {
    let name = "unlisted_tool";
    while (
      this.set.index.listsTool(name) ||
      this.documents.some(({ scope }) => scope.tier === "tool" && scope.id === name)
    ) name += "_";
    return name;
  }

  /** The request of an action under a document, at a moment when all that govern it are open. */
  witness(document: PolicyDocument, action: Action, principal?: Principal): Witness {
    const who = principal ?? this.principalFor(document);
    return { principal: who, action, now_ms: this.openMoment(who, action) ?? NOON_MS };
  }

  /** A moment of one day at which every governing document is open; `undefined` when there is none. */
  openMoment(principal: Principal, action: Action): number | undefined {
    const cascade = this.set.index.cascade(principal, action);
    const windows = (cascade?.schedules ?? []).flatMap((by) =>
      by.document.schedule?.active_hours ?? []
    );
    if (windows.length === 0) return NOON_MS;
    for (let minute = 0; minute < DAY_MINUTES; minute++) {
      const at_ms = NOON_MS + minute * MINUTE_MS;
      if (windows.every((hours) => scheduleState(hours, at_ms) === "open")) return at_ms;
    }
    return undefined;
  }

  /** Asks the decision function. */
  decide(witness: Witness, set: PolicySet = this.set): Decision {
    const spent = witness.spent_micro_usd ?? 0;
    const facts: Facts = {
      now_ms: witness.now_ms,
      principal: witness.principal,
      rateTokens: (charge) => witness.rate_tokens ?? charge.limit,
      spend: {
        state: "known",
        agent_daily_micro_usd: spent,
        agent_monthly_micro_usd: spent,
        team_daily_micro_usd: spent,
        team_monthly_micro_usd: spent,
        org_daily_micro_usd: spent,
        org_monthly_micro_usd: spent,
        global_daily_micro_usd: spent,
        global_monthly_micro_usd: spent,
      },
    };
    return decide(set, witness.action, facts);
  }

  /** The same policy with one document changed. */
  edited(
    document: PolicyDocument,
    change: (document: PolicyDocument) => PolicyDocument,
  ): PolicySet {
    const documents = this.documents.map((one) => one === document ? change(one) : one);
    return compilePolicySet(documents, { mode: this.mode });
  }

  /**
   * Reports a finding if the request shows it; what the request does not show is undecided instead.
   *
   * @param shows Judges the decision of the request.
   */
  report(
    claim: Omit<Finding, "counterexample">,
    witness: Witness,
    shows: (decision: Decision) => boolean,
  ): void {
    const decision = this.decide(witness);
    if (!shows(decision)) {
      this.leaveOpen(claim.rule, `${claim.message}: no request was found that shows it`);
    } else if (this.findings.length >= FINDINGS_MAX) this.omitted += 1;
    else this.findings.push({ ...claim, counterexample: counterexampleOf(witness, decision) });
  }

  /** Says that something could not be settled. */
  leaveOpen(rule: RuleRef, message: string): void {
    if (this.undecided.length >= FINDINGS_MAX) this.omitted += 1;
    else this.undecided.push({ rule, message });
  }

  /** Cites the beginning of a document. */
  top(document: PolicyDocument): RuleRef {
    return ruleAt(document, document.scope_at ?? { line: 1, column: 1 }, "scope");
  }
}

function counterexampleOf(witness: Witness, decision: Decision): Counterexample {
  const { rate_tokens, spent_micro_usd } = witness;
  const assumes = rate_tokens !== undefined || spent_micro_usd !== undefined;
  const redacted = decision.outcome === "allow" && decision.redacted !== undefined;
  return {
    question: questionOf(witness.principal, witness.action, witness.now_ms),
    ...(assumes && {
      assume: {
        ...(rate_tokens !== undefined && { rate_tokens }),
        ...(spent_micro_usd !== undefined && { spent_micro_usd }),
      },
    }),
    outcome: redacted ? "redact" : decision.outcome,
    reason: decision.reason,
    ...(decision.stage && { stage: decision.stage }),
    ...(decision.rule && { rule: decision.rule }),
  };
}

/** Whether two citations name the same place. */
export function sameRule(a: RuleRef | undefined, b: RuleRef): boolean {
  return a !== undefined && a.file === b.file && a.path === b.path && a.line === b.line &&
    a.column === b.column;
}

/** Whether a rule stands in the document of another. */
export function sameDocument(a: RuleRef, b: RuleRef): boolean {
  return a.file === b.file && a.policy_doc_id === b.policy_doc_id;
}

/** `file:line` of a rule, for messages. */
export function at(rule: RuleRef): string {
  return `\`${rule.path.slice(0, LIMITS.identifier_bytes)}\` at ${rule.file}:${rule.line}`;
}
