/**
 * Representative values of a field: enough of them that every truth a clause can take is taken by
 * one. The lint evaluates clauses over these with the same table that decides.
 *
 * A clause compares one field with one literal, so it cannot tell more values apart than these: the
 * literal itself, its neighbours, a value unlike it, and every other JSON type.
 *
 * @module
 */
import { RISK_TIERS } from "../../principal.ts";
import type { FieldKind } from "./fields.ts";
import type { Reading } from "./reading.ts";
import type { Clause, Literal } from "./syntax.ts";

/** What a condition may be asked about. */
export type Situation =
  /** A call of one tool, or of any tool but some. */
  | { readonly action: "tool_call"; readonly tool: string }
  | { readonly action: "tool_call"; readonly except: ReadonlySet<string> }
  | { readonly action: "send_message" }
  /** An action of whatever kind. */
  | { readonly action: "any" };

/** Values of a field: while what it reads is there, and when it is not. */
export interface Samples {
  readonly present: readonly Reading[];
  readonly absent: readonly Reading[];
}

const MISSING: Reading = { type: "missing" };

/** A text no policy spells. */
const UNLIKE = "\u{10fffd}";

/** A number far from any bound a policy names. */
const FAR = 1e15;

/** Representative values of a clause's field. */
export function samplesOf(clause: Clause, situation: Situation): Samples {
  const { field, literal } = clause;
  switch (field.kind) {
    case "plain":
      return { present: plainSamples(field.name, literal, situation), absent: [] };
    case "message":
      return situation.action === "tool_call"
        ? { present: [MISSING], absent: [] }
        : { present: [...texts(literal), MISSING], absent: [] };
    case "body":
      return {
        present: situation.action === "any" ? [...texts(literal), MISSING] : [MISSING],
        absent: [],
      };
    case "json":
      return { present: jsonSamples(field.name, literal, situation), absent: [] };
    case "context":
      return { present: texts(literal), absent: [MISSING] };
    case "set":
      return { present: setSamples(literal), absent: [MISSING] };
    default:
      return { present: numberSamples(field.kind, field.name, literal), absent: [MISSING] };
  }
}

function plainSamples(name: string, literal: Literal, situation: Situation): Reading[] {
  if (situation.action === "send_message") return [text("")];
  if (name !== "tool") return [...texts(literal), { type: "json", value: 0 }];
  if (situation.action === "any") return texts(literal);
  if ("tool" in situation) return [text(situation.tool)];
  return texts(literal, situation.except);
}

/** The literal's texts, something unlike them, and nothing; without the names in `except`. */
function texts(literal: Literal, except: ReadonlySet<string> = new Set()): Reading[] {
  const values = textsLike(literal, except);
  return [...values, UNLIKE, ""].filter((value) => !except.has(value)).map(text);
}

function textsLike(literal: Literal, except: ReadonlySet<string>): readonly string[] {
  switch (literal.type) {
    case "text":
      return [literal.value, literal.value + UNLIKE];
    case "list": {
      const value = literal.values.find((candidate) => !except.has(candidate));
      return value === undefined ? [] : [value];
    }
    case "number":
      return [...neighbours(literal.value).map(String), literal.text];
    default:
      return ["0"];
  }
}

function jsonSamples(name: string, literal: Literal, situation: Situation): Reading[] {
  const readable = situation.action === "any" ||
    situation.action === "tool_call" && name.startsWith("args.");
  if (!readable) return [MISSING];
  const numbers = literal.type === "number" ? neighbours(literal.value) : [0];
  const values: unknown[] = [null, true, false, {}, ...numbers];
  return [...values.map((value): Reading => ({ type: "json", value })), MISSING].concat(
    texts(literal).map((reading): Reading =>
      reading.type === "text" ? { type: "json", value: reading.value } : reading
    ),
  );
}

function setSamples(literal: Literal): Reading[] {
  const value = literal.type === "text" ? literal.value : "";
  return [[], [value], [UNLIKE], [value, UNLIKE]].map((values) => ({ type: "set", values }));
}

function numberSamples(kind: FieldKind, name: string, literal: Literal): Reading[] {
  return numbersOf(kind, name, literal).map((value) => ({ type: "number", value }));
}

function numbersOf(kind: FieldKind, name: string, literal: Literal): readonly number[] {
  if (kind === "level" || kind === "tier") return RISK_TIERS.map((_, index) => index);
  if (kind === "flag") return [0, 1];
  const near = literal.type === "number"
    ? literal.value
    : literal.type === "duration"
    ? literal.secs
    : literal.type === "text"
    ? Number(literal.value)
    : 0;
  const numbers = [0, FAR, ...neighbours(near)];
  // Money may be overspent and has cents; everything else is counted.
  return name === "team.budget_remaining"
    ? [...numbers, -FAR]
    : numbers.filter((value) => Number.isInteger(value) && value >= 0);
}

/** The number, and what is just below and above it. */
function neighbours(value: number): number[] {
  if (!Number.isFinite(value)) return [0, -Number.MAX_VALUE, Number.MAX_VALUE];
  const floor = Math.floor(value);
  return [value, floor - 1, floor, floor + 1, -Number.MAX_VALUE, Number.MAX_VALUE];
}

function text(value: string): Reading {
  return { type: "text", value };
}
