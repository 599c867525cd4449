/**
 * Amounts of money in a policy text: exact decimals to integer micro-dollars.
 *
 * @module
 */

/** One dollar has a million micro-dollars: six decimals. */
const DECIMALS = 6;

/** Digits that can matter: sixteen in the largest amount, and any count of zeros around them. */
const EXPONENT_MAX = 64;

/** An amount above zero, or why there is none. */
export type MicroUsd =
  | { readonly ok: true; readonly micro_usd: number }
  | { readonly ok: false; readonly reason: string };

/**
 * Reads an amount from the text of the file, so that `0.1` is a hundred thousand micro-dollars and
 * not the nearest binary fraction.
 *
 * @param text The number as written.
 * @param value The number as the YAML library read it; decides hexadecimal and octal forms.
 */
export function readMicroUsd(text: string, value: number): MicroUsd {
  const written = /^[-+]?(?:0x|0o)/.test(text) ? String(value) : text;
  const match = /^([-+]?)(\d*)(?:\.(\d*))?(?:[eE]([-+]?\d+))?$/.exec(written);
  if (match === null) return refuse("must be a finite amount of US dollars");
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = match;
  const digits = (whole + fraction).replace(/^0+/, "");
  if (sign === "-" || digits === "") return refuse("must be greater than 0");
  const significant = digits.replace(/0+$/, "");
  // Power of ten of the last significant digit, in micro-dollars.
  const power = Number(exponent) - fraction.length + (digits.length - significant.length) +
    DECIMALS;
  if (power < 0) return refuse("must be a multiple of 0.000001 (at most 6 decimals)");
  if (power > EXPONENT_MAX || significant.length > EXPONENT_MAX) return tooLarge();
  const micro_usd = BigInt(significant) * 10n ** BigInt(power);
  return micro_usd <= BigInt(Number.MAX_SAFE_INTEGER)
    ? { ok: true, micro_usd: Number(micro_usd) }
    : tooLarge();
}

function tooLarge(): MicroUsd {
  return refuse("must be at most 9007199254.740991 US dollars");
}

function refuse(reason: string): MicroUsd {
  return { ok: false, reason };
}
