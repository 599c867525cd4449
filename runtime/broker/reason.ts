/**
 * A refusal as one line of an exception: who refused, why, which rule, what would change it. The
 * agent's program shows it to people and to models, so it carries no line break, no control or
 * direction character, and no more than a bounded length.
 *
 * @module
 */
import type { RefusalWords } from "../parts.ts";
import { BROKER_LIMITS } from "./limits.ts";

/** What every refusal begins with, so that an agent and its log know who spoke. */
export const REFUSED_BY = "denied by policy";

/** Controls, line and paragraph separators, zero-width and direction characters. */
// deno-lint-ignore no-control-regex -- control characters are what is taken out
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+/g;

/**
 * @param reason Contract text, e.g. `path not in filesystem allowlist`.
 * @param words Rule and smallest change, where they are known.
 */
export function refusalText(reason: string, words: RefusalWords = {}): string {
  const { rule, change } = words;
  const parts = [
    `${REFUSED_BY}: ${reason === "" ? "no reason given" : reason}`,
    ...(rule === undefined || rule === "" ? [] : [`rule ${rule}`]),
    ...(change === undefined || change === "" ? [] : [`to allow it: ${change}`]),
  ];
  return oneLine(parts.join("; "));
}

/** Any text as one bounded, printable line. */
export function oneLine(text: string): string {
  // Cut before and after: the first bounds the work, the second the result.
  const cut = text.slice(0, BROKER_LIMITS.reason_chars * 4).toWellFormed();
  const flat = cut.replace(UNPRINTABLE, " ").replace(/ {2,}/g, " ").trim();
  if (flat.length <= BROKER_LIMITS.reason_chars && text.length <= cut.length) return flat;
  return `${flat.slice(0, BROKER_LIMITS.reason_chars - 1).toWellFormed()}…`;
}
