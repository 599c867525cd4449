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

/** A thrown value as it was read, once. */
export interface Thrown {
  readonly data: ThrownData;
  /** Whether that is all that shows of it; otherwise the value itself must not be shown. */
  readonly complete: boolean;
}

/** Reads a thrown value once. Never throws. What is unreadable or too much is left out. */
export function readThrown(thrown: unknown): Thrown {
  try {
    const data = read(thrown);
    if (JSON.stringify(data.more).length <= SDK_LIMITS.thrown_chars) {
      return { data, complete: true };
    }
  } catch {
    // A getter of its own threw, or there are too many causes.
  }
  try {
    const data = thrown instanceof Error
      ? { name: String(thrown.name), message: String(thrown.message), more: [] }
      : UNREADABLE;
    return { data, complete: false };
  } catch {
    return { data: UNREADABLE, complete: false };
  }
}

/** Stands for what cannot be read. */
const UNREADABLE: ThrownData = {
  name: "Error",
  message: "the tool failed, and its error cannot be read",
  more: [],
};

/**
 * What may be thrown in place of a value once it was judged.
 *
 * @param left Its data as the judgement left it.
 */
export function shownThrown(value: unknown, { data, complete }: Thrown, left: unknown): unknown {
  const whole = complete && JSON.stringify(left) === JSON.stringify(data);
  return whole ? value : redactedError(left);
}

/** An error of what is left after a redaction: a name is as free as a message, so both are judged. */
function redactedError(left: unknown): Error {
  const text = (key: string): string => {
    const value: unknown = typeof left === "object" && left !== null
      ? Reflect.get(left, key)
      : undefined;
    return typeof value === "string" && value !== "" ? value : "[REDACTED]";
  };
  const error = new Error(text("message"));
  error.name = text("name");
  error.stack = `${error.name}: ${error.message}`;
  return error;
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
    if (head !== "") more.push(head);
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

/** What a stack says beyond the message: it repeats name and message as they were when it was made. */
function stackHead({ stack, message }: Error): string {
  if (typeof stack !== "string") return "";
  const head = stack.split("\n").filter((line) => !line.startsWith("    at ")).join("\n");
  const name = head.endsWith(message) ? head.slice(0, head.length - message.length) : head;
  return /^(?:[\w$.]{1,60}(?:: )?)?$/.test(name) ? "" : head;
}

/** Each object once: errors of HTTP clients hold their request, and that its response, in circles. */
function jsonOf(value: unknown): JsonValue {
  const seen = new Set<unknown>();
  const text = JSON.stringify(value, (_key, one) => {
    if (typeof one === "bigint") return String(one);
    if (typeof one !== "object" || one === null) return one;
    if (seen.has(one)) return null;
    seen.add(one);
    if (one instanceof Map || one instanceof Set) return [...one];
    return one instanceof Error ? { ...one, message: one.message } : one;
  });
  return text === undefined ? null : JSON.parse(text);
}
