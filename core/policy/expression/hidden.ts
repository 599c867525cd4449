/**
 * A condition on arguments of which redaction has hidden parts: it fires, it rests, or that depends
 * on what was hidden. Nothing is guessed; what was left legible still decides where it can.
 *
 * @module
 */
import { compare } from "./compare.ts";
import type { ConditionInput } from "./condition.ts";
import { evaluateClause } from "./evaluate.ts";
import type { Field } from "./fields.ts";
import { ANY_TRUTH, ONLY_FALSE, ONLY_TRUE, type Outcomes, outcomes } from "./outcomes.ts";
import { readField } from "./reading.ts";
import type { Clause, Expression, Literal } from "./syntax.ts";

/** Where a way into a JSON document leads: its segments. Empty stands for the whole document. */
export type Pointer = readonly string[];

/** Whether a condition fires, whatever was hidden. */
export type FiringDespite = "fires" | "rests" | "depends";

/** What stands where a text was cut; anything may have stood there. */
const GAP = /\[REDACTED(?::\w+)?\]/;

/**
 * @param hidden Pointers into the arguments where something was cut. A pointer to a text that is
 * still a text was cut in part: labels stand in the gaps, and what is around them is as it was.
 */
export function firesDespite(
  expression: Expression,
  input: ConditionInput,
  hidden: readonly Pointer[],
): FiringDespite {
  const possible = outcomes(expression, (clause) => possibleTruths(clause, input, hidden));
  if ((possible & ONLY_FALSE) === 0) return "fires";
  return possible === ONLY_FALSE ? "rests" : "depends";
}

function possibleTruths(
  clause: Clause,
  input: ConditionInput,
  hidden: readonly Pointer[],
): Outcomes {
  const pointer = pointerOf(clause.field, input);
  const touching = pointer === undefined
    ? []
    : hidden.filter((cut) => isPrefix(cut, pointer) || isPrefix(pointer, cut));
  if (pointer === undefined || touching.length === 0) {
    return 1 << evaluateClause(clause, input).truth;
  }
  const partly = touching.length === 1 && touching[0]?.length === pointer.length;
  const text = partly ? textAt(clause.field, input) : undefined;
  return text === undefined ? ANY_TRUTH : despiteGaps(clause, text.split(GAP), input);
}

/** The way a field goes into the arguments of a tool call; `undefined` when it goes elsewhere. */
function pointerOf(field: Field, { action }: ConditionInput): Pointer | undefined {
  if (field.kind === "json") return field.pointer ?? [];
  if (field.kind === "body") return [];
  return field.kind === "plain" && field.name !== "tool" && action.kind === "tool_call"
    ? [field.name]
    : undefined;
}

function isPrefix(short: Pointer, long: Pointer): boolean {
  return short.length <= long.length && short.every((segment, at) => segment === long[at]);
}

function textAt(field: Field, input: ConditionInput): string | undefined {
  const reading = readField(field, input);
  if (reading.type === "text") return reading.value;
  return reading.type === "json" && typeof reading.value === "string" ? reading.value : undefined;
}

/** @param kept What is left of a text, in order; between any two pieces anything may have stood. */
function despiteGaps(clause: Clause, kept: readonly string[], input: ConditionInput): Outcomes {
  const { field, operator, literal } = clause;
  // Without a label the whole text is in doubt.
  if (kept.length < 2) return ANY_TRUTH;
  switch (operator) {
    case "==":
      return literal.type === "text" ? equality(kept, literal.value) : unlike(clause, input);
    case "!=":
      return literal.type === "text"
        ? negated(equality(kept, literal.value))
        : unlike(clause, input);
    case "contains":
      if (literal.type !== "text") return unlike(clause, input);
      return kept.some((piece) => piece.includes(literal.value)) ? ONLY_TRUE : ANY_TRUTH;
    case "starts_with":
      return literal.type === "text" ? start(kept, literal.value) : unlike(clause, input);
    case "in":
      return literal.type === "list" ? membership(kept, literal) : unlike(clause, input);
    case "not_in":
      return literal.type === "list" ? negated(membership(kept, literal)) : unlike(clause, input);
    default:
      return field.kind === "json" ? unlike(clause, input) : ANY_TRUTH;
  }
}

/** A literal of another type: a JSON text compares with it alike, whatever it says. */
function unlike(clause: Clause, input: ConditionInput): Outcomes {
  const { field, operator, literal } = clause;
  if (field.kind !== "json") return ANY_TRUTH;
  return 1 << compare(field.kind, operator, literal, readField(field, input));
}

function equality(kept: readonly string[], value: string): Outcomes {
  return couldBe(kept, value) ? ONLY_FALSE | ONLY_TRUE : ONLY_FALSE;
}

function membership(kept: readonly string[], list: Literal & { type: "list" }): Outcomes {
  return list.values.some((value) => couldBe(kept, value)) ? ONLY_FALSE | ONLY_TRUE : ONLY_FALSE;
}

/** These two never say "unknown" of a text. */
function negated(of: Outcomes): Outcomes {
  return (of & ONLY_FALSE ? ONLY_TRUE : 0) | (of & ONLY_TRUE ? ONLY_FALSE : 0);
}

function start(kept: readonly string[], prefix: string): Outcomes {
  const first = kept[0] ?? "";
  if (first.startsWith(prefix)) return ONLY_TRUE;
  return prefix.startsWith(first) ? ONLY_FALSE | ONLY_TRUE : ONLY_FALSE;
}

/** Whether a text in whose gaps labels stand may have been `value`. */
export function couldHaveBeen(redacted: string, value: string): boolean {
  return couldBe(redacted.split(GAP), value);
}

/** Whether the pieces, with anything in the gaps, may have been `value`. */
function couldBe(kept: readonly string[], value: string): boolean {
  const first = kept[0] ?? "";
  const last = kept.at(-1) ?? "";
  if (!value.startsWith(first)) return false;
  let at = first.length;
  for (const piece of kept.slice(1, -1)) {
    const found = value.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return value.length - last.length >= at && value.endsWith(last);
}
