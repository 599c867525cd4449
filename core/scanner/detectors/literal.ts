/**
 * Finds where literal prefixes stand (contract `interception` §2.2): what they are prefixes of is
 * judged in `literal_judge.ts`.
 *
 * @module
 */
import { SCANNER_LIMITS } from "../limits.ts";
import { prefixPlaces } from "../pair_table.ts";
import type { Spans } from "../spans.ts";
import type { Utf8Text } from "../utf8.ts";
import { type LateSpan, LiteralJudge, TYPE_KEY } from "./literal_judge.ts";
import { PREFIXES } from "./prefix.ts";

export type { LateSpan } from "./literal_judge.ts";

/** White space allowed on each side of the colon of a JSON pair. */
const PAIR_SPACES_MAX = 16;

/** Room for the index of a prefix behind a place in one number. */
const PREFIXES_MAX = 4_096;

/** The prefixes in lower case, as bytes. */
const TEXTS: readonly Uint8Array[] = PREFIXES.map(({ text, exact_case }) =>
  new TextEncoder().encode(exact_case ? text : text.toLowerCase())
);

/** Notes where prefixes stand while the text is swept, and judges them afterwards. */
export class LiteralWatch {
  readonly #text: Utf8Text;
  readonly #strict: boolean;
  /** Start of the match times {@linkcode PREFIXES_MAX} plus the index of its prefix. */
  readonly #matches: number[] = [];
  #label = false;

  constructor(text: Utf8Text, strict: boolean) {
    this.#text = text;
    this.#strict = strict;
  }

  /** True when the text may hold a label of the scanner's own. */
  get label(): boolean {
    return this.#label;
  }

  /** Takes note of the prefixes that the pair at a place belongs to. */
  seen(at: number, pair: number): void {
    for (const { prefix, offset } of prefixPlaces(pair)) this.#note(prefix, at - offset);
  }

  /** Takes note of the prefixes that start at a place. */
  test(from: number): void {
    for (let prefix = 0; prefix < PREFIXES.length; prefix++) this.#note(prefix, from);
  }

  /** True when no prefix stands in the text, but for the `://` of addresses without a password. */
  isQuiet(): boolean {
    return this.#matches.every((match) => {
      const prefix = PREFIXES[match % PREFIXES_MAX];
      if (prefix?.rule.form !== "userinfo") return false;
      return !mayHoldPassword(this.#text, Math.floor(match / PREFIXES_MAX) + prefix.text.length);
    });
  }

  #note(prefix: number, from: number): void {
    if (!this.#holds(prefix, from)) return;
    if (from > 0 && PREFIXES[prefix]?.at_start === true) return;
    const form = PREFIXES[prefix]?.rule.form;
    if (form === "label") {
      this.#label = true;
      return;
    }
    const start = form === "gcp" ? pairStart(this.#text.bytes, from) : from;
    if (start >= 0) this.#matches.push(start * PREFIXES_MAX + prefix);
  }

  #holds(prefix: number, from: number): boolean {
    const text = TEXTS[prefix];
    if (text === undefined || from < 0 || from + text.length > this.#text.length) return false;
    const { bytes } = this.#text;
    const exact_case = PREFIXES[prefix]?.exact_case === true;
    for (let index = 0; index < text.length; index++) {
      const byte = bytes[from + index] as number;
      if (byte === text[index]) continue;
      if (exact_case || byte < 0x41 || byte > 0x5a || (byte | 0x20) !== text[index]) return false;
    }
    return true;
  }

  /**
   * Judges the matches from left to right, of several at one place the longest. A span reaches from
   * the prefix to the next terminator; the next prefix is looked for right after the previous one,
   * so spans may overlap, prefixes never do.
   *
   * @returns The values of Azure keys, which §2.1 ranks behind every other pass.
   */
  finish(spans: Spans): readonly LateSpan[] {
    if (this.#matches.length === 0) return NOTHING;
    const judge = new LiteralJudge(this.#text, this.#strict, spans);
    this.#matches.sort((a, b) => a - b);
    let previous = -1;
    for (const match of this.#matches) {
      const start = Math.floor(match / PREFIXES_MAX);
      const prefix = PREFIXES[match % PREFIXES_MAX];
      // Shorter prefixes have higher indices, and come after the longer ones.
      if (prefix !== undefined && start !== previous) judge.judge(prefix, start);
      previous = start;
    }
    judge.addWeak();
    return judge.late;
  }
}

const NOTHING: readonly LateSpan[] = [];

/** Whether an `@` comes before what ends the host of an address, escaped or not. */
function mayHoldPassword({ bytes, length }: Utf8Text, body: number): boolean {
  for (let at = body; at < length; at++) {
    const byte = bytes[at] as number;
    if (byte === 0x40) return true;
    if (byte === 0x2f || byte === 0x22 || byte === 0x27 || byte <= 0x20) return false;
    if (at - body > SCANNER_LIMITS.userinfo_bytes * 3) return true;
  }
  return false;
}

/** Start of `"type" :` right before a JSON value, or -1. */
function pairStart(bytes: Uint8Array, value: number): number {
  const colon = skipSpacesBack(bytes, value) - 1;
  if (bytes[colon] !== 0x3a) return -1;
  const key = skipSpacesBack(bytes, colon) - TYPE_KEY.length;
  if (key < 0) return -1;
  return TYPE_KEY.every((byte, index) => ((bytes[key + index] ?? 0) | 0x20) === byte) ? key : -1;
}

function skipSpacesBack(bytes: Uint8Array, from: number): number {
  let at = from;
  while (at > 0 && from - at < PAIR_SPACES_MAX && (bytes[at - 1] ?? 0) <= 0x20) at--;
  return at;
}
