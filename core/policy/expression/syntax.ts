/**
 * The syntax tree of an expression, and its one printed form.
 *
 * @module
 */
import type { GovernanceLevel } from "../../principal.ts";
import type { Field } from "./fields.ts";

/** Comparison operators. */
export const OPERATORS = [
  "==",
  "!=",
  ">",
  ">=",
  "<",
  "<=",
  "contains",
  "starts_with",
  "in",
  "not_in",
] as const;

/** One comparison operator. */
export type Operator = (typeof OPERATORS)[number];

/** The right side of a clause. `text` of a number or duration is what was written. */
export type Literal =
  | { readonly type: "text"; readonly value: string }
  | { readonly type: "number"; readonly value: number; readonly text: string }
  | { readonly type: "duration"; readonly secs: number; readonly text: string }
  | { readonly type: "list"; readonly values: readonly string[] }
  | { readonly type: "level"; readonly value: GovernanceLevel }
  /** Rank in `RISK_TIERS`. */
  | { readonly type: "tier"; readonly rank: number }
  | { readonly type: "boolean"; readonly value: boolean };

/** A stretch of the expression text; `end` is exclusive. */
export interface Span {
  readonly offset: number;
  readonly end: number;
}

/** One comparison. */
export interface Clause extends Span {
  readonly type: "clause";
  readonly field: Field;
  readonly operator: Operator;
  readonly literal: Literal;
}

/** An expression. `and` and `or` have at least two operands, none of their own type. */
export type Expression =
  | Clause
  | { readonly type: "not"; readonly operand: Expression }
  | { readonly type: "and" | "or"; readonly operands: readonly Expression[] };

/** Tier words in rank order. */
export const TIER_WORDS = ["Low", "Medium", "High", "Critical"] as const;

/** Joins operands, keeping the tree flat: both connectives are associative. */
export function join(type: "and" | "or", operands: readonly Expression[]): Expression {
  const flat = operands.flatMap((operand) => operand.type === type ? operand.operands : [operand]);
  const [only] = flat;
  return flat.length === 1 && only !== undefined ? only : { type, operands: flat };
}

/** The clauses from left to right. */
export function clausesOf(expression: Expression): Clause[] {
  return signedClausesOf(expression).map(({ clause }) => clause);
}

/** A clause, and whether an odd number of `NOT` stands over it. */
export interface SignedClause {
  readonly clause: Clause;
  readonly negated: boolean;
}

/** The clauses from left to right, with their sign. */
export function signedClausesOf(expression: Expression, negated = false): SignedClause[] {
  switch (expression.type) {
    case "clause":
      return [{ clause: expression, negated }];
    case "not":
      return signedClausesOf(expression.operand, !negated);
    case "and":
    case "or":
      return expression.operands.flatMap((operand) => signedClausesOf(operand, negated));
  }
}

/**
 * The one printed form: single spaces, commas in lists, no needless parentheses. Parsing it again
 * gives the same tree.
 */
export function print(expression: Expression): string {
  switch (expression.type) {
    case "clause":
      return `${expression.field.name} ${expression.operator} ${printLiteral(expression.literal)}`;
    case "not":
      return `NOT ${printOperand(expression.operand, ["and", "or"])}`;
    case "and":
      return expression.operands.map((operand) => printOperand(operand, ["or"])).join(" AND ");
    case "or":
      return expression.operands.map(print).join(" OR ");
  }
}

function printOperand(operand: Expression, looser: readonly Expression["type"][]): string {
  return looser.includes(operand.type) ? `(${print(operand)})` : print(operand);
}

/** A literal as the grammar writes it. */
export function printLiteral(literal: Literal): string {
  switch (literal.type) {
    case "text":
      return quote(literal.value);
    case "number":
    case "duration":
      return literal.text;
    case "list":
      return `[${literal.values.map(quote).join(", ")}]`;
    case "level":
      return `L${literal.value}`;
    case "tier":
      return TIER_WORDS[literal.rank] ?? "Low";
    case "boolean":
      return String(literal.value);
  }
}

function quote(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}
