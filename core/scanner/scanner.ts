/**
 * The scanner: every pass in the one order that decides which finding comes first.
 *
 * @module
 */
import { type DecodedText, decodeText, mayBeEscaped } from "./decode.ts";
import { findDigits } from "./detectors/digits.ts";
import { findEmails } from "./detectors/email.ts";
import { findEntropy } from "./detectors/entropy.ts";
import { findLiterals, type LateSpan } from "./detectors/literal.ts";
import type { CredentialFinding, Finding, LocaleFinding, Scanner } from "./finding.ts";
import { blankLabels, LABEL_START } from "./labels.ts";
import { isKnownLocalePack } from "./locale/pack.ts";
import { findTaiwan } from "./locale/zh_tw.ts";
import { LIMITS } from "../limits.ts";
import type { CompiledPattern } from "./pattern.ts";
import { ScanLimitError, Spans } from "./spans.ts";
import { HAS_DIGITS, HAS_PREFIX, sweep } from "./sweep.ts";
import { encodeText, forgetText, type Utf8Text } from "./utf8.ts";

/** Raised when a policy names a locale pack that this build does not contain. */
export class UnknownLocalePackError extends Error {
  /** The tag as the policy wrote it. */
  readonly tag: string;

  constructor(tag: string) {
    super(`unknown locale pack \`${tag}\`: expected \`zh-TW\``);
    this.name = "UnknownLocalePackError";
    this.tag = tag;
  }
}

/** What a scanner looks for besides the built-in kinds. */
export interface ScannerOptions {
  /** Compiled `data.sensitive_patterns`. */
  readonly patterns: readonly CompiledPattern[];
  /** Language tags of `data.locale_packs`, compared without regard to case. */
  readonly locale_packs: readonly string[];
}

/**
 * Makes a scanner.
 *
 * Its `scan` finds the 27 built-in kinds, then the patterns, then the locale packs, and returns
 * all findings by offset, ties in that order (contract `interception` §2.1,
 * `policy-and-gateway` §4.7). It throws {@linkcode ScanLimitError} when a text holds more than
 * `LIMITS.scan_findings` findings; the caller then treats the whole text as one finding.
 *
 * @throws {UnknownLocalePackError} Naming the first tag that is not known.
 */
export function createScanner(options: ScannerOptions): Scanner {
  for (const tag of options.locale_packs) {
    if (!isKnownLocalePack(tag)) throw new UnknownLocalePackError(tag);
  }
  const { patterns } = options;
  const taiwan = options.locale_packs.length > 0;
  return {
    scan(text: string): Finding[] {
      const utf8 = encodeText(text);
      try {
        const custom = patterns.length === 0 ? [] : findPatterns(patterns, text, utf8.ascii);
        const locale = taiwan ? findTaiwan(utf8) : [];
        // Last, because it blanks labels in the encoded text.
        const builtin = findBuiltIn(text, utf8);
        if (custom.length + locale.length === 0) return builtin;
        return merge(builtin, custom, locale);
      } finally {
        forgetText(utf8);
      }
    },
  };
}

/** The built-in kinds alone: what runs when no policy asks for more. */
export const DEFAULT_SCANNER: Scanner = createScanner({ patterns: [], locale_packs: [] });

/**
 * Only forms that nothing but a credential has, disguised or not: no entropy, no numbers, no
 * addresses. For texts in which those are ordinary, such as a line of the audit log.
 */
export function scanCertain(text: string): CredentialFinding[] {
  const utf8 = encodeText(text);
  try {
    const escapes = mayBeEscaped(text, utf8.ascii);
    if (!escapes && (sweep(utf8) & HAS_PREFIX) === 0) return [];
    const spans = new Spans();
    for (const { kind, offset, end } of findLiterals(utf8, spans)) spans.add(kind, offset, end);
    const decoded = escapes ? decodeText(utf8) : undefined;
    if (decoded !== undefined) findDisguised(decoded, spans);
    return spans.findings().filter(({ kind }) =>
      kind !== "CreditCardLuhn" && kind !== "SsnPattern"
    );
  } finally {
    forgetText(utf8);
  }
}

/**
 * Which passes a text needs; the entropy pass always runs.
 *
 * @private For tests, like {@linkcode runPasses}.
 */
export interface Passes {
  readonly literal: boolean;
  readonly digits: boolean;
  readonly email: boolean;
  readonly labels: boolean;
  readonly escapes: boolean;
}

function findBuiltIn(text: string, utf8: Utf8Text): CredentialFinding[] {
  const seen = sweep(utf8);
  return runPasses(utf8, {
    literal: (seen & HAS_PREFIX) !== 0,
    digits: (seen & HAS_DIGITS) !== 0,
    email: text.includes("@"),
    labels: text.includes(LABEL_START),
    escapes: mayBeEscaped(text, utf8.ascii),
  });
}

/** The passes in the order of contract `interception` §2.1; escapes, which it lacks, come last. */
export function runPasses(utf8: Utf8Text, passes: Passes): CredentialFinding[] {
  const spans = new Spans();
  let late: readonly LateSpan[] = [];
  const decoded = passes.escapes ? decodeText(utf8) : undefined;
  if (passes.literal) late = findLiterals(utf8, spans);
  if (passes.digits) findDigits(utf8, spans);
  if (passes.email) findEmails(utf8, spans);
  if (passes.labels) blankLabels(utf8);
  findEntropy(utf8, spans);
  for (const { kind, offset, end } of late) spans.add(kind, offset, end);
  if (decoded !== undefined) findDisguised(decoded, spans);
  return spans.size === 0 ? [] : spans.findings();
}

/**
 * Looks for known forms behind escapes. Entropy and addresses are left out: escapes are common
 * where both would fire on ordinary text.
 */
function findDisguised(decoded: DecodedText, spans: Spans): void {
  const seen = sweep(decoded);
  if (seen === 0) return;
  const hidden = new Spans();
  const late = findLiterals(decoded, hidden);
  findDigits(decoded, hidden);
  const { origins } = decoded;
  for (const { kind, offset, end, detector } of [...hidden.list(), ...late]) {
    spans.add(kind, origins[offset] as number, origins[end] as number, detector);
  }
}

/**
 * The built-in kinds with every pass run, whatever the text: what the fast way must agree with.
 *
 * @private For tests.
 */
export function scanThoroughly(text: string): CredentialFinding[] {
  return runPasses(encodeText(text), {
    literal: true,
    digits: true,
    email: true,
    labels: true,
    escapes: true,
  });
}

function findPatterns(
  patterns: readonly CompiledPattern[],
  text: string,
  ascii: boolean,
): CredentialFinding[] {
  const found: CredentialFinding[] = [];
  for (const pattern of patterns) {
    pattern.search(text, ascii, (offset, end) => {
      if (found.length >= LIMITS.scan_findings) {
        throw new ScanLimitError("the number of findings", LIMITS.scan_findings);
      }
      found.push({ source: "pattern", kind: "Custom", offset, end });
    });
  }
  return found;
}

function merge(
  builtin: readonly CredentialFinding[],
  custom: readonly CredentialFinding[],
  locale: readonly LocaleFinding[],
): Finding[] {
  const all: Finding[] = [...builtin, ...custom, ...locale];
  if (all.length > LIMITS.scan_findings) {
    throw new ScanLimitError("the number of findings", LIMITS.scan_findings);
  }
  return all.sort((a, b) => a.offset - b.offset);
}
