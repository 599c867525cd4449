/**
 * What is answered, and why: the decision of the engine and its explanation.
 *
 * @module
 */
import type { Finding } from "./scanner/finding.ts";
import type { LookupEvidence } from "./policy/expression/condition.ts";

/** The engine's three outcomes. Redaction is an allow with {@linkcode Decision.redacted} set. */
export type Outcome = "allow" | "deny" | "require_approval";

/** The stages of a decision, in the one order that every path follows (contract §4.2, §13.1 #24). */
export const STAGES = [
  "configuration",
  "status",
  "schedule",
  "network",
  "capability",
  "filesystem",
  "tool",
  "rate_limit",
  "approval",
  "scan",
  "budget",
] as const;

/** One stage name. */
export type Stage = (typeof STAGES)[number];

/** Stages an explanation may name: those of policy, and what a gateway adds. */
export const EXPLAINED_STAGES = [...STAGES, "anomaly"] as const;

/** One stage name of an explanation. */
export type ExplainedStage = (typeof EXPLAINED_STAGES)[number];

/** A rule of a policy file, by place. `path` is dotted, e.g. `tools.search.allow`. */
export interface RuleRef {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly path: string;
  /** Digest of the document. */
  readonly policy_doc_id: string;
}

/** A rate-limit token to take once the decision stands. Denied calls take none (§13.1 #20). */
export interface RateCharge {
  /** Whose bucket, e.g. `team:t1`. */
  readonly scope: string;
  /** Which of its buckets: a tool's name, or what a rule of `rate_limits` is known by. */
  readonly bucket: string;
  /** Tokens a window; the bucket holds as many. */
  readonly limit: number;
  readonly window_ms: number;
}

/** The engine's answer to one question. */
export interface Decision {
  readonly outcome: Outcome;
  /** Exact contract text for a denial, e.g. `tool denied by policy`; empty for an allow. */
  readonly reason: string;
  /** The stage that decided; absent for a plain allow. */
  readonly stage?: Stage;
  /** The rule that decided; absent for a plain allow and for denials without a rule. */
  readonly rule?: RuleRef;
  /** Set when the outcome is `require_approval`. */
  readonly approval_timeout_secs?: number;
  /** The action's text with every finding replaced; present only when it differs. */
  readonly redacted?: string;
  readonly findings: readonly Finding[];
  /** A final allow under an allow list that was in force for this action. */
  readonly narrowed: boolean;
  readonly deny_action: "none" | "suspend_agent";
  /** Document that denied; else last that asked approval; else last evaluated. */
  readonly policy_doc_id?: string;
  /**
   * Tokens to take when the decision is not a denial, all of them or none; no two name the same
   * bucket. Absent when there is none to take.
   */
  readonly charges?: readonly RateCharge[];
  /** Context look-ups that failed on the way. */
  readonly evidence: readonly LookupEvidence[];
}

/** One step that was looked at on the way to a verdict. */
export interface Considered {
  readonly stage: ExplainedStage;
  readonly result: "pass" | "deny" | "require_approval" | "redact" | "not_applicable";
  readonly detail: string;
  readonly rule?: RuleRef;
}

/** The smallest edit or act that would turn the verdict into an allow. */
export interface Change {
  /** Imperative sentence, e.g. "set `tools.bash.allow` to `true`". */
  readonly text: string;
  /** Where to change it; absent when nothing in a policy would help. */
  readonly rule?: RuleRef;
  /** Replacement YAML when the change is an edit. */
  readonly yaml?: string;
  /** Role that may make it, after contract §11.1: `org_admin`, `team_admin`, `developer`, `operator`, `agent`. */
  readonly who: string;
}

/** Why a verdict is what it is. */
export interface Explanation {
  readonly outcome: Outcome | "redact";
  readonly reason: string;
  readonly rule?: RuleRef;
  /** One sentence a person can act on. */
  readonly summary: string;
  readonly considered: readonly Considered[];
  /** Empty for an allow. When several edits are needed together all are listed, in order. */
  readonly changes: readonly Change[];
}
