/**
 * Judges what stands behind a literal prefix, and how far the finding reaches (contract
 * `interception` §2.2, §2.3).
 *
 * @module
 */
import { ALPHANUMERIC, BASE64, CLASS, classAt, DIGIT, nextTerminator } from "../byte_class.ts";
import type { CredentialKind } from "../finding.ts";
import { SCANNER_LIMITS } from "../limits.ts";
import type { Details, Spans } from "../spans.ts";
import type { Utf8Text } from "../utf8.ts";
import { schemeOf } from "./addresses.ts";
import { checksumHolds, githubChecksumHolds, isBasicAuth, jwtHeaderHolds } from "./checksum.ts";
import type { Prefix, PrefixRule } from "./prefix.ts";
import { PemBlocks, puttyEnd } from "./private_key.ts";
import { CAPITALS_DIGITS, LETTERS_DIGITS, OPAQUE, SHAPE, ShapeReader } from "./shape.ts";

/** Shorter ones are too likely something else. */
const JWT_CHARS_MIN = 40;

/** A span that belongs to the last pass of §2.1. */
export interface LateSpan {
  readonly kind: CredentialKind;
  readonly offset: number;
  readonly end: number;
}

/** A finding that yields to others: only a name in front of the value gives it away. */
interface WeakSpan {
  readonly offset: number;
  readonly end: number;
  readonly prefix: Prefix;
}

/** Judges the matches of one text, whose starts ascend. */
export class LiteralJudge {
  readonly #text: Utf8Text;
  readonly #strict: boolean;
  readonly #spans: Spans;
  readonly #pem: PemBlocks;
  readonly #shapes: ShapeReader;
  readonly #terminators: Terminators;
  readonly #weak: WeakSpan[] = [];
  readonly late: LateSpan[] = [];
  /** End of the last prefix that counted. */
  #free_from = 0;
  /** End of the last vendor's token: there is no second one inside it. */
  #vendor_end = 0;
  /** End of the last cookie header. */
  #cookies_end = 0;

  constructor(text: Utf8Text, strict: boolean, spans: Spans) {
    this.#text = text;
    this.#strict = strict;
    this.#spans = spans;
    this.#pem = new PemBlocks(text);
    this.#shapes = new ShapeReader(text);
    this.#terminators = new Terminators(text);
  }

