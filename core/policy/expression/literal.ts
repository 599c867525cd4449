/**
 * What an unquoted word means on the right side of a clause (contract `policy-and-gateway` §2.3).
 *
 * @module
 */
import { parseDurationSecs } from "../duration.ts";
import { didYouMean, received } from "../suggest.ts";
import { type Literal, TIER_WORDS } from "./syntax.ts";

/** What a 64-bit float parser accepts, within the characters of a word. */
const NUMBER = /^-?(?:inf|infinity|nan|(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?)$/i;

/**
 * The literal a word stands for; a message when it looks like one and is wrong; `undefined` when
 * it is no literal at all.
 */
export function classify(word: string): Literal | string | undefined {
  if (word === "true" || word === "false") return { type: "boolean", value: word === "true" };
  const rank = TIER_WORDS.findIndex((tier) => tier === word);
  if (rank !== -1) return { type: "tier", rank };
  if (/^L\d+$/.test(word)) return classifyLevel(word);
  if (NUMBER.test(word)) return { type: "number", value: toNumber(word), text: word };
  if (/^\d/.test(word)) return classifyDuration(word);
  const tier_hint = didYouMean(word, TIER_WORDS);
  return TIER_WORDS.some((tier) => tier.toLowerCase() === word.toLowerCase())
    ? `unknown risk tier ${received(word)}: ${tier_hint}valid values: ${TIER_WORDS.join(", ")}`
    : undefined;
}

function classifyLevel(word: string): Literal | string {
  switch (word) {
    case "L0":
      return { type: "level", value: 0 };
    case "L1":
      return { type: "level", value: 1 };
    case "L2":
      return { type: "level", value: 2 };
    case "L3":
      return { type: "level", value: 3 };
    default:
      return `unknown governance level: ${word.slice(0, 80)}; valid values: L0, L1, L2, L3`;
  }
}

function classifyDuration(word: string): Literal | string {
  const secs = parseDurationSecs(word);
  return secs === undefined
    ? `${received(word)} is neither a number nor a duration such as \`24h\` or \`30m\``
    : { type: "duration", secs, text: word };
}

/** The value of a numeric word or of a numeric text; `undefined` when it is none. */
export function parseNumber(text: string): number | undefined {
  return /^[-+]?/.test(text) && NUMBER.test(text.replace(/^\+(?!-)/, ""))
    ? toNumber(text)
    : undefined;
}

function toNumber(text: string): number {
  if (/inf/i.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  if (/nan/i.test(text)) return NaN;
  return Number(text);
}
