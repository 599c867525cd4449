/**
 * E-mail addresses (contract `interception` §2.5), in one walk over the bytes.
 *
 * @module
 */
import {
  ALPHANUMERIC,
  CLASS,
  classAt,
  DIGIT,
  LOCAL_PART,
  NON_ASCII,
  spaceBytes,
  TERMINATOR,
} from "../byte_class.ts";
import { Spans } from "../spans.ts";
import type { Utf8Text } from "../utf8.ts";

const LOCAL_BYTES_MAX = 64;
/** Bytes of the longest white space. */
const WIDE_SPACE_BYTES_MAX = 3;
const DOMAIN_BYTES_MAX = 255;
const DOMAIN_BYTES_MIN = 3;

/** Finds addresses; one that runs into the next is one finding. */
export function findEmails(text: Utf8Text, spans: Spans): void {
  const watch = new EmailWatch(text, spans);
  for (
    let at = text.bytes.indexOf(0x40);
    at >= 0 && at < text.length;
    at = text.bytes.indexOf(0x40, at + 1)
  ) watch.judge(at);
}

/** Judges the `@` signs of a text, in ascending order. */
export class EmailWatch {
  readonly #text: Utf8Text;
  readonly #domains: Domains;
  readonly spans: Spans;
  /** The sign judged last. */
  #previous = -1;
  /** First byte of its local part by the rule of the vectors. */
  #local = 0;

  constructor(text: Utf8Text, spans: Spans = new Spans()) {
    this.#text = text;
    this.#domains = new Domains(text);
    this.spans = spans;
  }

  /** Judges the signs in a pair of bytes. */
  seen(at: number): void {
    if (this.#text.bytes[at] === 0x40) this.judge(at);
    if (this.#text.bytes[at + 1] === 0x40) this.judge(at + 1);
  }

  /** Judges one sign. */
  judge(at: number): void {
    const { bytes } = this.#text;
    // Each byte between two signs is looked at once; what is too far off is no local part anyway.
    const near = at - LOCAL_BYTES_MAX - WIDE_SPACE_BYTES_MAX;
    const limit = Math.max(this.#previous + 1, near);
    let local = limit === this.#previous + 1 ? this.#local : near;
    for (let from = at - 1; from >= limit; from--) {
      if (!startsLocal(bytes, from)) continue;
      local = from + Math.max(1, spaceBytes(bytes, from));
      break;
    }
    this.#previous = at;
    this.#local = local;
    const start = localStart(bytes, at, local);
    const end = start < at ? this.#domains.end(at + 1) : -1;
    if (end >= 0 && isHost(bytes, at + 1, end)) this.spans.add("EmailAddress", start, end);
  }
}

/**
 * The vectors pin that a key glued on with `=` belongs to the local part (trap S8). Only where
 * that would make it too long to be one, and hide the address, the address is taken alone.
 */
function localStart(bytes: Uint8Array, at: number, local: number): number {
  if (at - local <= LOCAL_BYTES_MAX) return local;
  let from = at;
  while (
    from > 0 && at - from < LOCAL_BYTES_MAX && (classAt(bytes, from - 1) & LOCAL_PART) !== 0
  ) from--;
  return from;
}

/**
 * True when what follows the sign is a host name with a dot whose last label starts with a letter:
 * `package@1.2.3` and `node_modules/@scope/name.js` hold no address.
 */
function isHost(bytes: Uint8Array, from: number, end: number): boolean {
  let label = from;
  let dotted = false;
  for (let at = from; at < end; at++) {
    if (bytes[at] === 0x2e) {
      dotted = true;
      if (at + 1 < end && isHostByte(bytes, at + 1)) label = at + 1;
    } else if (!isHostByte(bytes, at) && bytes[at] !== 0x2d && bytes[at] !== 0x5f) break;
  }
  return dotted && (classAt(bytes, label) & DIGIT) === 0;
}

function isHostByte(bytes: Uint8Array, at: number): boolean {
  return (classAt(bytes, at) & (ALPHANUMERIC | NON_ASCII)) !== 0;
}

/** White space and `< , ; " '` end what comes before a local part. */
function startsLocal(bytes: Uint8Array, at: number): boolean {
  switch (bytes[at]) {
    case 0x3c:
    case 0x2c:
    case 0x3b:
    case 0x22:
    case 0x27:
      return true;
    default:
      return spaceBytes(bytes, at) !== 0;
  }
}

/** Ends of domains, asked for in ascending order, so that terminator and dot are each found once. */
class Domains {
  readonly #text: Utf8Text;
  #terminator = -1;
  #dot = -1;

  constructor(text: Utf8Text) {
    this.#text = text;
  }

  /** End of the domain that starts at `from`, or -1 when there is none. */
  end(from: number): number {
    const { bytes, length } = this.#text;
    if (this.#terminator < from) this.#terminator = domainTerminator(bytes, from, length);
    let end = this.#terminator;
    if (end - from > DOMAIN_BYTES_MAX) {
      end = from + DOMAIN_BYTES_MAX;
      while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
    }
    if (end - from < DOMAIN_BYTES_MIN) return -1;
    if (this.#dot < from) {
      const found = bytes.indexOf(0x2e, from);
      this.#dot = found < 0 ? length : found;
    }
    return this.#dot < end ? end : -1;
  }
}

function domainTerminator(bytes: Uint8Array, from: number, length: number): number {
  for (let at = from; at < length; at++) {
    const byte = bytes[at] ?? 0;
    const bits = CLASS[byte] ?? 0;
    if ((bits & TERMINATOR) !== 0 || byte === 0x3e) return at;
    if (bits === NON_ASCII && (spaceBytes(bytes, at) !== 0 || isPunctuation(bytes, at))) return at;
  }
  return length;
}

/** CJK punctuation ends a domain, or the clause after an address would go with it. */
function isPunctuation(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] === 0xe3) return bytes[at + 1] === 0x80;
  if (bytes[at] !== 0xef || bytes[at + 1] !== 0xbc) return false;
  const last = bytes[at + 2] ?? 0;
  return last <= 0x8f && last !== 0x8d && last !== 0x8e || last >= 0x9a && last <= 0xa0;
}