  judge(prefix: Prefix, start: number): void {
    const { rule } = prefix;
    const body = rule.form === "gcp"
      ? valueEnd(this.#text.bytes, start)
      : start + prefix.text.length;
    if (start < this.#free_from) return;
    switch (rule.form) {
      case "token":
        if (!this.#tokenHolds(prefix, rule, start, body)) return;
        return this.#addToTerminator(
          prefix,
          start,
          body,
          rule.checksum === true && githubChecksumHolds(this.#text, body),
        );
      case "aws":
        if (!awsBody(this.#text, body, this.#strict) || this.#strict && !this.#startsWord(start)) {
          return;
        }
        return this.#addToTerminator(prefix, start, body);
      case "gcp":
        return this.#addToTerminator(prefix, start, body);
      case "value":
        if (this.#strict && rule.strict !== undefined) {
          if (this.#shapes.end(rule.strict, body, true) < 0) return;
        }
        if (!rule.late) return this.#addToTerminator(prefix, start, body);
        this.#free_from = body;
        return this.#addLate(prefix.kind, start, this.#terminators.after(body));
      case "url":
        if (!this.#urlHolds(rule.needs_password || this.#strict, body)) return;
        return this.#addToTerminator(prefix, start, body);
      case "pem":
        this.#free_from = body;
        return this.#spans.add(
          prefix.kind,
          start,
          this.#pem.end(body, this.#terminators.after(body)),
        );
      case "putty":
        return this.#addPutty(prefix, start, body);
      case "vendor":
        return this.#addVendor(prefix, rule, start, body);
      case "userinfo":
        return this.#addUserinfo(start, body);
      case "assigned":
        return this.#addAssigned(prefix, rule, start, body);
      case "cookie":
        return this.#addCookies(prefix, body);
      case "label":
        return;
    }
  }

  #addToTerminator(prefix: Prefix, start: number, body: number, verified = false): void {
    this.#free_from = body;
    const end = this.#terminators.after(body);
    this.#spans.add(prefix.kind, start, end, verified ? VERIFIED : undefined);
  }

  #addLate(kind: CredentialKind, offset: number, end: number): void {
    // One value may hold the marker again and again: it is still one value.
    const last = this.late[this.late.length - 1];
    if (last === undefined || last.end !== end) this.late.push({ kind, offset, end });
  }

  #startsWord(start: number): boolean {
    return start === 0 || !this.#isWord(start - 1);
  }

  #isWord(at: number): boolean {
    return (classAt(this.#text.bytes, at) & ALPHANUMERIC) !== 0;
  }

  #tokenHolds(
    prefix: Prefix,
    rule: PrefixRule & { form: "token" },
    start: number,
    body: number,
  ): boolean {
    const text = this.#text;
    const plain = this.#startsWord(start) && sameCase(text.bytes, start, prefix.text);
    if (this.#strict) return plain && this.#shapes.end(rule.strict, body, true) >= 0;
    // Real prefixes are lower case and start a word. `GHP_TOKEN` and "task-list" hold none; a long
    // unbroken token after such a prefix may still be a key that someone disguised.
    if (!plain) {
      const chars = run(text, body, rule.chars_glued, ALPHANUMERIC);
      return chars >= rule.chars_glued && mixedChars(text.bytes, body, chars);
    }
    const enough = Math.max(rule.chars_min, rule.chars_plain);
    const chars = run(text, body, enough, BASE64);
    return chars >= enough || chars >= rule.chars_min && mixedChars(text.bytes, body, chars);
  }

  #addVendor(
    prefix: Prefix,
    rule: PrefixRule & { form: "vendor" },
    start: number,
    body: number,
  ): void {
    const { bytes } = this.#text;
    // A quote or sign in front of the prefix is there to make it rare.
    let from = rule.before === undefined && !this.#isWord(start) ? start + 1 : start;
    if (rule.before !== undefined) {
      const { chars, least, most } = rule.before;
      while (from > 0 && start - from <= most && shapeAt(bytes, from - 1, chars)) from--;
      if (start - from < least || start - from > most) return;
    }
    if (from < this.#vendor_end || !this.#startsWord(from)) return;
    const end = this.#shapes.end(rule.shape, body, this.#strict);
    if (end < 0) return;
    if (
      (rule.closed === true || this.#strict) && (classAt(bytes, end) & ALPHANUMERIC) !== 0
    ) return;
    if (rule.mixed === true && !holdsLetterAndDigit(bytes, body, end)) return;
    if (rule.checksum === "jwt_header" && end - from < JWT_CHARS_MIN) return;
    const verified = rule.checksum === "jwt_header"
      ? jwtHeaderHolds(bytes, from, end)
      : rule.checksum === "crc32_base62" && checksumHolds(bytes, body, end);
    this.#free_from = body;
    this.#vendor_end = end;
    this.#spans.add(prefix.kind, from, end, details(prefix, verified));
  }

  #urlHolds(needs_password: boolean, body: number): boolean {
    const end = this.#terminators.after(body);
    return needs_password ? passwordIn(this.#text, body, end) >= 0 : end > body;
  }

  /** `://`: what stands before it names the scheme. */
  #addUserinfo(start: number, body: number): void {
    const { bytes } = this.#text;
    let from = start;
    while (
      from > 0 && start - from <= SCANNER_LIMITS.scheme_chars &&
      isSchemeByte(bytes[from - 1] as number)
    ) from--;
    if (start - from > SCANNER_LIMITS.scheme_chars || start === from) return;
    const scheme = schemeOf(String.fromCharCode(...bytes.subarray(from, start)));
    if (scheme === undefined) return;
    const end = this.#terminators.after(body);
    const password = passwordIn(this.#text, body, end);
    if (password < 0 || isPlaceholder(bytes[password] as number)) return;
    this.#free_from = body;
    this.#spans.add(scheme.kind, from, end, details(scheme, false));
  }

  #addAssigned(
    prefix: Prefix,
    rule: PrefixRule & { form: "assigned" },
    start: number,
    body: number,
  ): void {
    const { bytes } = this.#text;
    // A name may have a longer name around it, such as `MY_AWS_SECRET_KEY`.
    const from = rule.glued ? body : assignedFrom(bytes, body);
    if (from < 0) return;
    if (rule.glued && /^[a-z]/i.test(prefix.text) && !this.#startsWord(start)) return;
    const end = this.#shapes.end(rule.value, from, rule.closed || this.#strict);
    if (end < 0 || isPlaceholder(bytes[from] as number)) return;
    if (rule.closed && shapeAt(bytes, end, LETTERS_DIGITS)) return;
    if (rule.check === "mixed" && !holdsLetterAndDigit(bytes, from, end)) return;
    if (rule.check === "basic_auth" && !isBasicAuth(bytes, from, end)) return;
    this.#free_from = body;
    this.#weak.push({ offset: from, end, prefix });
  }

  /** Values of a cookie header that are long and mixed enough to open a session. */
  #addCookies(prefix: Prefix, body: number): void {
    const { bytes, length } = this.#text;
    if (body < this.#cookies_end) return;
    const limit = Math.min(length, body + SCANNER_LIMITS.cookie_bytes);
    let at = body;
    let quotes = 0;
    while (at < limit && (bytes[at] as number) >= 0x20) {
      const byte = bytes[at] as number;
      // A JSON string ends with its second quote.
      if ((byte === 0x22 || byte === 0x27) && ++quotes > 1) break;
      if (byte !== 0x3d) {
        at++;
        continue;
      }
      const end = Math.min(limit, this.#shapes.runEnd(OPAQUE, at + 1));
      if (end - at > COOKIE_VALUE_CHARS_MIN && holdsLetterAndDigit(bytes, at + 1, end)) {
        this.#weak.push({ offset: at + 1, end, prefix });
      }
      at = Math.max(end, at + 1);
    }
    this.#cookies_end = at;
  }

  #addPutty(prefix: Prefix, start: number, body: number): void {
    const end = puttyEnd(this.#text, body);
    if (end < 0) return;
    this.#free_from = end;
    this.#spans.add(prefix.kind, start, end, details(prefix, false));
  }

  /** Adds what only a name gives away, unless the value is known by a form of its own. */
  addWeak(): void {
    if (this.#weak.length === 0) return;
    const covered = this.#spans.covered();
    let next = 0;
    for (const { offset, end, prefix } of this.#weak.sort((a, b) => a.offset - b.offset)) {
      while ((covered[next]?.end ?? Infinity) <= offset) next++;
      if ((covered[next]?.offset ?? Infinity) < end) continue;
      this.#spans.add(prefix.kind, offset, end, details(prefix, false));
    }
  }
}

const VERIFIED: Details = { verified: true };

function details({ detector }: Pick<Prefix, "detector">, verified: boolean): Details {
  const name = detector === undefined ? {} : { detector };
  return verified ? { ...name, verified } : name;
}

/** Terminators, asked for in nearly ascending order, so that each stretch is walked once. */
class Terminators {
  readonly #text: Utf8Text;
  #from = -1;
  #found = -1;

  constructor(text: Utf8Text) {
    this.#text = text;
  }

  /** Place of the first terminator at or after `from`. */
  after(from: number): number {
    if (from >= this.#from && from <= this.#found) return this.#found;
    const { bytes, length } = this.#text;
    if (from < this.#from) {
      const earlier = nextTerminator(bytes, from, this.#from);
      return earlier < this.#from ? earlier : this.#found;
    }
    this.#from = from;
    this.#found = nextTerminator(bytes, from, length);
    return this.#found;
  }
}

/** `"type"`, each byte with the ASCII case bit set. */
export const TYPE_KEY: readonly number[] = [...'"type"'].map((c) => c.charCodeAt(0) | 0x20);

/** Place after the value of the JSON pair that starts at `start`. */
function valueEnd(bytes: Uint8Array, start: number): number {
  let at = start + TYPE_KEY.length;
  while (bytes[at] !== 0x22) at++;
  return at + '"service_account"'.length;
}

function sameCase(bytes: Uint8Array, start: number, expected: string): boolean {
  for (let index = 0; index < expected.length; index++) {
    if (bytes[start + index] !== expected.charCodeAt(index)) return false;
  }
  return true;
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

/** Bytes in which a token shows a letter and a digit, or does not count. */
const MIXED_BYTES_MAX = 64;

function holdsLetterAndDigit(bytes: Uint8Array, from: number, to: number): boolean {
  let letters = 0;
  let digits = 0;
  for (let at = from; at < Math.min(to, from + MIXED_BYTES_MAX); at++) {
    const bits = classAt(bytes, at);
    if ((bits & DIGIT) !== 0) digits++;
    else if ((bits & ALPHANUMERIC) !== 0) letters++;
  }
  return letters > 0 && digits > 0;
}

function shapeAt(bytes: Uint8Array, at: number, bits: number): boolean {
  return ((SHAPE[bytes[at] ?? 0] ?? 0) & bits) !== 0;
}

/** 16 upper-case letters or digits follow (trap S2: "Asia" and "asian" are no keys). */
function awsBody({ bytes, length }: Utf8Text, from: number, strict: boolean): boolean {
  if (from + 16 > length) return false;
  for (let at = from; at < from + 16; at++) if (!shapeAt(bytes, at, CAPITALS_DIGITS)) return false;
  return !strict || !shapeAt(bytes, from + 16, LETTERS_DIGITS);
}

/** Where the password of `user:password@` starts, or -1 when the address has none. */
function passwordIn({ bytes }: Utf8Text, body: number, end: number): number {
  const limit = Math.min(end, body + SCANNER_LIMITS.userinfo_bytes);
  let colon = -1;
  for (let at = body; at < limit; at++) {
    const byte = bytes[at];
    if (byte === 0x3a && colon < 0) colon = at;
    if (byte === 0x40) return colon >= 0 && at > colon + 1 ? colon + 1 : -1;
    if (byte === 0x2f) return -1;
  }
  return -1;
}

/** RFC 3986 §3.1, and `_`, which drivers' names have: `oracle+cx_oracle`. */
function isSchemeByte(byte: number): boolean {
  return ((CLASS[byte] as number) & ALPHANUMERIC) !== 0 || byte === 0x2b || byte === 0x2d ||
    byte === 0x2e || byte === 0x5f;
}

/** `$`, `{`, `<`, `*`, `[` start what a template or a mask puts in a secret's place. */
function isPlaceholder(byte: number): boolean {
  return byte === 0x24 || byte === 0x7b || byte === 0x3c || byte === 0x2a || byte === 0x5b;
}

/** First byte of the value behind a name, or -1: quotes, spaces and exactly one `=`, `:` or `=>`. */
function assignedFrom(bytes: Uint8Array, body: number): number {
  let signs = 0;
  for (let at = body; at < body + SCANNER_LIMITS.assignment_bytes; at++) {
    switch (bytes[at]) {
      case 0x3d: // =
      case 0x3a: // :
      case 0x2c: // ,
        signs++;
        break;
      case 0x20:
      case 0x09:
      case 0x22:
      case 0x27:
      case 0x60:
      case 0x3e:
      case 0x5c:
        break;
      default:
        return signs >= 1 && signs <= 2 ? at : -1;
    }
  }
  return -1;
}

const COOKIE_VALUE_CHARS_MIN = 20;
