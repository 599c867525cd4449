/**
 * E-mail addresses (contract `interception` §2.5), in one walk over the bytes.
 *
 * @module
 */
import { CLASS, LOCAL_PART, NON_ASCII, spaceBytes, TERMINATOR } from "../byte_class.ts";
import type { Spans } from "../spans.ts";
import type { Utf8Text } from "../utf8.ts";

const LOCAL_BYTES_MAX = 64;
const DOMAIN_BYTES_MAX = 255;
const DOMAIN_BYTES_MIN = 3;

/** Finds addresses; one that runs into the next is one finding. */
export function findEmails(text: Utf8Text, spans: Spans): void {
  const { bytes, length } = text;
  const domains = new Domains(text);
  /** First byte of a local part by the rule of the vectors. */
  let local = 0;
  /** First byte of a local part that holds nothing but an address. */
  let plain = 0;
  for (let at = 0; at < length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === 0x40) {
      const start = localStart(at, local, plain);
      const end = start < at ? domains.end(at + 1) : -1;
      if (end >= 0) spans.add("EmailAddress", start, end);
    } else if (startsLocal(bytes, at)) {
      local = at + Math.max(1, spaceBytes(bytes, at));
    }
    if (((CLASS[byte] ?? 0) & LOCAL_PART) === 0) plain = at + 1;
  }
}

/**
 * The vectors pin that a key glued on with `=` belongs to the local part (trap S8). Only where
 * that would make it too long to be one, and hide the address, the address is taken alone.
 */
function localStart(at: number, local: number, plain: number): number {
  if (at - local <= LOCAL_BYTES_MAX) return local;
  return Math.max(plain, at - LOCAL_BYTES_MAX);
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
