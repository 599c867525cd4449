/**
 * HPACK encoding without a dynamic table (RFC 7541 sections 5 and 6). Blocks made this way mean the
 * same on every connection at any time, so they can be computed once and sent many times.
 *
 * @module
 */

import { encodeHuffman, huffmanBytes } from "./huffman.ts";
import { STATIC_ENTRIES, STATIC_TABLE } from "./tables.ts";

const EXACT = new Map<string, number>();
const BY_NAME = new Map<string, number>();
for (let index = STATIC_ENTRIES; index >= 1; index--) {
  const name = STATIC_TABLE[2 * (index - 1)] ?? "";
  EXACT.set(`${name}\n${STATIC_TABLE[2 * index - 1] ?? ""}`, index);
  BY_NAME.set(name, index);
}

/** How a field may be stored on its way (RFC 7541 section 7.1). */
export type Sensitivity = "plain" | "never_indexed";

/** A table size update to zero: what an encoder without a table answers to a lowered limit. */
export const EMPTY_TABLE_UPDATE = 0x20;

function pushInteger(out: number[], pattern: number, prefix_bits: number, value: number): void {
  const mask = 2 ** prefix_bits - 1;
  if (value < mask) {
    out.push(pattern | value);
    return;
  }
  out.push(pattern | mask);
  let rest = value - mask;
  while (rest >= 128) {
    out.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  out.push(rest);
}

/** Texts up to this length travel uncoded: coding them costs more time than the bytes it saves. */
const UNCODED_CHARS_MAX = 48;

function pushText(out: number[], text: string): void {
  const coded_bytes = text.length <= UNCODED_CHARS_MAX ? text.length : huffmanBytes(text);
  if (coded_bytes < text.length) {
    pushInteger(out, 0x80, 7, coded_bytes);
    encodeHuffman(text, out);
    return;
  }
  pushInteger(out, 0, 7, text.length);
  for (let index = 0; index < text.length; index++) out.push(text.charCodeAt(index) & 255);
}

/** Appends one field to a block under construction. Name and value are one byte per character. */
export function encodeField(
  out: number[],
  name: string,
  value: string,
  sensitivity: Sensitivity = "plain",
): void {
  const exact = sensitivity === "plain" ? EXACT.get(`${name}\n${value}`) : undefined;
  if (exact !== undefined) {
    pushInteger(out, 0x80, 7, exact);
    return;
  }
  const pattern = sensitivity === "never_indexed" ? 0x10 : 0;
  const index = BY_NAME.get(name);
  if (index === undefined) {
    out.push(pattern);
    pushText(out, name);
  } else {
    pushInteger(out, pattern, 4, index);
  }
  pushText(out, value);
}

/** A whole block from a flat name, value, name, value list. */
export function encodeBlock(fields: readonly string[]): Uint8Array<ArrayBuffer> {
  const out: number[] = [];
  for (let index = 0; index < fields.length; index += 2) {
    encodeField(out, fields[index] ?? "", fields[index + 1] ?? "");
  }
  return Uint8Array.from(out);
}

/** Size of a decoded list by RFC 9113 section 6.5.2: 32 bytes beyond each name and value. */
export function listBytes(fields: readonly string[]): number {
  let bytes = 0;
  for (const text of fields) bytes += text.length + 16;
  return bytes;
}
