/**
 * The truths an expression may take when its clauses may each take several: for the lint, which
 * knows no values yet, and for a replay, from which redaction has hidden some.
 *
 * Clauses are taken as independent of each other, so a truth that is not listed cannot occur; one
 * that is listed may still be ruled out by a bond between two clauses.
 *
 * @module
 */
import type { Clause, Expression } from "./syntax.ts";
import { FALSE, not, TRUE, type Truth, UNKNOWN } from "./truth.ts";

/** The truths something can take: one bit for each. */
export type Outcomes = number;

/** Only a decided "no". */
export const ONLY_FALSE: Outcomes = 1 << FALSE;
/** Only what cannot be told. */
export const ONLY_UNKNOWN: Outcomes = 1 << UNKNOWN;
/** Only a decided "yes". */
export const ONLY_TRUE: Outcomes = 1 << TRUE;
/** Nothing is ruled out. */
export const ANY_TRUTH: Outcomes = ONLY_FALSE | ONLY_UNKNOWN | ONLY_TRUE;

/** Possible truths of an expression, its clauses taken as independent. */
export function outcomes(expression: Expression, of: (clause: Clause) => Outcomes): Outcomes {
  switch (expression.type) {
    case "clause":
      return of(expression);
    case "not": {
      const operand = outcomes(expression.operand, of);
      return truthsIn(operand).reduce<Outcomes>((found, truth) => found | 1 << not(truth), 0);
    }
    case "and":
    case "or": {
      const pick = expression.type === "and" ? Math.min : Math.max;
      return expression.operands.map((operand) => outcomes(operand, of)).reduce((left, right) =>
        truthsIn(left).reduce<Outcomes>(
          (found, a) => truthsIn(right).reduce((all, b) => all | 1 << pick(a, b), found),
          0,
        )
      );
    }
  }
}

const TRUTHS: readonly Truth[] = [FALSE, UNKNOWN, TRUE];

function truthsIn(outcomes: Outcomes): readonly Truth[] {
  return TRUTHS.filter((truth) => (outcomes & 1 << truth) !== 0);
}
