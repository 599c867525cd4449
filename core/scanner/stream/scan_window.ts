/**
 * Scans the bytes of a window; what is not UTF-8 in them counts as characters without meaning, each
 * byte for itself, so that places stay those of the stream.
 *
 * @module
 */
import type { Finding, Inspection, Scanner, Undecoded } from "../finding.ts";
import { ScanLimitError } from "../spans.ts";

/** What a window holds; offsets from its first byte. */
export interface WindowScan {
  readonly findings: readonly Finding[];
  readonly undecoded: readonly Undecoded[];
  /** More findings than are kept: the whole window counts as one. */
  readonly crowded: boolean;
}

const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** Neither white space nor a letter, and one byte long. */
const SUBSTITUTE = 0x1a;

/** Scans bytes that may be cut or malformed. */
export function scanWindow(scanner: Scanner, bytes: Uint8Array): WindowScan {
  try {
    return { ...inspect(scanner, textOf(bytes)), crowded: false };
  } catch (error) {
    if (error instanceof ScanLimitError) return { findings: [], undecoded: [], crowded: true };
    throw error;
  }
}

function inspect(scanner: Scanner, text: string): Inspection {
  return scanner.inspect?.(text) ?? { findings: scanner.scan(text), undecoded: [] };
}

function textOf(bytes: Uint8Array): string {
  try {
    return STRICT.decode(bytes);
  } catch {
    return STRICT.decode(wellFormed(bytes));
  }
}

/** A copy in which every byte that is part of no character is replaced. */
export function wellFormed(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  for (let at = 0; at < copy.length;) {
    const size = characterAt(copy, at);
    if (size === 0) copy[at++] = SUBSTITUTE;
    else at += size;
  }
  return copy;
}

/** Bytes of the well-formed character at a place, or 0 (Unicode table 3-7). */
function characterAt(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] as number;
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (at + size > bytes.length) return 0;
  const second = bytes[at + 1] as number;
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (let part = 2; part < size; part++) {
    if (((bytes[at + part] as number) & 0xc0) !== 0x80) return 0;
  }
  return size;
}

/** Bytes at the end that may be the start of a character: 0 to 3. */
export function cutCharacter(bytes: Uint8Array): number {
  const { length } = bytes;
  for (let back = 1; back <= 3 && back <= length; back++) {
    const byte = bytes[length - back] as number;
    if ((byte & 0xc0) === 0x80) continue;
    const size = byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    return size > back ? back : 0;
  }
  return 0;
}
