/**
 * Text from elsewhere, made safe for a terminal: an agent chooses its own name, and a name must not
 * move the cursor, recolour a verdict or reverse the reading order.
 *
 * @module
 */

/** C0 and C1 controls, line and paragraph separators, bidirectional controls, zero-width marks. */
const UNPRINTABLE =
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|\p{Cs}/gu;

/** The text with every unprintable character written as `\uXXXX`. Idempotent on printable text. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escaped);
}

/** Like {@linkcode printable}, but newlines stay: for texts that are several lines by nature. */
export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

/** Whether {@linkcode printable} would change the text. */
export function isPrintable(text: string): boolean {
  return text.search(UNPRINTABLE) < 0;
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
