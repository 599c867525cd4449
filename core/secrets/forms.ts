/**
 * The forms in which a secret may leave: as it is, in base64 at any of its three alignments, in hex;
 * and the views of outbound bytes that undo what carriers add (JSON escapes, percent-encoding, line
 * breaks). All of them on bytes.
 *
 * @module
 */

const STANDARD = ascii("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
const URL_SAFE = ascii("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
const LOWER = ascii("0123456789abcdef");
const UPPER = ascii("0123456789ABCDEF");

/** Name of a form. */
export type FormName = "raw" | "base64" | "base64url" | "hex";

/** One way to write a secret. */
export interface Form {
  readonly form: FormName;
  readonly bytes: Uint8Array;
}

/** Every form that is looked for. The caller overwrites the bytes after use. */
export function formsOf(secret: Uint8Array): Form[] {
  const forms: Form[] = [
    { form: "raw", bytes: secret.slice() },
    { form: "hex", bytes: hex(secret, LOWER) },
  ];
  const upper = hex(secret, UPPER);
  if (!same(upper, forms[1]?.bytes)) forms.push({ form: "hex", bytes: upper });
  for (const alignment of [0, 1, 2]) {
    const standard = base64(secret, alignment, STANDARD);
    forms.push({ form: "base64", bytes: standard });
    const url_safe = base64(secret, alignment, URL_SAFE);
    if (!same(url_safe, standard)) forms.push({ form: "base64url", bytes: url_safe });
  }
  return forms;
}

function hex(bytes: Uint8Array, digits: Uint8Array): Uint8Array {
  const text = new Uint8Array(bytes.length * 2);
  for (const [at, byte] of bytes.entries()) {
    text[at * 2] = digits[byte >> 4] ?? 0;
    text[at * 2 + 1] = digits[byte & 15] ?? 0;
  }
  return text;
}

/**
 * The base64 characters that depend on nothing but `bytes` when `alignment` other bytes precede them
 * (modulo 3): what stands in any longer base64 text that contains them.
 */
function base64(bytes: Uint8Array, alignment: number, alphabet: Uint8Array): Uint8Array {
  const first_bit = alignment * 8;
  const bits = first_bit + bytes.length * 8;
  const first = Math.ceil(first_bit / 6);
  const end = Math.floor(bits / 6);
  const text = new Uint8Array(Math.max(0, end - first));
  for (let character = first; character < end; character++) {
    const bit = character * 6 - first_bit;
    const at = bit >> 3;
    const pair = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    text[character - first] = alphabet[(pair >> (10 - (bit & 7))) & 63] ?? 0;
  }
  return text;
}

/**
 * What receivers may read in outbound bytes: the bytes themselves; JSON escapes undone; then
 * percent-encoding undone, with `+` kept and with `+` as a space; then white space left out.
 * A view that differs from none before it is left out.
 */
export function* viewsOf(outbound: Uint8Array): Generator<Uint8Array> {
  yield outbound;
  const unescaped = jsonUnescaped(outbound);
  if (unescaped !== outbound) yield unescaped;
  const decoded = percentDecoded(unescaped, false);
  if (decoded !== unescaped) yield decoded;
  if (unescaped.includes(PLUS)) yield percentDecoded(unescaped, true);
  const compact = withoutSpace(unescaped);
  if (compact !== unescaped) yield compact;
}

const BACKSLASH = 0x5c;
const PERCENT = 0x25;
const PLUS = 0x2b;
const SPACE = 0x20;
/** Byte after a backslash → byte meant; `u` is read apart, anything else stands for itself. */
const SHORT: Readonly<Record<number, number>> = {
  0x62: 0x08,
  0x66: 0x0c,
  0x6e: 0x0a,
  0x72: 0x0d,
  0x74: 0x09,
};

function jsonUnescaped(bytes: Uint8Array): Uint8Array {
  if (!bytes.includes(BACKSLASH)) return bytes;
  const out = new Uint8Array(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    const next = bytes[at + 1];
    if (byte !== BACKSLASH || next === undefined) {
      out[length++] = byte;
      continue;
    }
    at++;
    if (next !== 0x75) {
      out[length++] = SHORT[next] ?? next;
      continue;
    }
    const unit = hexValue(bytes, at + 1, 4);
    if (unit === undefined) {
      out[length++] = next;
      continue;
    }
    at += 4;
    const low = bytes[at + 1] === BACKSLASH && bytes[at + 2] === 0x75
      ? hexValue(bytes, at + 3, 4)
      : undefined;
    const paired = unit >= 0xd800 && unit < 0xdc00 && low !== undefined && low >= 0xdc00 &&
      low < 0xe000;
    if (paired) at += 6;
    const point = paired ? 0x10000 + ((unit - 0xd800) << 10) + ((low ?? 0) - 0xdc00) : unit;
    length = utf8Into(out, length, point);
  }
  return out.subarray(0, length);
}

/** An escape is at least as long as the bytes it stands for, so `out` has room. */
function utf8Into(out: Uint8Array, at: number, point: number): number {
  let next = at;
  if (point < 0x80) out[next++] = point;
  else if (point < 0x800) {
    out[next++] = 0xc0 | (point >> 6);
    out[next++] = 0x80 | (point & 63);
  } else if (point < 0x10000) {
    out[next++] = 0xe0 | (point >> 12);
    out[next++] = 0x80 | ((point >> 6) & 63);
    out[next++] = 0x80 | (point & 63);
  } else {
    out[next++] = 0xf0 | (point >> 18);
    out[next++] = 0x80 | ((point >> 12) & 63);
    out[next++] = 0x80 | ((point >> 6) & 63);
    out[next++] = 0x80 | (point & 63);
  }
  return next;
}

function percentDecoded(bytes: Uint8Array, plus_is_space: boolean): Uint8Array {
  if (!plus_is_space && !bytes.includes(PERCENT)) return bytes;
  const out = new Uint8Array(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    const value = byte === PERCENT ? hexValue(bytes, at + 1, 2) : undefined;
    if (value !== undefined) at += 2;
    out[length++] = value ?? (plus_is_space && byte === PLUS ? SPACE : byte);
  }
  return out.subarray(0, length);
}

function withoutSpace(bytes: Uint8Array): Uint8Array {
  const out = bytes.filter((byte) => byte > SPACE);
  return out.length === bytes.length ? bytes : out;
}

function hexValue(bytes: Uint8Array, at: number, digits: number): number | undefined {
  let value = 0;
  for (let digit = 0; digit < digits; digit++) {
    const byte = bytes[at + digit] ?? 0;
    const one = byte >= 0x30 && byte <= 0x39
      ? byte - 0x30
      : byte >= 0x41 && byte <= 0x46
      ? byte - 0x37
      : byte >= 0x61 && byte <= 0x66
      ? byte - 0x57
      : -1;
    if (one < 0) return undefined;
    value = value * 16 + one;
  }
  return value;
}

function same(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return a.length === b?.length && a.every((byte, at) => byte === b[at]);
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
