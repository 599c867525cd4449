/**
 * What shows of a value that a tool threw, as data that can be judged: messages of errors are read by
 * models, and all the rest of them by whoever reads logs.
 *
 * @module
 */
import { SDK_LIMITS } from "./limits.ts";
import type { JsonValue } from "./json.ts";

/** What shows of it: of an error its name, its message, and those of its causes. */
export interface ThrownData {
  readonly name: string;
  readonly message: string;
  /** What logs show beside it: own properties, causes, a stack's first lines. */
  readonly more: readonly JsonValue[];
}

/** Stands for what cannot be read. */
const UNREADABLE: ThrownData = {
  name: "Error",
  message: "the tool failed, and its error cannot be read",
  more: [],
};

/** Reads a thrown value once. Never throws. */
export function thrownData(thrown: unknown): ThrownData {
  try {
    return read(thrown);
  } catch {
    return UNREADABLE;
  }
}

/** The error that may be seen, from what is left after a redaction. */
export function redactedError(left: unknown, original: ThrownData): Error {
  const text = (key: string, otherwise: string): string => {
    const value: unknown = typeof left === "object" && left !== null
      ? Reflect.get(left, key)
      : undefined;
    return typeof value === "string" ? value : otherwise;
  };
  const error = new Error(text("message", "[REDACTED]"));
  // A name is as free as a message: only what was judged may be repeated.
  error.name = text("name", "Error");
  error.stack = `${error.name}: ${error.message}`;
  return original.message === "" ? new Error("[REDACTED]") : error;
}

function read(thrown: unknown): ThrownData {
  if (!(thrown instanceof Error)) {
    return typeof thrown === "object" && thrown !== null
      ? { name: "Error", message: "", more: [jsonOf(thrown)] }
      : { name: "Error", message: String(thrown), more: [] };
  }
  const more: JsonValue[] = [];
  const seen = new Set<unknown>([thrown]);
  const waiting: unknown[] = [thrown];
  for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
    if (!(one instanceof Error)) {
      more.push(typeof one === "object" ? jsonOf(one) : String(one));
      continue;
    }
    if (one !== thrown) more.push(`${one.name}: ${one.message}`);
    const head = stackHead(one);
    if (head !== `${one.name}: ${one.message}` && head !== "") more.push(head);
    // Own properties first: `cause` and `errors` are followed, because JSON shows nothing of errors.
    const properties = Object.entries(one).filter(([key]) => key !== "cause" && key !== "errors");
    if (properties.length > 0) more.push(jsonOf(Object.fromEntries(properties)));
    const errors: unknown = Reflect.get(one, "errors");
    for (const next of [one.cause, ...Array.isArray(errors) ? errors : []]) {
      if (next === undefined || seen.has(next)) continue;
      if (seen.size >= SDK_LIMITS.thrown_parts) throw new RangeError("too many causes");
      seen.add(next);
      waiting.push(next);
    }
  }
  return { name: String(thrown.name), message: String(thrown.message), more };
}

/** A stack repeats name and message as they were when it was made. */
function stackHead({ stack }: Error): string {
  if (typeof stack !== "string") return "";
  return stack.split("\n").filter((line) => !line.startsWith("    at ")).join("\n");
}

function jsonOf(value: unknown): JsonValue {
  const text = JSON.stringify(value, (_key, one) => typeof one === "bigint" ? String(one) : one);
  return text === undefined ? null : JSON.parse(text);
}
