/**
 * A strict JSON reader that loses nothing: integers of any size, and no member twice.
 *
 * @module
 */

/** A JSON value; integers past 2^53 are bigint, and other numbers are not accepted. */
export type Json = string | number | bigint | boolean | null | Json[] | Map<string, Json>;

/** Text that is not the JSON this log holds. */
export class JsonError extends Error {
  override readonly name = "JsonError";
}

const DEPTH_MAX = 16;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const SPACE = /[ \t\r\n]*/y;

/** @throws {JsonError} */
export function readJson(text: string): Json {
  const cursor: Cursor = { text, at: 0 };
  const value = readValue(cursor, 0);
  skipSpace(cursor);
  if (cursor.at !== text.length) throw wrong(cursor, "the end of the line");
  return value;
}

interface Cursor {
  readonly text: string;
  at: number;
}

function wrong(cursor: Cursor, expected: string): JsonError {
  return new JsonError(`is not JSON: expected ${expected} at character ${cursor.at + 1}`);
}

function skipSpace(cursor: Cursor): void {
  const code = cursor.text.charCodeAt(cursor.at);
  if (code > 0x20) return;
  SPACE.lastIndex = cursor.at;
  cursor.at += SPACE.exec(cursor.text)?.[0].length ?? 0;
}

function readValue(cursor: Cursor, depth: number): Json {
  if (depth > DEPTH_MAX) throw new JsonError("is nested too deeply");
  skipSpace(cursor);
  switch (cursor.text[cursor.at]) {
    case "{":
      return readObject(cursor, depth);
    case "[":
      return readArray(cursor, depth);
    case '"':
      return readString(cursor);
    case "t":
      return readWord(cursor, "true", true);
    case "f":
      return readWord(cursor, "false", false);
    case "n":
      return readWord(cursor, "null", null);
    default:
      return readInteger(cursor);
  }
}

function readWord<T extends Json>(cursor: Cursor, word: string, value: T): T {
  if (!cursor.text.startsWith(word, cursor.at)) throw wrong(cursor, `\`${word}\``);
  cursor.at += word.length;
  return value;
}

function readInteger(cursor: Cursor): number | bigint {
  const { text } = cursor;
  const start = cursor.at;
  const first = text.charCodeAt(start) === MINUS ? start + 1 : start;
  let at = first;
  let value = 0;
  for (let code = text.charCodeAt(at); code >= ZERO && code <= NINE; code = text.charCodeAt(++at)) {
    value = value * 10 + code - ZERO;
  }
  const digits = at - first;
  const leading_zero = digits > 1 && text.charCodeAt(first) === ZERO;
  if (digits === 0 || digits > 20 || leading_zero || ".eE".includes(text[at] ?? " ")) {
    throw wrong(cursor, "a value, an integer if it is a number");
  }
  cursor.at = at;
  if (digits > 15) return BigInt(text.slice(start, at));
  return first === start ? value : -value;
}

function readString(cursor: Cursor): string {
  const start = cursor.at;
  for (let at = start + 1; at < cursor.text.length; at++) {
    const code = cursor.text.charCodeAt(at);
    if (code === 0x5c) at++;
    else if (code === 0x22) {
      cursor.at = at + 1;
      return decodeString(cursor, start);
    } else if (code < 0x20) break;
  }
  throw wrong(cursor, "a closed string");
}

function decodeString(cursor: Cursor, start: number): string {
  const inner = cursor.text.slice(start + 1, cursor.at - 1);
  if (!inner.includes("\\")) return inner;
  try {
    return String(JSON.parse(`"${inner}"`));
  } catch {
    throw wrong({ text: cursor.text, at: start }, "a valid string");
  }
}

function readArray(cursor: Cursor, depth: number): Json[] {
  const items: Json[] = [];
  cursor.at++;
  skipSpace(cursor);
  if (cursor.text[cursor.at] === "]") {
    cursor.at++;
    return items;
  }
  while (true) {
    items.push(readValue(cursor, depth + 1));
    if (!more(cursor, "]")) return items;
  }
}

function readObject(cursor: Cursor, depth: number): Map<string, Json> {
  const members = new Map<string, Json>();
  cursor.at++;
  skipSpace(cursor);
  if (cursor.text[cursor.at] === "}") {
    cursor.at++;
    return members;
  }
  while (true) {
    skipSpace(cursor);
    if (cursor.text[cursor.at] !== '"') throw wrong(cursor, "a member name");
    const name = readString(cursor);
    skipSpace(cursor);
    if (cursor.text[cursor.at] !== ":") throw wrong(cursor, "`:`");
    cursor.at++;
    if (members.has(name)) throw new JsonError(`has member \`${name.slice(0, 64)}\` twice`);
    members.set(name, readValue(cursor, depth + 1));
    if (!more(cursor, "}")) return members;
  }
}

/** Steps over `,` (true) or the closing sign (false). */
function more(cursor: Cursor, close: string): boolean {
  skipSpace(cursor);
  const sign = cursor.text[cursor.at];
  if (sign !== "," && sign !== close) throw wrong(cursor, `\`,\` or \`${close}\``);
  cursor.at++;
  return sign === ",";
}
