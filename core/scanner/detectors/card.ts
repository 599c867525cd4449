/**
 * Which digits card schemes hand out, and the check digit (ISO/IEC 7812-1; trap S9).
 *
 * @module
 */

/** First digits that some scheme uses; time stamps, dates and amounts mostly start otherwise. */
export function hasIssuer(digits: readonly number[]): boolean {
  const head = leading(digits, 4);
  if (head >= 4000 && head <= 6999) return true;
  if (head >= 2200 && head <= 2720) return true;
  if (head >= 3000 && head <= 3999) return !(head >= 3100 && head <= 3399);
  return (head >= 8100 && head <= 8299) || head === 9792;
}

/** Lengths each range of first four digits is issued with, as the schemes publish them. */
const RANGES: readonly (readonly [from: number, to: number, lengths: readonly number[]])[] = [
  [4000, 4999, [13, 16, 19]], // Visa
  [5100, 5599, [16]], // Mastercard
  [2221, 2720, [16]],
  [3400, 3499, [15]], // American Express
  [3700, 3799, [15]],
  [3000, 3059, [14, 16, 19]], // Diners Club
  [3095, 3095, [14, 16, 19]],
  [3600, 3699, [14, 16, 19]],
  [3800, 3999, [14, 16, 19]],
  [3528, 3589, [16, 17, 18, 19]], // JCB
  [6011, 6011, [16, 17, 18, 19]], // Discover
  [6221, 6229, [16, 17, 18, 19]],
  [6440, 6599, [16, 17, 18, 19]],
  [6200, 6299, [16, 17, 18, 19]], // UnionPay
  [8100, 8199, [16, 17, 18, 19]],
  [5000, 5099, [13, 14, 15, 16, 17, 18, 19]], // Maestro
  [5600, 5899, [13, 14, 15, 16, 17, 18, 19]],
  [6304, 6304, [13, 14, 15, 16, 17, 18, 19]],
  [6759, 6763, [13, 14, 15, 16, 17, 18, 19]],
  [2200, 2204, [16, 17, 18, 19]], // Mir
  [6000, 6099, [16]], // RuPay
  [8200, 8299, [16]],
  [9792, 9792, [16]], // Troy
];

/** Strict mode: a scheme hands out such a number, of this length, and not all digits are equal. */
export function isIssued(digits: readonly number[]): boolean {
  const head = leading(digits, 4);
  return new Set(digits).size > 2 &&
    RANGES.some(([from, to, lengths]) =>
      head >= from && head <= to && lengths.includes(digits.length)
    );
}

function leading(digits: readonly number[], count: number): number {
  return digits.slice(0, count).reduce((value, digit) => value * 10 + digit, 0);
}

/** ISO/IEC 7812-1 check digit. */
export function luhn(digits: readonly number[]): boolean {
  let sum = 0;
  let double = false;
  for (let index = digits.length - 1; index >= 0; index--) {
    const digit = digits[index] ?? 0;
    sum += double ? (digit > 4 ? digit * 2 - 9 : digit * 2) : digit;
    double = !double;
  }
  return sum % 10 === 0;
}
