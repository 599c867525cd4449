/**
 * International bank account numbers (ISO 13616): two letters, two check digits, then as many
 * letters and digits as the country has, in one piece or in groups of four.
 *
 * Every IBAN has nine digits in one piece or in groups somewhere, so the chain of digits is what
 * wakes this detector.
 *
 * @module
 */
import type { Utf8Text } from "../utf8.ts";

/** Characters of a whole IBAN by country (SWIFT IBAN registry). */
export const IBAN_LENGTHS: ReadonlyMap<string, number> = new Map(
  ("AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 " +
    "DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 " +
    "IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 " +
    "MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 " +
    "SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30")
    .split(" ").map((entry) => [entry.slice(0, 2), Number(entry.slice(2))]),
);

/** Characters before the chain of digits in which the country is looked for, spaces included. */
const LEAD_BYTES_MAX = 14;

/** The valid IBAN that the digits at `chain` belong to. */
export function ibanAround(
  { bytes, length }: Utf8Text,
  chain: number,
): { readonly offset: number; readonly end: number } | undefined {
  for (let at = chain - 2; at >= 0 && at >= chain - LEAD_BYTES_MAX; at--) {
    if (!isCapitalOrDigit(bytes[at] ?? 0) && bytes[at] !== 0x20) return undefined;
    if (!isCapital(bytes[at] ?? 0) || !isCapital(bytes[at + 1] ?? 0)) continue;
    if (isAlphanumeric(bytes[at - 1] ?? 0)) continue;
    const size = IBAN_LENGTHS.get(String.fromCharCode(bytes[at] ?? 0, bytes[at + 1] ?? 0));
    const end = size === undefined ? -1 : endOf(bytes, length, at, size);
    if (end >= 0) return { offset: at, end };
  }
  return undefined;
}

/** End of an IBAN of `size` characters whose check digits hold, or -1. */
function endOf(bytes: Uint8Array, length: number, from: number, size: number): number {
  const characters: number[] = [];
  let at = from;
  while (characters.length < size) {
    const byte = at < length ? bytes[at] ?? 0 : 0;
    if (isCapitalOrDigit(byte)) characters.push(byte);
    else if (byte !== 0x20 || characters.length % 4 !== 0) return -1;
    at++;
  }
  if (isAlphanumeric(bytes[at] ?? 0)) return -1;
  let rest = 0;
  for (const byte of [...characters.slice(4), ...characters.slice(0, 4)]) {
    rest = byte < 0x3a ? (rest * 10 + byte - 0x30) % 97 : (rest * 100 + byte - 0x37) % 97;
  }
  return rest === 1 ? at : -1;
}

function isCapital(byte: number): boolean {
  return byte >= 0x41 && byte <= 0x5a;
}

function isCapitalOrDigit(byte: number): boolean {
  return isCapital(byte) || byte >= 0x30 && byte <= 0x39;
}

function isAlphanumeric(byte: number): boolean {
  return isCapitalOrDigit(byte) || byte >= 0x61 && byte <= 0x7a;
}
