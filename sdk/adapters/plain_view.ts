/**
 * What a policy is shown of a value that JSON cannot hold as it is: schemas of frameworks make dates,
 * maps and class instances of a model's arguments, and tools answer with them.
 *
 * @module
 */
import { InvalidActError } from "../errors.ts";
import { SDK_LIMITS } from "../limits.ts";

/** A value to judge. */
export interface PlainView {
  /** The value itself when it is plain data, else plain data with everything in it that shows. */
  readonly view: unknown;
  /** Whether `view` is the value itself. */
  readonly exact: boolean;
}

/**
 * The view of a value. Dates and addresses are shown as text, maps and sets as lists, bytes as base64,
 * class instances by their properties and by what they say of themselves as JSON. What cannot be shown,
 * a function, stays in the view, so that whoever judges it refuses it.
 *
 * @throws {InvalidActError} when it is nested in a circle, or holds more than may be judged at all.
 */
export function plainView(value: unknown): PlainView {
  let exact = true;
  let nodes = 0;
  const walk = (node: unknown, depth: number): unknown => {
    // Each node is a character of the judged text at least.
    if (depth > SDK_LIMITS.act_depth || ++nodes > SDK_LIMITS.act_text_chars) {
      throw new InvalidActError(
        `a value cannot be judged: nested deeper than ${SDK_LIMITS.act_depth}, in a circle, or of ` +
          `more than ${SDK_LIMITS.act_text_chars} parts; pass a reference to large data instead`,
      );
    }
    if (node === undefined) {
      exact = false;
      return null;
    }
    if (typeof node === "bigint" || (typeof node === "number" && !Number.isFinite(node))) {
      exact = false;
      return String(node);
    }
    if (typeof node !== "object" || node === null) return node;
    if (Array.isArray(node)) return Array.from(node, (one) => walk(one, depth + 1));
    if (isPlain(node)) return properties(node, depth);
    exact = false;
    return instance(node, depth);
  };
  const properties = (node: object, depth: number): Record<string, unknown> => {
    const shown = Object.entries(node).filter(([, one]) => one !== undefined);
    return Object.fromEntries(shown.map(([key, one]) => [key, walk(one, depth + 1)]));
  };
  const instance = (node: object, depth: number): unknown => {
    if (node instanceof Date) return Number.isNaN(node.getTime()) ? "" : node.toISOString();
    if (node instanceof URL || node instanceof RegExp) return String(node);
    if (node instanceof Map || node instanceof Set) return walk([...node], depth + 1);
    if (ArrayBuffer.isView(node)) {
      return base64(new Uint8Array(node.buffer, node.byteOffset, node.byteLength));
    }
    if (node instanceof ArrayBuffer) return base64(new Uint8Array(node));
    const named = node instanceof Error ? { name: node.name, message: node.message } : {};
    const toJSON: unknown = Reflect.get(node, "toJSON");
    const said = typeof toJSON === "function"
      ? { toJSON: walk(Reflect.apply(toJSON, node, []), depth + 1) }
      : {};
    return { ...named, ...properties(node, depth), ...said };
  };
  const view = walk(value, 0);
  return exact ? { view: value, exact } : { view, exact };
}

/** Objects of any realm whose prototype is `Object.prototype` or none, without `toJSON`. */
function isPlain(value: object): boolean {
  if (typeof Reflect.get(value, "toJSON") === "function") return false;
  const prototype: object | null = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function base64(bytes: Uint8Array): string {
  // More than may be judged at all: the text is refused for its length, so it need not be made.
  const shown = bytes.subarray(0, SDK_LIMITS.act_text_chars + 1);
  return btoa(Array.from(shown, (byte) => String.fromCharCode(byte)).join(""));
}
