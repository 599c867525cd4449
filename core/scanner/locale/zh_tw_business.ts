/**
 * Business numbers of Taiwan (contract `interception` §2.9).
 *
 * @module
 */
import { type Characters, digit, standsAlone } from "./characters.ts";

const WEIGHTS: readonly number[] = [1, 2, 1, 2, 1, 2, 4, 1];

/** Index after the business number that starts at a place, standing alone; -1 when there is none. */
export function businessEnd(text: Characters, at: number): number {
  let sum = 0;
  for (let index = 0; index < WEIGHTS.length; index++) {
    const value = digit(text, at + index);
    if (value < 0) return -1;
    const product = value * (WEIGHTS[index] ?? 0);
    sum += Math.floor(product / 10) + product % 10;
  }
  const end = at + WEIGHTS.length;
  if (!standsAlone(text, at, end)) return -1;
  // Divisible by 10 until 2023, by 5 since; seven times four counts as 10 or as 1.
  const valid = sum % 5 === 0 || digit(text, at + 6) === 7 && (sum + 1) % 5 === 0;
  return valid ? end : -1;
}
