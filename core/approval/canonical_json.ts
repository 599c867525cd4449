/**
 * One text for one JSON value (RFC 8785, JSON Canonicalization Scheme): what a person agreed to and
 * what is run later are compared through it.
 *
 * @module
 */
import { APPROVAL_LIMITS } from "./limits.ts";

/** A value that has a canonical form. */
export type CanonicalValue =
  | null
  | boolean
  | number
  | string
  | readonly CanonicalValue[]
  | CanonicalObject;

/** An object of such values. */
export interface CanonicalObject {
  readonly [key: string]: CanonicalValue;
}

/** A value without a canonical form. */
export class CanonicalJsonError extends Error {
  override readonly name = "CanonicalJsonError";
}

/**
 * The canonical text of a value: members by the UTF-16 units of their names, numbers as ECMAScript
 * prints them, no space (RFC 8785 §3.2).
 *
 * @throws {CanonicalJsonError} for NaN and infinities, lone surrogates, what JSON does not know, and
 * what is nested deeper than `APPROVAL_LIMITS.canonical_depth`.
 */
export function canonicalJson(value: CanonicalValue): string {
  return write(value, 0);
}

function write(value: unknown, depth: number): string {
  if (depth > APPROVAL_LIMITS.canonical_depth) {
    const limit = APPROVAL_LIMITS.canonical_depth;
    throw new CanonicalJsonError(`cannot canonicalise a value nested deeper than \`${limit}\``);
  }
  switch (typeof value) {
    case "string":
      return text(value);
    case "number":
      if (Number.isFinite(value)) return JSON.stringify(value);
      throw new CanonicalJsonError(`cannot canonicalise \`${value}\`: JSON has no such number`);
    case "boolean":
      return value ? "true" : "false";
    case "object":
      return value === null ? "null" : structure(value, depth);
    default:
      throw new CanonicalJsonError(`cannot canonicalise a value of type \`${typeof value}\``);
  }
}

function structure(value: object, depth: number): string {
  if (Array.isArray(value)) {
    return `[${value.map((item) => write(item, depth + 1)).join(",")}]`;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new CanonicalJsonError("cannot canonicalise an object that is not plain");
  }
  // The default order of `sort` is by UTF-16 units, which is what RFC 8785 §3.2.3 asks for.
  const members = Object.entries(value).sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0);
  return `{${members.map(([key, item]) => `${text(key)}:${write(item, depth + 1)}`).join(",")}}`;
}

/** ECMAScript's own quoting is that of RFC 8785 §3.2.2.2, except that it lets lone surrogates by. */
function text(value: string): string {
  if (!value.isWellFormed()) {
    throw new CanonicalJsonError("cannot canonicalise a text with a lone surrogate");
  }
  return JSON.stringify(value);
}
