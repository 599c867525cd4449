/**
 * The scanner: every pass in the one order that decides which finding comes first.
 *
 * @module
 */
import {
  type CertainSearch,
  decodeAndSearch,
  decodeBytes,
  type Decoding,
  escapesMatter,
} from "./decode/mod.ts";
import { DigitWatch, findDigits } from "./detectors/digits.ts";
import { EmailWatch, findEmails } from "./detectors/email.ts";
import { EntropyWatch, findEntropy, findRunTokens } from "./detectors/entropy.ts";
import { type LateSpan, LiteralWatch } from "./detectors/literal.ts";
import { isDisguise } from "./disguise.ts";
import type {
  ByteScanner,
  CredentialFinding,
  Finding,
  Inspection,
  LocaleFinding,
  Undecoded,
} from "./finding.ts";
import { blankLabels, holdsLabel } from "./labels.ts";
import { mergeDecoded } from "./merge.ts";
import { isKnownLocalePack } from "./locale/pack.ts";
import { findTaiwan } from "./locale/zh_tw.ts";
import { LIMITS } from "../limits.ts";
import { SCANNER_LIMITS } from "./limits.ts";
import type { CompiledPattern } from "./pattern.ts";
import { ScanLimitError, Spans } from "./spans.ts";
import { HAS_QUOTE, HAS_WIDE, sweep, type Watch } from "./sweep.ts";
import { copyText, encodeText, forgetText, type Utf8Text } from "./utf8.ts";

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
  /**
   * Only what looks exactly as its issuer makes it: word boundaries, real lengths and characters,
   * card ranges that are issued (trap S3). For texts full of look-alikes; the vectors do not hold.
   *
   * @default {false}
   */
  readonly strict?: boolean;
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
export function createScanner(options: ScannerOptions): ByteScanner {
  for (const tag of options.locale_packs) {
    if (!isKnownLocalePack(tag)) throw new UnknownLocalePackError(tag);
  }
  const { patterns, strict = false } = options;
  const taiwan = options.locale_packs.length > 0;
  const inspectText = (utf8: Utf8Text, text: () => string): Inspection => {
    try {
      const custom = patterns.length === 0 ? [] : findPatterns(patterns, text(), utf8.ascii);
      const locale = taiwan ? findTaiwan(utf8) : [];
      // Last, because it blanks labels in the encoded text.
      const builtin = findBuiltIn(utf8, strict);
      if (custom.length + locale.length === 0) return builtin;
      return { ...builtin, findings: merge(builtin.findings, custom, locale) };
    } finally {
      forgetText(utf8);
    }
  };
  const inspectBytes = (bytes: Uint8Array): Inspection => {
    const plain = inspectText(copyText(bytes), () => LENIENT.decode(bytes));
    const { findings, undecoded } = decodeBytes(bytes, certainSearch(strict));
    if (findings.length + undecoded.length === 0) return plain;
    return {
      findings: mergeDecoded(plain.findings, findings),
      undecoded: [...plain.undecoded, ...undecoded],
    };
  };
  return {
    scan: (text) => inspectText(encodeText(text), () => text).findings,
    scanBytes: (bytes) => inspectBytes(bytes).findings,
    inspect: (text) => inspectText(encodeText(text), () => text),
    inspectBytes,
  };
}

const LENIENT = new TextDecoder("utf-8", { ignoreBOM: true });

/** The built-in kinds alone: what runs when no policy asks for more. */
export const DEFAULT_SCANNER: ByteScanner = createScanner({ patterns: [], locale_packs: [] });

/**
 * Only forms that nothing but a credential has, disguised or not: no entropy, no numbers, no
 * addresses. For texts in which those are ordinary, such as a line of the audit log.
 */
export function scanCertain(text: string): CredentialFinding[] {
  const utf8 = encodeText(text);
  try {
    const watch = new Passes(utf8, false, false);
    const seen = sweep(utf8, watch, false);
    const spans = new Spans();
    watch.literal.finish(spans);
    spans.append(watch.entropy.spans);
    const { findings } = decode(utf8, seen, watch, false);
    return mergeDecoded(spans.findings(), findings).filter(({ kind, detector }) =>
      kind !== "CreditCardLuhn" && kind !== "SsnPattern" && detector !== "iban"
    );
  } finally {
    forgetText(utf8);
  }
}

/** What {@linkcode findForms} is asked for. */
export interface FormsOptions {
  /** Cards, social security numbers and IBANs too. */
  readonly numbers: boolean;
  /** See {@linkcode ScannerOptions.strict}. */
  readonly strict?: boolean;
}

/**
 * Adds what has a certain form: keys, tokens, addresses with passwords, and numbers where asked; no
 * entropy and no e-mail. This is what decoded pieces of a text are searched for. Nothing but the one
 * walk is paid for where nothing is found.
 */
export function findForms(text: Utf8Text, spans: Spans, options: FormsOptions): void {
  const watch = new Passes(text, options.strict === true, false);
  sweep(text, watch, false);
  const late = watch.literal.finish(spans);
  if (options.numbers) spans.append(watch.digit.spans);
  spans.append(watch.entropy.spans);
  for (const { kind, offset, end } of late) spans.add(kind, offset, end);
}

