/**
 * Present values in words, for explanations. What may carry a secret is told by type and length
 * and never quoted.
 *
 * @module
 */
import { RISK_TIERS } from "../../principal.ts";
import { received } from "../suggest.ts";
import type { Field } from "./fields.ts";
import type { Reading } from "./reading.ts";

/** Plain fields whose value may carry a secret; `tool` alone may be shown. */
const SECRET_PLAIN = new Set(["path", "url", "command"]);

/** Words that are an HTTP method and nothing else. */
const METHOD = /^[A-Za-z-]{1,16}$/;

/** What a field says, in words. */
export function describeReading(field: Field, reading: Reading): string {
  switch (reading.type) {
    case "missing":
      return "missing";
    case "failed":
      return `look-up failed: ${received(reading.cause)}`;
    case "number":
      return describeNumber(field, reading.value);
    case "set":
      return reading.values.length === 0
        ? "empty"
        : `${reading.values.length} names, the first ${received(reading.values[0] ?? "")}`;
    case "text":
      return mayShow(field, reading.value)
        ? received(reading.value)
        : `text of ${reading.value.length} characters`;
    case "json":
      return describeJson(reading.value);
  }
}

function mayShow(field: Field, text: string): boolean {
  if (field.kind === "body" || SECRET_PLAIN.has(field.name)) return text === "";
  return field.name !== "method" || text === "" || METHOD.test(text);
}

function describeNumber(field: Field, value: number): string {
  switch (field.kind) {
    case "tier":
      return RISK_TIERS[value] ?? String(value);
    case "level":
      return `L${value}`;
    case "flag":
      return value === 1 ? "true" : "false";
    default:
      return String(value);
  }
}

function describeJson(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "string") return `text of ${value.length} characters`;
  if (Array.isArray(value)) return `list of ${value.length} items`;
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
