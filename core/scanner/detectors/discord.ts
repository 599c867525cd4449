/**
 * Discord bot tokens: the one vendor's token without a prefix. Three parts, of which the first is
 * the bot's numeric id in base64 (discord.com/developers/docs/reference#authentication).
 *
 * @module
 */
import { BASE64, classAt } from "../byte_class.ts";
import type { Spans } from "../spans.ts";

/** Characters of the first part; snowflakes of today have 18 or 19 digits. */
export const DISCORD_ID_CHARS_MIN = 23;
const ID_CHARS_MAX = 28;
const TIME_CHARS = 6;
const MAC_CHARS_MIN = 27;
const MAC_CHARS_MAX = 40;

/**
 * Looks at a run of base64 characters that a dot follows.
 *
 * @param from Start of the run.
 * @param dot Its end.
 */
export function findDiscord(bytes: Uint8Array, from: number, dot: number, spans: Spans): void {
  if (dot - from > ID_CHARS_MAX) return;
  const time_end = runEnd(bytes, dot + 1, TIME_CHARS + 1);
  if (time_end - dot - 1 !== TIME_CHARS || bytes[time_end] !== 0x2e) return;
  const end = runEnd(bytes, time_end + 1, MAC_CHARS_MAX + 1);
  const mac = end - time_end - 1;
  if (mac < MAC_CHARS_MIN || mac > MAC_CHARS_MAX || !isSnowflake(bytes, from, dot)) return;
  spans.add("GenericHighEntropy", from, end, { detector: "discord_bot_token", verified: true });
}

function runEnd(bytes: Uint8Array, from: number, most: number): number {
  let at = from;
  while (at - from < most && (classAt(bytes, at) & BASE64) !== 0) at++;
  return at;
}

/** Base64 of nothing but digits. */
function isSnowflake(bytes: Uint8Array, from: number, to: number): boolean {
  try {
    return /^[0-9]{17,20}$/.test(atob(String.fromCharCode(...bytes.subarray(from, to))));
  } catch {
    // `atob` has no other way to say that this is no base64.
    return false;
  }
}