/** The detectors of one scan, woken by the walk. */
class Passes implements Watch {
  readonly #text: Utf8Text;
  readonly literal: LiteralWatch;
  readonly digit: DigitWatch;
  readonly mail: EmailWatch;
  readonly entropy: EntropyWatch;
  /** Starts of eight bytes that hold the first sign of an escape, as many as are kept. */
  readonly escapes: number[] = [];

  /** @param scored See {@linkcode EntropyWatch}. */
  constructor(text: Utf8Text, strict: boolean, scored: boolean) {
    this.#text = text;
    this.literal = new LiteralWatch(text, strict);
    this.digit = new DigitWatch(text, strict);
    this.mail = new EmailWatch(text);
    this.entropy = new EntropyWatch(text, scored);
  }

  prefix(at: number, pair: number): void {
    this.literal.seen(at, pair);
  }

  digits(at: number): void {
    this.digit.seen(at);
  }

  email(at: number): void {
    this.mail.seen(at);
  }

  run(at: number): number {
    return this.entropy.run(at);
  }

  token(at: number): number {
    return this.entropy.token(at);
  }

  split(at: number): number {
    return this.entropy.split(at);
  }

  escape(at: number): void {
    if (this.escapes.length <= SCANNER_LIMITS.calm_escape_blocks) this.escapes.push(at);
  }

  wide(at: number): boolean {
    return isDisguise(this.#text, at);
  }
}

/** What the built-in detectors found, and what could not be decoded for them. */
export interface BuiltIn {
  readonly findings: CredentialFinding[];
  readonly undecoded: readonly Undecoded[];
}

/**
 * The passes in the order of contract `interception` §2.1; what is decoded, which it lacks, comes
 * last.
 *
 * @private For tests.
 */
export function findBuiltIn(text: Utf8Text, strict: boolean): BuiltIn {
  const watch = new Passes(text, strict, true);
  const seen = sweep(text, watch, true);
  const decoded = decode(text, seen, watch, strict);
  const spans = new Spans();
  const late = watch.literal.finish(spans);
  spans.append(watch.digit.spans);
  spans.append(watch.mail.spans);
  if (watch.literal.label && holdsLabel(text)) {
    // Labels part tokens, so what was scored with them in it is scored again without.
    blankLabels(text);
    findEntropy(text, spans);
  } else {
    spans.append(watch.entropy.spans);
    watch.entropy.finish(spans);
  }
  for (const { kind, offset, end } of late) spans.add(kind, offset, end);
  const plain = spans.size === 0 ? [] : spans.findings();
  return {
    findings: mergeDecoded(plain, decoded.findings),
    undecoded: decoded.undecoded,
  };
}

/** @param seen What the walk over the text returned. */
function decode(text: Utf8Text, seen: number, watch: Passes, strict: boolean): Decoding {
  const { long_runs } = watch.entropy;
  const escapes = (seen & ~HAS_QUOTE) !== 0;
  const calm = escapes && (seen & HAS_WIDE) === 0 && watch.literal.isQuiet() &&
    !escapesMatter(text, watch.escapes, long_runs);
  const signs = {
    escapes,
    calm,
    quotes: (seen & HAS_QUOTE) !== 0,
    long_runs,
  };
  return decodeAndSearch(text, signs, certainSearch(strict));
}

/**
 * Looks for known forms behind encodings. Entropy and addresses are left out: both would fire on
 * ordinary text that happens to be encoded.
 */
function certainSearch(strict: boolean): CertainSearch {
  return (text, numbers, report) => {
    const spans = new Spans();
    findForms(text, spans, { numbers, strict });
    for (const span of spans.list()) report(span);
  };
}

/**
 * The built-in kinds with every pass run over all of the text: what the one walk, which wakes the
 * passes only where it saw a sign, must agree with.
 *
 * @private For tests.
 */
export function scanThoroughly(text: Utf8Text, strict = false): CredentialFinding[] {
  const decoded = decodeAndSearch(
    text,
    { escapes: true, quotes: true },
    (view, numbers, report) => {
      const hidden = new Spans();
      const late = findPrefixes(view, hidden, strict);
      if (numbers) findDigits(view, hidden, strict);
      findRunTokens(view, hidden);
      for (const span of [...hidden.list(), ...late]) report(span);
    },
  );
  const spans = new Spans();
  const late = findPrefixes(text, spans, strict);
  findDigits(text, spans, strict);
  findEmails(text, spans);
  blankLabels(text);
  findEntropy(text, spans);
  for (const { kind, offset, end } of late) spans.add(kind, offset, end);
  return mergeDecoded(spans.findings(), decoded.findings);
}

/** Every pair of the text is looked at, not every second, and none for its signs. */
function findPrefixes(text: Utf8Text, spans: Spans, strict: boolean): readonly LateSpan[] {
  const literal = new LiteralWatch(text, strict);
  for (let at = 0; at < text.length; at++) literal.test(at);
  return literal.finish(spans);
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
