/**
 * Puts secrets into the arguments of a tool: `${NAME}` in the string leaves of JSON, nowhere else
 * (contract `wire` §1.7).
 *
 * The text of the arguments is cut, not re-made: numbers, key order and spaces stay as they are. A
 * secret's value goes from bytes to bytes and never becomes a string, which nobody could erase.
 *
 * @module
 */
import { SECRET_LIMITS } from "./limits.ts";
import { type Piece, piecesOf } from "./name.ts";

/** Arguments cut at their placeholders. */
export interface Template {
  /** One name for every occurrence, in the order of the text. */
  readonly names: readonly string[];
  /** Bytes between the placeholders: one more than there are names. */
  readonly literals: readonly Uint8Array[];
}

/** Why arguments cannot be cut. The texts repeat nothing of the arguments. */
export class ArgumentsError extends Error {
  override readonly name = "ArgumentsError";
}

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Cuts JSON at the placeholders in its string leaves.
 *
 * @throws {ArgumentsError} when it is not JSON in UTF-8, or passes a bound.
 */
export function templateOf(args_json: Uint8Array): Template {
  if (args_json.length > SECRET_LIMITS.args_bytes) {
    throw new ArgumentsError(
      `args_json: is ${args_json.length} bytes, at most ${SECRET_LIMITS.args_bytes} are accepted`,
    );
  }
  const text = jsonText(args_json);
  const names: string[] = [];
  const literals: string[] = [""];
  let copied = 0;
  for (const { start, end } of stringLeaves(text)) {
    const pieces = piecesOf(JSON.parse(text.slice(start, end)));
    if (!pieces.some((piece) => "name" in piece)) continue;
    append(literals, text.slice(copied, start) + '"');
    for (const piece of pieces) add(piece, literals, names);
    append(literals, '"');
    copied = end;
  }
  append(literals, text.slice(copied));
  return { names, literals: literals.map((literal) => ENCODER.encode(literal)) };
}

function add(piece: Piece, literals: string[], names: string[]): void {
  if ("literal" in piece) {
    append(literals, JSON.stringify(piece.literal).slice(1, -1));
    return;
  }
  if (names.length >= SECRET_LIMITS.placeholders) {
    throw new ArgumentsError(
      `args_json: has more than ${SECRET_LIMITS.placeholders} placeholders`,
    );
  }
  names.push(piece.name);
  literals.push("");
}

function append(literals: string[], text: string): void {
  literals[literals.length - 1] += text;
}

/**
 * Puts values in.
 *
 * @param valueOf A secret's UTF-8 bytes; asked once for every occurrence, never changed.
 * @returns New bytes; whoever gets them should overwrite them after use.
 * @throws {ArgumentsError} when the result passes its bound.
 */
export function fillTemplate(
  template: Template,
  valueOf: (name: string) => Uint8Array,
): Uint8Array {
  const { names, literals } = template;
  let length = literals.reduce((sum, literal) => sum + literal.length, 0);
  for (const name of names) length += escapedLength(valueOf(name));
  if (length > SECRET_LIMITS.resolved_bytes) {
    throw new ArgumentsError(
      `args_json: would be ${length} bytes with its secrets, at most ` +
        `${SECRET_LIMITS.resolved_bytes} are sent`,
    );
  }
  const filled = new Uint8Array(length);
  let at = 0;
  for (const [index, literal] of literals.entries()) {
    filled.set(literal, at);
    at += literal.length;
    const name = names[index];
    if (name !== undefined) at = escapeInto(filled, at, valueOf(name));
  }
  return filled;
}

function jsonText(bytes: Uint8Array): string {
  try {
    const text = DECODER.decode(bytes);
    JSON.parse(text);
    return text;
  } catch {
    throw new ArgumentsError("args_json: is not JSON in UTF-8");
  }
}

/**
 * The string values of a valid JSON text, in its order; names of members are none.
 *
 * @throws {ArgumentsError} when it is nested too deeply.
 */
function* stringLeaves(text: string): Generator<{ start: number; end: number }> {
  // For each open container: whether the next string names a member.
  const naming: boolean[] = [];
  const inside_object: boolean[] = [];
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '"': {
        const start = at;
        at = endOfString(text, at);
        if (naming.at(-1) !== true) yield { start, end: at + 1 };
        break;
      }
      case "{":
      case "[":
        if (naming.length >= SECRET_LIMITS.args_depth) {
          throw new ArgumentsError(
            `args_json: is nested deeper than ${SECRET_LIMITS.args_depth} levels`,
          );
        }
        inside_object.push(text[at] === "{");
        naming.push(text[at] === "{");
        break;
      case "}":
      case "]":
        inside_object.pop();
        naming.pop();
        break;
      case ":":
        naming[naming.length - 1] = false;
        break;
      case ",":
        naming[naming.length - 1] = inside_object.at(-1) === true;
    }
  }
}

/** Index of the quote that ends the string that begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === '"') return at;
  }
  throw new ArgumentsError("args_json: is not JSON in UTF-8");
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SHORT_ESCAPES: Readonly<Record<number, number>> = {
  [QUOTE]: QUOTE,
  [BACKSLASH]: BACKSLASH,
  0x08: 0x62,
  0x09: 0x74,
  0x0a: 0x6e,
  0x0c: 0x66,
  0x0d: 0x72,
};
const HEX = ENCODER.encode("0123456789abcdef");

function needsEscape(byte: number): boolean {
  return byte < 0x20 || byte === QUOTE || byte === BACKSLASH;
}

function escapedLength(value: Uint8Array): number {
  let length = value.length;
  for (const byte of value) {
    if (needsEscape(byte)) length += SHORT_ESCAPES[byte] === undefined ? 5 : 1;
  }
  return length;
}

/** Writes UTF-8 bytes as the inside of a JSON string. @returns Where the next byte goes. */
function escapeInto(target: Uint8Array, at: number, value: Uint8Array): number {
  let next = at;
  for (const byte of value) {
    if (!needsEscape(byte)) {
      target[next++] = byte;
      continue;
    }
    target[next++] = BACKSLASH;
    const short = SHORT_ESCAPES[byte];
    if (short !== undefined) {
      target[next++] = short;
      continue;
    }
    for (const digit of [0x75, 0x30, 0x30, HEX[byte >> 4] ?? 0, HEX[byte & 15] ?? 0]) {
      target[next++] = digit;
    }
  }
  return next;
}
