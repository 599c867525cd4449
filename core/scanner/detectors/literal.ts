/**
 * Finds secrets by their literal prefix (contract `interception` §2.2, §2.3).
 *
 * @module
 */
import { patternAt } from "../automaton.ts";
import { ALPHANUMERIC, BASE64, CLASS, classAt, DIGIT, nextTerminator } from "../byte_class.ts";
import type { CredentialKind } from "../finding.ts";
import type { Spans } from "../spans.ts";
import type { Utf8Text } from "../utf8.ts";
import { type Prefix, PREFIX_AUTOMATON, PREFIXES, type PrefixRule } from "./prefix.ts";
import { PemBlocks } from "./private_key.ts";

/** White space allowed on each side of the colon of a JSON pair. */
const PAIR_SPACES_MAX = 16;

/** A span that belongs to the last pass of §2.1. */
export interface LateSpan {
  readonly kind: CredentialKind;
  readonly offset: number;
  readonly end: number;
  readonly detector?: undefined;
}

/**
 * One left-to-right walk. A span reaches from the prefix to the next terminator; the next prefix
 * is looked for right after the previous one, so spans may overlap, prefixes never do.
 *
 * @returns The values of Azure keys, which §2.1 ranks behind every other pass.
 */
export function findLiterals(text: Utf8Text, spans: Spans): LateSpan[] {
  const { bytes, length } = text;
  const { classes, next, first_accepting } = PREFIX_AUTOMATON;
  const pem = new PemBlocks(text);
  const base64 = new RunEnds(text, BASE64);
  let state = 0;
  let terminator = -1;
  let free_from = 0;
  const late: LateSpan[] = [];
  for (let at = 0; at < length; at++) {
    // INVARIANT: the tables have a row for every state and a column for every class.
    state = next[state | (classes[bytes[at] as number] as number)] as number;
    if (state < first_accepting) continue;
    const prefix = PREFIXES[patternAt(PREFIX_AUTOMATON, state)];
    if (prefix === undefined) continue;
    const body = at + 1;
    const start = matchStart(text, prefix, body);
    if (start < free_from || continuesLonger(bytes, prefix, body)) continue;
    if (!ruleHolds(text, prefix, start, body, base64)) continue;
    free_from = body;
    // Prefix ends ascend, so the terminator found last still serves until it is passed.
    if (terminator < body) terminator = nextTerminator(bytes, body, length);
    if (prefix.rule.form === "url" && !urlHolds(text, prefix.rule, body, terminator)) continue;
    const end = prefix.rule.form === "pem" ? pem.end(body, terminator) : terminator;
    if (prefix.rule.form === "value" && prefix.rule.exact_case === true) {
      addLate(late, prefix.kind, start, end);
    } else {
      spans.add(prefix.kind, start, end, detectorOf(prefix));
    }
  }
  return late;
}

function addLate(late: LateSpan[], kind: CredentialKind, offset: number, end: number): void {
  // One value may hold the marker again and again: it is still one value.
  const last = late[late.length - 1];
  if (last === undefined || last.end !== end) late.push({ kind, offset, end });
}

function detectorOf(prefix: Prefix): string | undefined {
  if (prefix.rule.form === "vendor") return prefix.rule.detector;
  return prefix.kind === "GenericHighEntropy" ? "url_with_password" : undefined;
}

/** Where the span starts: at the prefix, except that a JSON pair starts at its key; -1 is no match. */
function matchStart(text: Utf8Text, prefix: Prefix, body: number): number {
  const start = body - prefix.text.length;
  return prefix.rule.form === "gcp" ? pairStart(text.bytes, start) : start;
}

/** Start of `"type" :` right before a JSON value, or -1. */
function pairStart(bytes: Uint8Array, value: number): number {
  const colon = skipSpacesBack(bytes, value) - 1;
  if (bytes[colon] !== 0x3a) return -1;
  const key = skipSpacesBack(bytes, colon) - TYPE_KEY.length;
  if (key < 0) return -1;
  return TYPE_KEY.every((byte, index) => ((bytes[key + index] ?? 0) | 0x20) === byte) ? key : -1;
}

/** `"type"`, each byte with the ASCII case bit set. */
const TYPE_KEY: readonly number[] = [...'"type"'].map((c) => c.charCodeAt(0) | 0x20);

function skipSpacesBack(bytes: Uint8Array, from: number): number {
  let at = from;
  while (at > 0 && from - at < PAIR_SPACES_MAX && (bytes[at - 1] ?? 0) <= 0x20) at--;
  return at;
}

/** `sk-ant-` starts like `sk-`: the longer prefix speaks, even when its own rule then fails. */
function continuesLonger(bytes: Uint8Array, prefix: Prefix, body: number): boolean {
  if (prefix.text !== "sk-") return false;
  return ((bytes[body] ?? 0) | 0x20) === 0x61 && ((bytes[body + 1] ?? 0) | 0x20) === 0x6e &&
    ((bytes[body + 2] ?? 0) | 0x20) === 0x74 && bytes[body + 3] === 0x2d;
}

