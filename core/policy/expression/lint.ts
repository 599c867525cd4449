/**
 * Conditions that load and still cannot mean what they say: comparisons of two types that never
 * meet, conditions that can never fire and conditions that always do (contract
 * `policy-and-gateway` §13.1 #9).
 *
 * Clauses are taken as independent of each other, so "never" and "always" are certain when said;
 * a contradiction between two clauses is not seen here.
 *
 * @module
 */
import { compare } from "./compare.ts";
import type { Field, FieldKind } from "./fields.ts";
import type { ExpressionProblem } from "./lexer.ts";
import type { Reading } from "./reading.ts";
import { ONLY_FALSE, ONLY_TRUE, ONLY_UNKNOWN, type Outcomes, outcomes } from "./outcomes.ts";
import { PROBLEMS_MAX } from "./parser.ts";
import { samplesOf, type Situation } from "./samples.ts";
import { type Clause, clausesOf, type Expression } from "./syntax.ts";

/** The truths a clause can take; `both` also counts a context that is missing or failed. */
interface Range {
  readonly present: Outcomes;
  readonly both: Outcomes;
}

const ANY: Situation = { action: "any" };

/** Clauses whose operator or literal does not fit their field, whatever the action. */
export function mismatches(expression: Expression): ExpressionProblem[] {
  return clausesOf(expression).flatMap((clause) => {
    const message = explainMismatch(clause);
    return message === undefined ? [] : [warningAt(clause, message)];
  }).slice(0, PROBLEMS_MAX);
}

/**
 * Everything worth a warning about the condition of one entry of `tools`.
 *
 * @param name The entry: a tool name, `*`, or `message`, which governs messages too.
 * @param exact Names with an entry of their own, which `*` never sees.
 */
export function lintEntry(
  expression: Expression,
  name: string,
  exact: ReadonlySet<string>,
): ExpressionProblem[] {
  const clauses = clausesOf(expression);
  const ranges = situationsOf(name, exact).map((situation) =>
    new Map(clauses.map((clause) => [clause, rangeOf(clause, situation)]))
  );
  const warnings = clauses.flatMap((clause) => {
    const is_dead = ranges.every((range) => range.get(clause)?.present === ONLY_FALSE);
    const message = explainMismatch(clause) ??
      (is_dead ? explainDead(clause.field, name) : undefined);
    return message === undefined ? [] : [warningAt(clause, message)];
  }).slice(0, PROBLEMS_MAX);
  const whole = wholeVerdict(expression, name, ranges);
  if (whole === undefined) return warnings;
  const [first, ...rest] = warnings;
  return first === undefined
    ? [{ offset: 0, length: 0, message: `this condition ${whole}` }]
    : [{ ...first, message: `${first.message}; so the condition ${whole}` }, ...rest];
}

/** What the entry governs. */
function situationsOf(name: string, exact: ReadonlySet<string>): Situation[] {
  if (name === "*") return [{ action: "tool_call", except: exact }];
  const calls: Situation = { action: "tool_call", tool: name };
  return name === "message" ? [calls, { action: "send_message" }] : [calls];
}

function wholeVerdict(
  expression: Expression,
  name: string,
  ranges: readonly ReadonlyMap<Clause, Range>[],
): string | undefined {
  const over = (part: keyof Range): Outcomes =>
    ranges.reduce(
      (found, range) => found | outcomes(expression, (clause) => range.get(clause)?.[part] ?? 0),
      0,
    );
  const present = over("present");
  const both = over("both");
  const subject = name === "*" ? "any tool without its own entry" : `\`${name.slice(0, 80)}\``;
  if (present === ONLY_FALSE) {
    const proviso = both === ONLY_FALSE ? "" : " while the agent's context is known";
    return `can never fire for ${subject}${proviso}: no approval will be asked for`;
  }
  return (both & ONLY_FALSE) === 0
    ? `always fires: every call of ${subject} will need approval`
    : undefined;
}

function rangeOf(clause: Clause, situation: Situation): Range {
  const { field, operator, literal } = clause;
  const over = (readings: readonly Reading[]): Outcomes =>
    readings.reduce(
      (found, reading) => found | 1 << compare(field.kind, operator, literal, reading),
      0,
    );
  const samples = samplesOf(clause, situation);
  const present = over(samples.present);
  return { present, both: present | over(samples.absent) };
}

function explainMismatch(clause: Clause): string | undefined {
  const { field, operator, literal } = clause;
  const what = `\`${field.name.slice(0, 80)}\` is ${KIND_WORDS[field.kind]}`;
  switch (rangeOf(clause, ANY).present) {
    case ONLY_UNKNOWN:
      return `${what}: this comparison cannot be made, so it always fires`;
    case ONLY_FALSE:
      return `${what}: this comparison can never hold`;
    case ONLY_TRUE:
      return `${what}: this comparison always holds`;
  }
  const orders = operator.startsWith(">") || operator.startsWith("<");
  return field.kind === "plain" && orders && literal.type === "number"
    ? `${what}: ordered against a number it fires for every value that is not a number`
    : undefined;
}

function explainDead(field: Field, name: string): string {
  const where = `\`tools.${name.slice(0, 80)}\``;
  if (field.kind === "message") {
    return `\`${field.name}\` is known for messages only, which \`tools.message\` governs: ` +
      `this comparison can never hold under ${where}`;
  }
  if (field.name.startsWith("tool_result")) {
    return "a tool's answer is not known when its call is decided: this comparison can never hold";
  }
  return field.name === "tool" && name !== "*"
    ? `\`tool\` is always \`${name.slice(0, 80)}\` here: this comparison can never hold`
    : `this comparison can never hold under ${where}`;
}

const KIND_WORDS: Readonly<Record<FieldKind, string>> = {
  plain: "a text",
  number: "a number of zero or more",
  tier: "a risk tier (Low, Medium, High, Critical)",
  level: "a governance level (L0 to L3)",
  context: "a text",
  flag: "true or false",
  set: "a set of names",
  message: "a text",
  json: "a JSON value",
  body: "a text, open to `contains` and `starts_with`",
};

function warningAt(clause: Clause, message: string): ExpressionProblem {
  return { offset: clause.offset, length: clause.end - clause.offset, message };
}
