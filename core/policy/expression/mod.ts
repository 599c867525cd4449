/**
 * The expression language of `requires_approval_if`: `field operator literal`, joined with `AND`,
 * `OR`, `NOT` and parentheses (contract `policy-and-gateway` §2).
 *
 * @module
 */
import { LIMITS } from "../../limits.ts";
import type { PolicyProblem, Position } from "../position.ts";
import { positionAt } from "../source_text.ts";
import type { Condition } from "./condition.ts";
import { describeReading } from "./describe.ts";
import { evaluate, evaluateClause } from "./evaluate.ts";
import type { ExpressionProblem } from "./lexer.ts";
import { mismatches } from "./lint.ts";
import { parse } from "./parser.ts";
import { type Expression, print, signedClausesOf } from "./syntax.ts";
import { fires, not } from "./truth.ts";

export { EXPRESSION_FIELDS, EXPRESSION_PREFIXES } from "./fields.ts";
export type { ExpressionProblem } from "./lexer.ts";

/** A compiled condition, or everything that is wrong with its text. */
export type CompiledCondition =
  | {
    readonly ok: true;
    readonly condition: Condition;
    readonly warnings: readonly PolicyProblem[];
  }
  | { readonly ok: false; readonly problems: readonly ExpressionProblem[] };

/** Field of warnings about a condition that stands alone. */
const FIELD = "requires_approval_if";

/**
 * Parses and checks a condition. Never throws.
 *
 * @param at Where the text starts in its file.
 */
export function compileCondition(text: string, at: Position): CompiledCondition {
  const parsed = parse(text);
  if (!parsed.ok) return parsed;
  const { expression } = parsed;
  const warnings = mismatches(expression).map(({ offset, message }) => ({
    field: FIELD,
    message,
    ...shift(positionAt(text, offset), at),
  }));
  return { ok: true, condition: toCondition(expression, text, at), warnings };
}

/** The condition of a parsed expression. */
export function toCondition(expression: Expression, text: string, at: Position): Condition {
  const clauses = signedClausesOf(expression);
  return {
    text,
    canonical: print(expression),
    at: { line: at.line, column: at.column },
    live: clauses.some(({ clause }) => clause.field.live),
    fires: (input, evidence) => fires(evaluate(expression, input, evidence)),
    explain: (input) =>
      clauses.slice(0, LIMITS.explanation_steps).map(({ clause, negated }) => {
        const { truth, reading } = evaluateClause(clause, input);
        return {
          clause: text.slice(clause.offset, clause.end),
          holds: fires(truth),
          urges: fires(negated ? not(truth) : truth),
          negated,
          seen: describeReading(clause.field, reading),
        };
      }),
  };
}

function shift(within: Position, start: Position): Position {
  return within.line === 1
    ? { line: start.line, column: start.column + within.column - 1 }
    : { line: start.line + within.line - 1, column: within.column };
}
