/**
 * Finds long runs of a set of bytes by looking at few of them: a run of N bytes covers one of every
 * N places, so a place outside the set rules out everything up to it.
 *
 * @module
 */
import type { Utf8Text } from "../utf8.ts";

/**
 * Every run of at least `bytes_min` bytes of the set, ascending.
 *
 * @param member 1 for each byte value of the set.
 * @param report Receives each run and returns the place to go on from, at or behind its end.
 */
export function findRuns(
  { bytes, length }: Utf8Text,
  member: Uint8Array,
  bytes_min: number,
  report: (from: number, to: number) => number,
): void {
  // INVARIANT: `from` is the start of the text or has a byte outside the set before it.
  let from = 0;
  while (from + bytes_min <= length) {
    let at = from + bytes_min - 1;
    while (at >= from && member[bytes[at] as number] === 1) at--;
    if (at >= from) {
      from = at + 1;
      continue;
    }
    let end = from + bytes_min;
    while (end < length && member[bytes[end] as number] === 1) end++;
    from = Math.max(end, report(from, end));
    while (from < length && member[bytes[from] as number] === 1) from++;
  }
}

/**
 * The same for runs that are known already.
 *
 * @param runs Start and end of each, in ascending order.
 */
export function eachRun(
  runs: readonly number[],
  report: (from: number, to: number) => number,
): void {
  let next = 0;
  for (let index = 0; index + 1 < runs.length; index += 2) {
    const from = runs[index] as number;
    const to = runs[index + 1] as number;
    if (from >= next) next = Math.max(to, report(from, to));
  }
}

/** The set of bytes a string is made of. */
export function byteSet(characters: string): Uint8Array {
  const set = new Uint8Array(256);
  for (const character of characters) set[character.charCodeAt(0)] = 1;
  return set;
}
