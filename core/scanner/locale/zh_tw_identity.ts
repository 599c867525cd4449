/**
 * National identity and residence numbers of Taiwan (contract `interception` §2.9).
 *
 * @module
 */
import { type Characters, codeAt, digit, standsAlone } from "./characters.ts";

/** Number behind each letter, A to Z. */
const LETTER_CODES: readonly number[] = [
  ...[10, 11, 12, 13, 14, 15, 16, 17, 34, 18, 19, 20, 21],
  ...[22, 35, 23, 24, 25, 26, 27, 28, 29, 32, 30, 31, 33],
];

/** Which kind of number; all are ten characters long. */
export interface Identity {
  readonly variant: "national_id" | "arc_new" | "arc_legacy";
  readonly upper_case: boolean;
}

/** The valid identity number that starts at a place, standing alone. */
export function identityAt(text: Characters, at: number): Identity | undefined {
  const first = letterCode(codeAt(text, at));
  if (first < 0) return undefined;
  const second = codeAt(text, at + 1);
  const variant = variantOf(second);
  if (variant === undefined) return undefined;
  const second_value = variant === "arc_legacy" ? letterCode(second) % 10 : second - 0x30;
  let sum = Math.floor(first / 10) + (first % 10) * 9 + second_value * 8;
  for (let index = 2; index < 10; index++) {
    const value = digit(text, at + index);
    if (value < 0) return undefined;
    sum += value * (index === 9 ? 1 : 9 - index);
  }
  if (sum % 10 !== 0 || !standsAlone(text, at, at + 10)) return undefined;
  return { variant, upper_case: isUpper(codeAt(text, at)) && !isLower(second) };
}

/** Second character: 1 or 2 for nationals, 8 or 9 on new residence cards, A to D on old ones. */
function variantOf(second: number): Identity["variant"] | undefined {
  if (second === 0x31 || second === 0x32) return "national_id";
  if (second === 0x38 || second === 0x39) return "arc_new";
  const letter = isLower(second) ? second - 32 : second;
  return letter >= 0x41 && letter <= 0x44 ? "arc_legacy" : undefined;
}

function letterCode(code: number): number {
  if (isUpper(code)) return LETTER_CODES[code - 0x41] ?? -1;
  return isLower(code) ? LETTER_CODES[code - 0x61] ?? -1 : -1;
}

function isUpper(code: number): boolean {
  return code >= 0x41 && code <= 0x5a;
}

function isLower(code: number): boolean {
  return code >= 0x61 && code <= 0x7a;
}
