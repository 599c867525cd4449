/**
 * The scanner: every pass in the one order that decides which finding comes first.
 *
 * @module
 */
import { type DecodedText, decodeText } from "./decode.ts";
import { DigitWatch, findDigits } from "./detectors/digits.ts";
import { EmailWatch, findEmails } from "./detectors/email.ts";
import { EntropyWatch, findEntropy } from "./detectors/entropy.ts";
import { type LateSpan, LiteralWatch } from "./detectors/literal.ts";
import { isDisguise } from "./disguise.ts";
import type { ByteScanner, CredentialFinding, Finding, LocaleFinding } from "./finding.ts";
import { blankLabels, holdsLabel } from "./labels.ts";
import { isKnownLocalePack } from "./locale/pack.ts";
import { findTaiwan } from "./locale/zh_tw.ts";
import { LIMITS } from "../limits.ts";
import type { CompiledPattern } from "./pattern.ts";
import { ScanLimitError, Spans } from "./spans.ts";
import { sweep, type Watch } from "./sweep.ts";
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
  const scanText = (utf8: Utf8Text, text: () => string): Finding[] => {
    try {
      const custom = patterns.length === 0 ? [] : findPatterns(patterns, text(), utf8.ascii);
      const locale = taiwan ? findTaiwan(utf8) : [];
      // Last, because it blanks labels in the encoded text.
      const builtin = findBuiltIn(utf8, strict);
      if (custom.length + locale.length === 0) return builtin;
      return merge(builtin, custom, locale);
    } finally {
      forgetText(utf8);
    }
  };
  return {
    scan: (text) => scanText(encodeText(text), () => text),
    scanBytes: (bytes) => scanText(copyText(bytes), () => LENIENT.decode(bytes)),
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
    const watch = new Passes(utf8, false);
    const seen = sweep(utf8, watch, false);
    const spans = new Spans();
    watch.literal.finish(spans);
    const decoded = seen === 0 ? undefined : decodeText(utf8);
    if (decoded !== undefined) findDisguised(decoded, spans, false);
    return spans.findings().filter(({ kind, detector }) =>
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
  const watch = new Passes(text, options.strict === true);
  sweep(text, watch, false);
  const late = watch.literal.finish(spans);
  if (options.numbers) spans.append(watch.digit.spans);
  for (const { kind, offset, end } of late) spans.add(kind, offset, end);
}

/** The detectors of one scan, woken by the walk. */
class Passes implements Watch {
  readonly #text: Utf8Text;
  readonly literal: LiteralWatch;
  readonly digit: DigitWatch;
  readonly mail: EmailWatch;
  readonly entropy: EntropyWatch;

  constructor(text: Utf8Text, strict: boolean) {
    this.#text = text;
    this.literal = new LiteralWatch(text, strict);
    this.digit = new DigitWatch(text, strict);
    this.mail = new EmailWatch(text);
    this.entropy = new EntropyWatch(text);
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

  token(at: number): number {
    return this.entropy.token(at);
  }

  split(at: number): number {
    return this.entropy.split(at);
  }

  wide(at: number): boolean {
    return isDisguise(this.#text, at);
  }
}

/**
 * The passes in the order of contract `interception` §2.1; escapes, which it lacks, come last.
 *
 * @private For tests.
 */
export function findBuiltIn(text: Utf8Text, strict: boolean): CredentialFinding[] {
  const watch = new Passes(text, strict);
  const seen = sweep(text, watch, true);
  const decoded = seen === 0 ? undefined : decodeText(text);
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
  if (decoded !== undefined) findDisguised(decoded, spans, strict);
  return spans.size === 0 ? [] : spans.findings();
}

/**
 * Looks for known forms behind escapes. Entropy and addresses are left out: escapes are common
 * where both would fire on ordinary text.
 */
function findDisguised(decoded: DecodedText, spans: Spans, strict: boolean): void {
  const hidden = new Spans();
  findForms(decoded, hidden, { numbers: true, strict });
  const { origins } = decoded;
  for (const { kind, offset, end, ...details } of hidden.list()) {
    spans.add(kind, origins[offset] as number, origins[end] as number, details);
  }
}

/**
 * The built-in kinds with every pass run over all of the text: what the one walk, which wakes the
 * passes only where it saw a sign, must agree with.
 *
 * @private For tests.
 */
export function scanThoroughly(text: Utf8Text, strict = false): CredentialFinding[] {
  const decoded = decodeText(text);
  const spans = new Spans();
  const late = findPrefixes(text, spans, strict);
  findDigits(text, spans, strict);
  findEmails(text, spans);
  blankLabels(text);
  findEntropy(text, spans);
  for (const { kind, offset, end } of late) spans.add(kind, offset, end);
  if (decoded !== undefined) {
    const hidden = new Spans();
    const hidden_late = findPrefixes(decoded, hidden, strict);
    findDigits(decoded, hidden, strict);
    for (const { kind, offset, end, ...details } of [...hidden.list(), ...hidden_late]) {
      const { origins } = decoded;
      spans.add(kind, origins[offset] as number, origins[end] as number, details);
    }
  }
  return spans.findings();
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
