/**
 * From the bytes of a policy file to text that is safe to parse: bounded, UTF-8, printable.
 *
 * @module
 */
import { LIMITS } from "../limits.ts";
import type { PolicyProblem, Position } from "./position.ts";
import { DOCUMENT_FIELD } from "./problems.ts";

/** A text without byte order mark, or why there is none. */
export type SourceText =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly problem: PolicyProblem };

/** Characters YAML does not allow in a text (YAML 1.2 §5.1, `c-printable`). */
// deno-lint-ignore no-control-regex
const UNPRINTABLE = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffe\uffff]/;

/** Checks size, encoding and character set, in that order. Never throws. */
export function readSourceText(source: Uint8Array | string): SourceText {
  const size = typeof source === "string" ? utf8Length(source) : source.byteLength;
  if (size > LIMITS.policy_file_bytes) {
    return refuse(
      `policy file is \`${size}\` bytes, more than the limit of ${LIMITS.policy_file_bytes}: ` +
        "split it into several files of one policy directory",
    );
  }
  const decoded = typeof source === "string" ? checkWellFormed(source) : decode(source);
  if (!decoded.ok) return decoded;
  const text = decoded.text.startsWith("\ufeff") ? decoded.text.slice(1) : decoded.text;
  const bad = UNPRINTABLE.exec(text);
  if (bad === null) return { ok: true, text };
  const code = bad[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
  return refuse(
    `YAML parse error: control character U+${code} is not allowed: remove it, ` +
      'or escape it inside a double-quoted text, e.g. "\\x00"',
    positionAt(text, bad.index),
  );
}

/** Position of a UTF-16 offset, by counting: for error paths only. */
export function positionAt(text: string, offset: number): Position {
  const before = text.slice(0, offset);
  const line_start = before.lastIndexOf("\n") + 1;
  return { line: before.split("\n").length, column: offset - line_start + 1 };
}

function refuse(message: string, at?: Position): SourceText {
  const place = at === undefined ? {} : { line: at.line, column: at.column };
  return { ok: false, problem: { field: DOCUMENT_FIELD, message, ...place } };
}

function decode(bytes: Uint8Array): SourceText {
  try {
    return { ok: true, text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    const offset = firstInvalidUtf8(bytes);
    const before = new TextDecoder().decode(bytes.subarray(0, offset));
    const byte = (bytes[offset] ?? 0).toString(16).padStart(2, "0");
    return refuse(
      `YAML parse error: not valid UTF-8: byte 0x${byte} at byte offset ${offset}: ` +
        "save the file as UTF-8",
      positionAt(before, before.length),
    );
  }
}

function checkWellFormed(text: string): SourceText {
  if (text.isWellFormed()) return { ok: true, text };
  const offset = /\p{Surrogate}/u.exec(text)?.index ?? 0;
  return refuse(
    "YAML parse error: not valid Unicode: unpaired surrogate",
    positionAt(text, offset),
  );
}

function utf8Length(text: string): number {
  // One UTF-16 unit takes one to three bytes: count only when that does not settle it.
  if (text.length > LIMITS.policy_file_bytes) return text.length;
  if (text.length * 3 <= LIMITS.policy_file_bytes) return text.length;
  return new TextEncoder().encode(text).byteLength;
}

/** Offset of the first byte that does not continue a valid sequence (RFC 3629 §4). */
function firstInvalidUtf8(bytes: Uint8Array): number {
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at);
    if (length === 0) return at;
    at += length;
  }
  return at;
}

/** Length of the valid sequence at `at`, 0 when it is not one. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const length = first >= 0xc2 && first <= 0xdf
    ? 2
    : first >= 0xe0 && first <= 0xef
    ? 3
    : first >= 0xf0 && first <= 0xf4
    ? 4
    : 0;
  // The second byte of these four is narrower: overlong forms, surrogates, beyond U+10FFFF.
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  for (let index = 1; index < length; index++) {
    const byte = bytes[at + index];
    if (byte === undefined) return 0;
    if (byte < (index === 1 ? low : 0x80) || byte > (index === 1 ? high : 0xbf)) return 0;
  }
  return length;
}
