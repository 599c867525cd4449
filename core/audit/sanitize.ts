/**
 * What may never be stored is taken out before the write, wherever it hides
 * (contract `policy-and-gateway` §10.3, §13.4 #51).
 *
 * Covered: members of JSON at any depth, of JSON inside its texts up to {@linkcode
 * NESTED_TEXT_DEPTH_MAX} times, of base64 and percent-encoded JSON, members that a duplicate key
 * hides, parameters of a URL's query. Not covered: names in other notations (YAML, XML, CSV, lists
 * of name and value), compressed or encrypted text, other encodings of bytes (hex, base32), and
 * banned content under a name that is not banned.
 *
 * @module
 */
import { BASE64_JSON, isBannedKey, mayHoldBanned, namesBannedMember } from "./never_store.ts";

/** Key under which a payload names what was left out of it. */
export const OMITTED_KEY = "audit_omitted";
/** Payload of which nothing could be kept. */
export const PAYLOAD_OMITTED = JSON.stringify({ [OMITTED_KEY]: ["payload"] });
/** Objects and arrays inside each other that are looked through; what is deeper is left out. */
const DEPTH_MAX = 64;
/** Texts that are JSON inside a text that is JSON; what is deeper and suspect is left out. */
const NESTED_TEXT_DEPTH_MAX = 8;
/** A payload longer than this is replaced unread. */
const PAYLOAD_CHARS_MAX = 1_048_576;

/** A payload with nothing in it that may not be stored. */
export interface SanitizedPayload {
  readonly payload: string;
  /** Members removed, at every depth. */
  readonly removed: number;
}

interface Tally {
  removed: number;
}

/**
 * Removes banned members from a payload text, also from texts inside it that are JSON themselves.
 * A text that cannot be parsed but names a banned member cannot be cleaned, so it is left out whole.
 *
 * @returns The same string when it was clean.
 */
export function sanitizePayload(payload: string): SanitizedPayload {
  if (payload.length > PAYLOAD_CHARS_MAX) {
    return { payload: PAYLOAD_OMITTED, removed: 1 };
  }
  if (!mayHoldBanned(payload)) return { payload, removed: 0 };
  const tally: Tally = { removed: 0 };
  const cleaned = sanitizeText(payload, tally, 0);
  if (tally.removed === 0) return { payload, removed: 0 };
  return {
    payload: cleaned ?? PAYLOAD_OMITTED,
    removed: tally.removed,
  };
}

/** One member's value after cleaning, and how many members went; no value when all of it did. */
export function sanitizeMember(
  value: unknown,
): { readonly value?: unknown; readonly removed: number } {
  const tally: Tally = { removed: 0 };
  const clean = sanitizeValue(value, tally, 0, 0);
  return clean === DROPPED ? tally : { value: clean, removed: tally.removed };
}

