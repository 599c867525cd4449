/**
 * What the analysis of a policy says: findings, each with a request that shows it, and what could
 * not be decided.
 *
 * @module
 */
import type { Question } from "../question.ts";
import type { Outcome, RuleRef, Stage } from "../../verdict.ts";

/**
 * What is wrong with a rule.
 *
 * | Kind | The rule |
 * |---|---|
 * | `dead` | can never decide anything |
 * | `shadowed` | never decides, because another rule always decides first or says as much |
 * | `contradictory` | is undone by another rule of the same document |
 * | `always_denies` | refuses every request it governs |
 * | `never_denies` | belongs to a document that restricts nothing |
 * | `never_fires`, `always_fires` | is a condition that asks for no approval, or for every one |
 * | `unreachable_document` | stands in a document whose requests are all refused elsewhere |
 * | `unsatisfiable` | permits what a rule of another section forbids entirely |
 */
export type FindingKind =
  | "dead"
  | "shadowed"
  | "contradictory"
  | "always_denies"
  | "never_denies"
  | "never_fires"
  | "always_fires"
  | "unreachable_document"
  | "unsatisfiable";

/** A request that shows a finding: what was asked, and what the decision function answered. */
export interface Counterexample {
  readonly question: Question;
  /** What the request assumes beside itself: tokens that are left, money that was spent. */
  readonly assume?: { readonly rate_tokens?: number; readonly spent_micro_usd?: number };
  readonly outcome: Outcome | "redact";
  readonly reason: string;
  readonly stage?: Stage;
  readonly rule?: RuleRef;
}

/** One finding. Its counterexample was decided, not imagined. */
export interface Finding {
  readonly kind: FindingKind;
  readonly rule: RuleRef;
  /** The rule that makes it so; absent when nothing else is involved. */
  readonly because?: RuleRef;
  /** One sentence. */
  readonly message: string;
  readonly counterexample: Counterexample;
}

/** Something the analysis looked at and could not settle. */
export interface Undecided {
  readonly rule: RuleRef;
  readonly message: string;
}

/** All of it, in the order of files and lines. */
export interface Analysis {
  readonly findings: readonly Finding[];
  readonly undecided: readonly Undecided[];
  /** Findings and undecided rules beyond the bounds. */
  readonly omitted: number;
}
