/**
 * Locale pack `zh-TW`: identity numbers, phone numbers and business numbers of Taiwan
 * (contract `interception` §2.9). Opt-in per policy.
 *
 * @module
 */
import type { LocaleFinding } from "../finding.ts";
import type { Utf8Text } from "../utf8.ts";
import { type Characters, codeAt, foldCharacters, isCjk, isSpace } from "./characters.ts";
import { businessEnd } from "./zh_tw_business.ts";
import { identityAt } from "./zh_tw_identity.ts";
import { phoneAt } from "./zh_tw_phone.ts";

/** A match before its label is looked for. */
interface Match {
  readonly category: string;
  /** Index after the last character. */
  readonly end: number;
  readonly labels: RegExp;
  readonly confidence: "medium" | "low";
  /** What must be true when no label stands before the match. */
  readonly unlabelled: (text: Characters, from: number, to: number) => boolean;
}

/** Bytes before a match in which a label counts. */
const LABEL_BYTES = 32;

const IDENTITY_LABELS = /身[分份]證|居留證|統一證號/;
const PHONE_LABELS = /電話|手機|行動電話|市話|傳真/;
const TAX_LABELS =
  /統一編號|統編|營業人|營利事業|(?<![a-z])(?:tax[ _-]?(?:id|no|number)|business[ _-]number|uniform[ _-]invoice|vat)(?![a-z])/;

const always = (): boolean => true;

/** Finds the entities in one walk, left to right; what a match covers is not looked at again. */
export function findTaiwan(text: Utf8Text): LocaleFinding[] {
  if (!holdsDigitRun(text)) return [];
  const characters = foldCharacters(text);
  const findings: LocaleFinding[] = [];
  for (let at = 0; at < characters.length;) {
    const finding = findingAt(characters, at);
    if (finding === undefined) {
      at++;
      continue;
    }
    findings.push(finding.value);
    at = finding.next;
  }
  return findings;
}

/** Digits, separators and brackets in a row, as every entity has at least. */
const DIGIT_RUN_MIN = 8;

/** True when an entity is possible at all: most texts have no such run. */
function holdsDigitRun({ bytes, length }: Utf8Text): boolean {
  let digits = 0;
  for (let at = 0; at < length; at++) {
    const byte = bytes[at] as number;
    // Digits, and the last bytes of full-width ones; any byte outside ASCII may be part of one.
    if ((byte >= 0x30 && byte <= 0x39) || (byte >= 0x90 && byte <= 0x99)) digits++;
    else if (byte < 0x80 && !NUMBER_MARKS.has(byte)) digits = 0;
    if (digits >= DIGIT_RUN_MIN) return true;
  }
  return false;
}

/** What may stand between the digits of one number: space, `(`, `)`, `-`. */
const NUMBER_MARKS: ReadonlySet<number> = new Set([0x20, 0x28, 0x29, 0x2d]);

function findingAt(
  text: Characters,
  at: number,
): { readonly value: LocaleFinding; readonly next: number } | undefined {
  const match = matchAt(text, at);
  if (match === undefined) return undefined;
  const labelled = match.labels.test(before(text, at));
  if (!labelled && !match.unlabelled(text, at, match.end)) return undefined;
  return {
    value: {
      source: "locale",
      category: match.category,
      offset: text.offsets[at] ?? 0,
      end: text.offsets[match.end] ?? 0,
      confidence: labelled ? (match.confidence === "low" ? "medium" : "high") : match.confidence,
    },
    next: match.end,
  };
}

/** Identity, then phone, then business: the order of the contract. */
function matchAt(text: Characters, at: number): Match | undefined {
  const code = codeAt(text, at);
  // Full-width `（` and `＋` are the only other characters an entity starts with.
  if (code >= 0x80 && code !== 0xff08 && code !== 0xff0b) return undefined;
  const identity = identityAt(text, at);
  if (identity !== undefined) {
    return {
      category: `NATIONAL_ID[zh-TW/${identity.variant}]`,
      end: at + 10,
      labels: IDENTITY_LABELS,
      confidence: "medium",
      // A small letter before nine digits is more often part of a code than of an identity.
      unlabelled: identity.upper_case ? always : () => false,
    };
  }
  const phone = phoneAt(text, at);
  if (phone !== undefined) {
    return {
      category: `PHONE_NUMBER[zh-TW/${phone.variant}]`,
      end: phone.end,
      labels: PHONE_LABELS,
      confidence: phone.variant === "mobile" ? "medium" : "low",
      unlabelled: always,
    };
  }
  const end = businessEnd(text, at);
  if (end < 0) return undefined;
  return {
    category: "TAX_IDENTIFIER[zh-TW/business_id]",
    end,
    labels: TAX_LABELS,
    confidence: "low",
    unlabelled: inProse,
  };
}

/** The bytes in which a label counts, as lower-case text; a character cut by the bound is left out. */
function before(text: Characters, at: number): string {
  const limit = (text.offsets[at] ?? 0) - LABEL_BYTES;
  let from = at;
  while (from > 0 && (text.offsets[from - 1] ?? 0) >= limit) from--;
  return String.fromCodePoint(...text.codes.subarray(from, at)).toLowerCase();
}

/** Set off by white space or CJK on both sides, and written after CJK or other non-ASCII text. */
function inProse(text: Characters, from: number, to: number): boolean {
  if (!isEdge(codeAt(text, from - 1)) || !isEdge(codeAt(text, to))) return false;
  let left = from - 1;
  while (isSpace(codeAt(text, left))) left--;
  return codeAt(text, left) >= 0x80;
}

function isEdge(code: number): boolean {
  return code === -1 || isSpace(code) || isCjk(code);
}
