/**
 * Tokens that are best seen by their long run of base64 characters: those of Discord bots, which
 * have no prefix, and those whose prefix is part of too many words to be looked for everywhere.
 *
 * @module
 */
import { BASE64, classAt } from "../byte_class.ts";
import type { Spans } from "../spans.ts";
import type { DetectorName } from "./catalog.ts";
import { LETTERS_DIGITS, SHAPE } from "./shape.ts";

/** A token that is one run: its prefix, then letters and digits. */
interface RunToken {
  readonly text: string;
  readonly detector: DetectorName;
  readonly chars_min: number;
  readonly chars_max: number;
}

const TOKENS: readonly RunToken[] = [
  { text: "xai-", detector: "xai_key", chars_min: 64, chars_max: 80 },
  { text: "cio", detector: "crates_token", chars_min: 32, chars_max: 32 },
  { text: "gloas-", detector: "gitlab_token", chars_min: 64, chars_max: 64 },
];

/**
 * Looks at a whole run of base64 characters that is long enough to be a secret.
 *
 * @param from Start of the run.
 * @param end Its end.
 */
export function findRunToken(bytes: Uint8Array, from: number, end: number, spans: Spans): void {
  if (bytes[end] === 0x2e) findDiscord(bytes, from, end, spans);
  for (const { text, detector, chars_min, chars_max } of TOKENS) {
    const body = from + text.length;
    if (end - body < chars_min || end - body > chars_max || !startsWith(bytes, from, text)) {
      continue;
    }
    if (holdsMixed(bytes, body, end)) spans.add("GenericHighEntropy", from, end, { detector });
  }
}

function startsWith(bytes: Uint8Array, from: number, text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    if (bytes[from + index] !== text.charCodeAt(index)) return false;
  }
  return true;
}

/** Nothing but letters and digits, and both of them. */
function holdsMixed(bytes: Uint8Array, from: number, to: number): boolean {
  let digits = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] ?? 0;
    if (((SHAPE[byte] ?? 0) & LETTERS_DIGITS) === 0) return false;
    if (byte <= 0x39) digits++;
  }
  return digits > 0 && digits < to - from;
}

/** Characters of the first part, a numeric id in base64; snowflakes of today have 18 digits. */
const ID_CHARS_MIN = 23;
const ID_CHARS_MAX = 28;
const TIME_CHARS = 6;
const MAC_CHARS_MIN = 27;
const MAC_CHARS_MAX = 40;

/** A Discord bot's token (discord.com/developers/docs/reference#authentication): three parts. */
function findDiscord(bytes: Uint8Array, from: number, dot: number, spans: Spans): void {
  if (dot - from < ID_CHARS_MIN || dot - from > ID_CHARS_MAX) return;
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