/** A text after cleaning; `undefined` when it must be left out. */
function sanitizeText(text: string, tally: Tally, nesting: number): string | undefined {
  if (!mayHoldBanned(text)) return text;
  const parsed = /^\s*[[{"]/.test(text) ? parseJson(text) : undefined;
  if (parsed === undefined) return sanitizeOther(text, tally, nesting);
  if (nesting >= NESTED_TEXT_DEPTH_MAX) return leaveOut(tally);
  const before = tally.removed;
  const value = sanitizeValue(parsed.value, tally, 0, nesting);
  if (value === DROPPED) return undefined;
  // Of two members with one name the parser gives the last; the first one is still in the text.
  if (tally.removed === before && hidesMembers(text, parsed.value)) tally.removed++;
  return tally.removed === before ? text : JSON.stringify(value);
}

/** A text that is no JSON: broken or encoded JSON, a URL, words around one of them. */
function sanitizeOther(text: string, tally: Tally, nesting: number): string | undefined {
  if (namesBannedMember(text)) return leaveOut(tally);
  if (nesting >= NESTED_TEXT_DEPTH_MAX) return mayBeEncoded(text) ? leaveOut(tally) : text;
  const before = tally.removed;
  for (const decoded of decodings(text)) {
    sanitizeText(decoded, tally, nesting + 1);
    if (tally.removed > before) return undefined;
  }
  return text;
}

function leaveOut(tally: Tally): undefined {
  tally.removed++;
  return undefined;
}

const DROPPED = Symbol("dropped");

function sanitizeValue(value: unknown, tally: Tally, depth: number, nesting: number): unknown {
  if (typeof value === "string") {
    const text = sanitizeText(value, tally, nesting + 1);
    return text === undefined ? DROPPED : text;
  }
  if (typeof value !== "object" || value === null || isRawNumber(value)) return value;
  if (depth >= DEPTH_MAX) {
    tally.removed++;
    return DROPPED;
  }
  if (Array.isArray(value)) {
    return value.map((item) => sanitizeValue(item, tally, depth + 1, nesting))
      .filter((item) => item !== DROPPED);
  }
  const kept: [string, unknown][] = [];
  for (const [key, member] of Object.entries(value)) {
    if (isBannedKey(key)) {
      tally.removed++;
      continue;
    }
    // A name may itself be a text that holds what may not be stored.
    const name = sanitizeText(key, tally, nesting + 1);
    const clean = sanitizeValue(member, tally, depth + 1, nesting);
    if (clean !== DROPPED && name !== undefined) kept.push([name, clean]);
  }
  return Object.fromEntries(kept);
}

/** Whether a JSON text has more members than came out of it. */
function hidesMembers(text: string, value: unknown): boolean {
  let colons = 0;
  for (let at = 0, quoted = false; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (quoted && character === BACKSLASH) at++;
    else if (character === QUOTE) quoted = !quoted;
    else if (character === COLON && !quoted) colons++;
  }
  return colons !== membersOf(value);
}

const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;

function membersOf(value: unknown): number {
  if (typeof value !== "object" || value === null || isRawNumber(value)) return 0;
  const members = Object.values(value);
  const own = Array.isArray(value) ? 0 : members.length;
  return members.reduce<number>((sum, member) => sum + membersOf(member), own);
}

const ALL_BASE64_JSON = new RegExp(BASE64_JSON, "g");
const PERCENT = /%[0-9a-f]{2}/i;
/** Encoded pieces of one text that are looked into; a text with more is left out. */
const ENCODED_PIECES_MAX = 16;

function mayBeEncoded(text: string): boolean {
  return PERCENT.test(text) || BASE64_JSON.test(text);
}

/** What a text says without its percent escapes, and what pieces of base64 in it say. */
function* decodings(text: string): Generator<string> {
  if (PERCENT.test(text)) {
    const plain = text.replaceAll(/(?:%[0-9a-f]{2})+/gi, (run) => {
      try {
        return decodeURIComponent(run);
      } catch {
        return "";
      }
    });
    yield plain;
  }
  let pieces = 0;
  for (const [piece] of text.matchAll(ALL_BASE64_JSON)) {
    if (++pieces > ENCODED_PIECES_MAX) return yield UNREADABLE;
    const plain = piece.replaceAll("-", "+").replaceAll("_", "/");
    const whole = plain.length % 4 === 1 ? plain.slice(0, -1) : plain;
    yield new TextDecoder().decode(Uint8Array.fromBase64(whole));
  }
}

/** Stands for what nobody looked into: it names a banned member, so its text is left out. */
const UNREADABLE = '"prompt":';

interface RawJson {
  rawJSON(text: string): unknown;
  isRawJSON(value: unknown): boolean;
}
// ECMAScript's JSON source text access; TypeScript's library does not list it yet.
const raw_json = JSON as unknown as RawJson;

function isRawNumber(value: unknown): boolean {
  return raw_json.isRawJSON(value);
}

/** Parses with numbers kept digit for digit, so that cleaning one member changes no other. */
export function parseJson(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text, keepDigits) };
  } catch {
    return undefined;
  }
}

function keepDigits(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== "number" || context?.source === undefined) return value;
  return String(value) === context.source ? value : raw_json.rawJSON(context.source);
}
