/**
 * The one evaluation table: field kind × operator × literal × present value → truth
 * (contract `policy-and-gateway` §2.5). Pure; the decision, the explanation and the lint all use it.
 *
 * Where the reference answers "false" for a wrong type, so do we. Where it answers "true" because
 * a comparison cannot be made (a missing number, text ordered against a number), the answer here
 * is unknown: it fires just the same, and still fires under `NOT`.
 *
 * @module
 */
import type { FieldKind } from "./fields.ts";
import { parseNumber } from "./literal.ts";
import type { Reading } from "./reading.ts";
import type { Literal, Operator } from "./syntax.ts";
import { FALSE, TRUE, type Truth, truthOf, UNKNOWN } from "./truth.ts";

/** Compares a present value with a literal. */
export function compare(
  kind: FieldKind,
  operator: Operator,
  literal: Literal,
  reading: Reading,
): Truth {
  if (reading.type === "failed") return UNKNOWN;
  // The reference cannot evaluate a boolean at all; only two kinds have a meaning for it here.
  if (literal.type === "boolean" && kind !== "flag" && kind !== "json") return UNKNOWN;
  switch (kind) {
    case "plain":
      return comparePlain(operator, literal, reading);
    case "number":
      return compareContextNumber(operator, literal, reading);
    case "tier":
      return literal.type === "tier" ? compareRank(operator, literal.rank, reading) : FALSE;
    case "level":
      return literal.type === "level" ? compareRank(operator, literal.value, reading) : FALSE;
    case "flag":
      return compareFlag(operator, literal, reading);
    case "set":
      return compareSet(operator, literal, reading);
    case "context":
    case "message":
      return reading.type === "text" ? compareText(operator, literal, reading.value) : FALSE;
    case "body":
      return reading.type === "text" && (operator === "contains" || operator === "starts_with")
        ? compareText(operator, literal, reading.value)
        : FALSE;
    case "json":
      return reading.type === "json" ? compareJson(operator, literal, reading.value) : FALSE;
  }
}

/** Texts that may be absent, and JSON texts: a wrong literal is simply false. */
function compareText(operator: Operator, literal: Literal, value: string): Truth {
  if (literal.type === "list") {
    if (operator === "in") return truthOf(literal.values.includes(value));
    if (operator === "not_in") return truthOf(!literal.values.includes(value));
    return FALSE;
  }
  if (literal.type !== "text") return FALSE;
  switch (operator) {
    case "==":
      return truthOf(value === literal.value);
    case "!=":
      return truthOf(value !== literal.value);
    case "contains":
      return truthOf(value.includes(literal.value));
    case "starts_with":
      return truthOf(value.startsWith(literal.value));
    default:
      return FALSE;
  }
}

/** `tool`, `path` and their kind: always a text, and ordering one against a number fires. */
function comparePlain(operator: Operator, literal: Literal, reading: Reading): Truth {
  // An argument that is there but is no text: nobody can say whether it is what was meant.
  if (reading.type !== "text") return UNKNOWN;
  const { value } = reading;
  switch (operator) {
    case ">":
    case ">=":
    case "<":
    case "<=": {
      const number = parseNumber(value);
      if (literal.type !== "number" || number === undefined) return UNKNOWN;
      return compareNumbers(operator, number, literal.value);
    }
    case "==":
    case "!=": {
      if (literal.type === "text") return compareText(operator, literal, value);
      const number = literal.type === "number" ? parseNumber(value) : undefined;
      const equal = number !== undefined && literal.type === "number" &&
        equalNumbers(number, literal.value);
      return truthOf(operator === "==" ? equal : !equal);
    }
    case "not_in":
      return literal.type === "list" ? compareText(operator, literal, value) : UNKNOWN;
    default:
      return compareText(operator, literal, value);
  }
}

/** Context numbers: absence comes first, because it fires whatever the literal is. */
function compareContextNumber(operator: Operator, literal: Literal, reading: Reading): Truth {
  if (reading.type !== "number") return UNKNOWN;
  const wanted = numberOf(literal);
  return wanted === undefined ? FALSE : compareNumbers(operator, reading.value, wanted);
}

function compareRank(operator: Operator, wanted: number, reading: Reading): Truth {
  return reading.type === "number" ? compareNumbers(operator, reading.value, wanted) : FALSE;
}

function compareFlag(operator: Operator, literal: Literal, reading: Reading): Truth {
  if (operator !== "==" && operator !== "!=") {
    return literal.type === "boolean" ? UNKNOWN : FALSE;
  }
  const wanted = literal.type === "boolean" ? Number(literal.value) : numberOf(literal);
  if (wanted === undefined || reading.type !== "number") return FALSE;
  return compareNumbers(operator, reading.value, wanted);
}

function compareSet(operator: Operator, literal: Literal, reading: Reading): Truth {
  if (reading.type !== "set" || literal.type !== "text") return FALSE;
  const { values } = reading;
  if (operator === "!=") return truthOf(values.every((value) => value !== literal.value));
  if (operator === "in" || operator === "not_in") return FALSE;
  return truthOf(values.some((value) => compareText(operator, literal, value) === TRUE));
}

function compareJson(operator: Operator, literal: Literal, value: unknown): Truth {
  if (literal.type === "boolean") {
    if (typeof value !== "boolean") return UNKNOWN;
    if (operator === "==") return truthOf(value === literal.value);
    return operator === "!=" ? truthOf(value !== literal.value) : UNKNOWN;
  }
  if (typeof value === "string") return compareText(operator, literal, value);
  if (typeof value === "number" && literal.type === "number") {
    return compareNumbers(operator, value, literal.value);
  }
  return FALSE;
}

/** The number a context number or flag is compared with: numeric texts and durations count. */
function numberOf(literal: Literal): number | undefined {
  switch (literal.type) {
    case "number":
      return literal.value;
    case "duration":
      return literal.secs;
    case "text":
      return parseNumber(literal.value);
    default:
      return undefined;
  }
}

function compareNumbers(operator: Operator, left: number, right: number): Truth {
  switch (operator) {
    case "==":
      return truthOf(equalNumbers(left, right));
    case "!=":
      return truthOf(!equalNumbers(left, right));
    case ">":
      return truthOf(left > right);
    case ">=":
      return truthOf(left >= right);
    case "<":
      return truthOf(left < right);
    case "<=":
      return truthOf(left <= right);
    default:
      return FALSE;
  }
}

/** Equal within the machine epsilon of a 64-bit float; equal infinities are equal. */
function equalNumbers(left: number, right: number): boolean {
  return left === right || Math.abs(left - right) < Number.EPSILON;
}
