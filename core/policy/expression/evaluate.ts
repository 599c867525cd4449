/**
 * Evaluates an expression against one decision's input.
 *
 * @module
 */
import type { ConditionInput, LookupEvidence } from "./condition.ts";
import { compare } from "./compare.ts";
import { readField, type Reading } from "./reading.ts";
import type { Clause, Expression } from "./syntax.ts";
import { FALSE, not, TRUE, type Truth } from "./truth.ts";

/** The truth of an expression. Both connectives stop at the first operand that decides them. */
export function evaluate(
  expression: Expression,
  input: ConditionInput,
  evidence?: LookupEvidence[],
): Truth {
  switch (expression.type) {
    case "clause":
      return evaluateClause(expression, input, evidence).truth;
    case "not":
      return not(evaluate(expression.operand, input, evidence));
    case "and": {
      let all: Truth = TRUE;
      for (const operand of expression.operands) {
        const truth = evaluate(operand, input, evidence);
        if (truth === FALSE) return FALSE;
        if (truth < all) all = truth;
      }
      return all;
    }
    case "or": {
      let any: Truth = FALSE;
      for (const operand of expression.operands) {
        const truth = evaluate(operand, input, evidence);
        if (truth === TRUE) return TRUE;
        if (truth > any) any = truth;
      }
      return any;
    }
  }
}

/** The truth of one clause, and what its field said. */
export function evaluateClause(
  clause: Clause,
  input: ConditionInput,
  evidence?: LookupEvidence[],
): { readonly truth: Truth; readonly reading: Reading } {
  const reading = readField(clause.field, input);
  if (reading.type === "failed") {
    evidence?.push({
      variable: clause.field.name,
      action: "require_approval",
      cause: reading.cause,
    });
  }
  return { truth: compare(clause.field.kind, clause.operator, clause.literal, reading), reading };
}
