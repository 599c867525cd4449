/**
 * The compiled form of `requires_approval_if`, as the decision function sees it.
 *
 * @module
 */
import type { Action } from "../../action.ts";
import type { AgentContext } from "../../principal.ts";
import type { Position } from "../position.ts";

/** What a condition is evaluated against. One object per decision; it parses JSON at most once. */
export interface ConditionInput {
  readonly action: Action;
  readonly agent: AgentContext | undefined;
}

/** A failed look-up met while evaluating: recorded as evidence (contract §2.5). */
export interface LookupEvidence {
  readonly variable: string;
  readonly action: "require_approval";
  readonly cause: string;
}

/** A condition that was parsed and checked at load. */
export interface Condition {
  /** Text as written. */
  readonly text: string;
  /** The same condition in its one printed form, which is what the document digest covers. */
  readonly canonical?: string;
  /** Where the text starts in the policy file. */
  readonly at: Position;
  /** True when the condition reads registry or budget state, so its answer must not be cached. */
  readonly live: boolean;
  /**
   * Whether approval is required. Never throws: what cannot be evaluated fires.
   *
   * @param evidence Receives failed look-ups, when given.
   */
  fires(input: ConditionInput, evidence?: LookupEvidence[]): boolean;
  /** For an explanation: every clause as it stands now; see {@linkcode ExplainedClause}. */
  explain(input: ConditionInput): readonly ExplainedClause[];
}

/** One clause of a condition, as it stands for one action. */
export interface ExplainedClause {
  /** As written, without a `NOT` before it. */
  readonly clause: string;
  /** Whether the clause itself is true, or cannot be told. */
  readonly holds: boolean;
  /** Whether an odd number of `NOT` stands over it. */
  readonly negated: boolean;
  /** Whether it pushes the condition towards firing, its `NOT` taken into account. */
  readonly urges: boolean;
  /** The field's present value in words; what may carry a secret is told by type, never quoted. */
  readonly seen: string;
}
