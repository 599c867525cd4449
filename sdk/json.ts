/**
 * Arguments as the JSON that is judged. What the policy saw must be what runs: a value that JSON
 * cannot hold as it is (a function, a map, a class instance, NaN) is refused instead of being
 * judged as something else.
 *
 * @module
 */
import { InvalidActError } from "./errors.ts";
import { SDK_LIMITS } from "./limits.ts";

/** A value that JSON holds as it is. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

/**
 * The JSON text of a value, with nothing lost but properties that are `undefined`.
 *
 * @param what Named in the error, e.g. "arguments of tool `search`".
 * @throws {InvalidActError} naming the place that JSON cannot hold, or the bound that was passed.
 */
export function exactJson(value: unknown, what: string): string {
  let text: string;
  try {
    text = JSON.stringify(snapshot(value, what, "$", 0));
  } catch (error) {
    if (error instanceof InvalidActError) throw error;
    // A getter or a proxy of the caller threw.
    throw new InvalidActError(`${what} cannot be read`, error);
  }
  if (text.length > SDK_LIMITS.act_text_chars) {
    throw new InvalidActError(
      `${what} are \`${text.length}\` characters of JSON, at most ${SDK_LIMITS.act_text_chars}: ` +
        "pass a reference to large data instead",
    );
  }
  return text;
}

/** Each property is read once, so that no getter can answer twice in two ways. */
function snapshot(value: unknown, what: string, path: string, depth: number): JsonValue {
  if (depth > SDK_LIMITS.act_depth) {
    throw new InvalidActError(
      `${what} are nested deeper than ${SDK_LIMITS.act_depth}, or in a circle`,
    );
  }
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      if (Number.isFinite(value)) return value;
      break;
    case "object":
      if (value === null) return null;
      if (Array.isArray(value)) {
        // Not `map`: a hole is nothing that JSON can hold.
        return Array.from(value, (one, i) => snapshot(one, what, `${path}[${i}]`, depth + 1));
      }
      if (isPlain(value)) return plainObject(value, what, path, depth);
      break;
  }
  throw new InvalidActError(
    `${what} cannot be judged: ${path.slice(0, 200)} is ${named(value)}, which JSON cannot hold; ` +
      "pass plain data, or say with `describe` what to judge",
  );
}

function plainObject(value: object, what: string, path: string, depth: number): JsonValue {
  const copy: Record<string, JsonValue> = Object.create(null);
  for (const key of Object.keys(value)) {
    const property: unknown = Reflect.get(value, key);
    if (property === undefined) continue;
    copy[key] = snapshot(property, what, `${path}.${key}`, depth + 1);
  }
  if (Object.getOwnPropertySymbols(value).length > 0) {
    throw new InvalidActError(`${what} cannot be judged: ${path} has properties named by symbols`);
  }
  return copy;
}

/** Objects of any realm whose prototype is `Object.prototype` or none, without `toJSON`. */
function isPlain(value: object): boolean {
  if (typeof Reflect.get(value, "toJSON") === "function") return false;
  const prototype: object | null = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function named(value: unknown): string {
  if (typeof value === "object" && value !== null) {
    const name: unknown = value.constructor?.name;
    return typeof name === "string" && name !== "" ? `a \`${name.slice(0, 60)}\`` : "an object";
  }
  return typeof value === "number" ? `\`${value}\`` : `a ${typeof value}`;
}
