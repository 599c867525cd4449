/**
 * ULIDs: identifiers that sort by time.
 *
 * @module
 */

const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/**
 * A ULID.
 *
 * @param random 16 random bytes; the first ten are used, five bits at a time.
 */
export function ulid(now_ms: number, random: Uint8Array): string {
  let time = "";
  for (let left = Math.max(0, Math.floor(now_ms)), at = 0; at < 10; at++) {
    time = DIGITS[left % 32] + time;
    left = Math.floor(left / 32);
  }
  let rest = "";
  for (let at = 0; at < 16; at++) rest += DIGITS[(random[at] ?? 0) % 32];
  return time + rest;
}