function ruleHolds(
  text: Utf8Text,
  prefix: Prefix,
  start: number,
  body: number,
  base64: RunEnds,
): boolean {
  const { bytes } = text;
  const rule = prefix.rule;
  switch (rule.form) {
    case "token":
      return tokenHolds(text, prefix.text, rule, start, body);
    case "vendor":
      return sameCase(bytes, start, prefix.text) && startsWord(bytes, start) &&
        vendorHolds(text, rule, body, base64.end(body));
    case "aws":
      return sameCase(bytes, start, prefix.text) && awsBody(text, body);
    case "value":
      return rule.exact_case !== true || sameCase(bytes, start, prefix.text);
    case "gcp":
    case "url":
    case "pem":
      return true;
  }
}

function tokenHolds(
  text: Utf8Text,
  prefix: string,
  rule: PrefixRule & { form: "token" },
  start: number,
  body: number,
): boolean {
  // Real prefixes are lower case and start a word. `GHP_TOKEN` and "task-list" hold none; a long
  // unbroken token after such a prefix may still be a key that someone disguised.
  if (!startsWord(text.bytes, start) || !sameCase(text.bytes, start, prefix)) {
    const chars = run(text, body, rule.chars_glued, ALPHANUMERIC);
    return chars >= rule.chars_glued && mixedChars(text.bytes, body, chars);
  }
  const enough = Math.max(rule.chars_min, rule.chars_plain);
  const chars = run(text, body, enough, BASE64);
  return chars >= enough || chars >= rule.chars_min && mixedChars(text.bytes, body, chars);
}

/** @param head_end End of the base64 run after the prefix. */
function vendorHolds(
  text: Utf8Text,
  rule: PrefixRule & { form: "vendor" },
  body: number,
  head_end: number,
): boolean {
  const head = head_end - body;
  if (rule.dotted !== true) return head >= rule.chars_min;
  // Dotted tokens have at least two parts; one part alone is just base64.
  if (text.bytes[head_end] !== 0x2e) return false;
  return head + run(text, head_end + 1, rule.chars_min, BASE64) >= rule.chars_min;
}

/** True when the byte before is no ASCII letter or digit. */
function startsWord(bytes: Uint8Array, start: number): boolean {
  return start === 0 || (classAt(bytes, start - 1) & ALPHANUMERIC) === 0;
}

function sameCase(bytes: Uint8Array, start: number, expected: string): boolean {
  for (let index = 0; index < expected.length; index++) {
    if (bytes[start + index] !== expected.charCodeAt(index)) return false;
  }
  return true;
}

/** Ends of the runs of a byte class, asked for in ascending order, so that each is walked once. */
class RunEnds {
  readonly #text: Utf8Text;
  readonly #bits: number;
  #end = -1;

  constructor(text: Utf8Text, bits: number) {
    this.#text = text;
    this.#bits = bits;
  }

  end(from: number): number {
    if (this.#end < from) this.#end = from + run(this.#text, from, Infinity, this.#bits);
    return this.#end;
  }
}

/** Length of the run of a byte class at `from`, counted no further than `enough`. */
function run(text: Utf8Text, from: number, enough: number, bits: number): number {
  const end = Math.min(text.length, from + enough);
  let at = from;
  while (at < end && (classAt(text.bytes, at) & bits) !== 0) at++;
  return at - from;
}

/** True when a digit or an upper-case letter is among the characters: words have neither. */
function mixedChars(bytes: Uint8Array, from: number, chars: number): boolean {
  for (let at = from; at < from + chars; at++) {
    const byte = bytes[at] ?? 0;
    if (((CLASS[byte] ?? 0) & DIGIT) !== 0 || byte >= 0x41 && byte <= 0x5a) return true;
  }
  return false;
}

/** 16 upper-case letters or digits follow (trap S2: "Asia" and "asian" are no keys). */
function awsBody({ bytes, length }: Utf8Text, from: number): boolean {
  if (from + 16 > length) return false;
  for (let at = from; at < from + 16; at++) {
    const byte = bytes[at] ?? 0;
    if (!((byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a))) return false;
  }
  return true;
}

/** The address is not empty and, where asked, has `user:password@` in it. */
function urlHolds(
  { bytes }: Utf8Text,
  rule: PrefixRule & { form: "url" },
  body: number,
  end: number,
): boolean {
  if (rule.needs_password !== true) return end > body;
  const limit = Math.min(end, body + 512);
  let colon = -1;
  for (let at = body; at < limit; at++) {
    if (bytes[at] === 0x3a && colon < 0) colon = at;
    if (bytes[at] === 0x40) return colon >= 0 && at > colon + 1;
    if (bytes[at] === 0x2f) return false;
  }
  return false;
}
