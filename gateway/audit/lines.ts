/**
 * Lines of a file, with their places, in bounded memory: forwards for recovery, backwards for
 * the newest-first list.
 *
 * @module
 */
import type { Disk, ReadableFile } from "./disk.ts";

/** One line without its newline. */
export interface PlacedLine {
  readonly bytes: Uint8Array;
  /** Offset of its first byte in the file. */
  readonly start: number;
  /** Whether a newline ends it; only the last can be without. */
  readonly ended: boolean;
}

const CHUNK_BYTES = 1_048_576;
const BACKWARD_CHUNK_BYTES = 131_072;
const NEWLINE = 0x0a;

/**
 * Lines of `[start, end)`, first to last. A line longer than `line_bytes_max` is given cut at
 * that length and marked as not ended, and reading stops there.
 */
export async function* linesForward(
  path: string,
  start: number,
  end: number,
  line_bytes_max: number,
  disk: Disk,
): AsyncGenerator<PlacedLine> {
  using file = await disk.open(path);
  let rest = new Uint8Array(0);
  let rest_start = start;
  for (let at = start; at < end;) {
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, end - at));
    const read = await file.read(at, chunk);
    if (read === null) break;
    at += read;
    const data = rest.length === 0
      ? chunk.subarray(0, read)
      : joined(rest, chunk.subarray(0, read));
    let from = 0;
    for (let to = data.indexOf(NEWLINE); to >= 0; to = data.indexOf(NEWLINE, from)) {
      yield { bytes: data.subarray(from, to), start: rest_start + from, ended: true };
      from = to + 1;
    }
    rest = data.slice(from);
    rest_start += from;
    if (rest.length > line_bytes_max) break;
  }
  if (rest.length > 0) yield { bytes: rest, start: rest_start, ended: false };
}

/** Whole lines of `[0, end)`, last to first; `end` is just behind a newline. */
export async function* linesBackward(
  path: string,
  end: number,
  disk: Disk,
): AsyncGenerator<PlacedLine> {
  using file = await disk.open(path);
  let rest = new Uint8Array(0);
  // The last byte is the newline of the last line: leave it out, as every later step does.
  for (let at = end - 1; at > 0;) {
    const start = Math.max(0, at - BACKWARD_CHUNK_BYTES);
    const data = joined(await readExactly(file, start, at - start), rest);
    let to = data.length;
    for (let from = newlineBefore(data, to); from >= 0; from = newlineBefore(data, to)) {
      yield { bytes: data.subarray(from + 1, to), start: start + from + 1, ended: true };
      to = from;
    }
    rest = data.slice(0, to);
    at = start;
  }
  if (rest.length > 0) yield { bytes: rest, start: 0, ended: true };
}

function newlineBefore(data: Uint8Array, to: number): number {
  return to <= 0 ? -1 : data.lastIndexOf(NEWLINE, to - 1);
}

/** Bytes `[start, start + length)` of an open file. */
export async function readExactly(
  file: ReadableFile,
  start: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const read = await file.read(start + at, bytes.subarray(at));
    if (read === null) throw new Error(`the file ends before byte ${start + length}`);
    at += read;
  }
  return bytes;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
