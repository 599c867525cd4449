/**
 * "Did you mean": the known word nearest to a mistyped one.
 *
 * @module
 */

/** Longest word compared; longer ones are no typing slip. */
const WORD_CHARS_MAX = 64;

/** Largest edit distance at which a suggestion is made (contract `policy-and-gateway` §2.6). */
const DISTANCE_MAX = 2;

/**
 * The candidate nearest to `word`, when it is near enough to be what was meant.
 * A difference of case alone counts as one edit.
 *
 * @returns `undefined` when nothing is within two edits, or the word is too short to tell.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > WORD_CHARS_MAX) return undefined;
  let best: string | undefined;
  let best_distance = DISTANCE_MAX + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) > DISTANCE_MAX) continue;
    const distance = candidate.toLowerCase() === word.toLowerCase()
      ? 1
      : editDistance(word, candidate);
    // Two edits turn any two-letter word into any other: that is no likeness.
    if (distance < best_distance && distance < Math.max(word.length, candidate.length)) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

/** ` did you mean` sentence for a message, empty when there is nothing to suggest. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const suggestion = nearest(word, candidates);
  return suggestion === undefined ? "" : `did you mean \`${suggestion}\`? `;
}

/** Levenshtein distance: insertions, deletions and replacements of UTF-16 units. */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const inserted = (current[j - 1] ?? 0) + 1;
      const deleted = (previous[j] ?? 0) + 1;
      current.push(Math.min(replaced, inserted, deleted));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}

/**
 * A received value for an error text: in backticks, on one line, bounded.
 * Control and formatting characters are escaped so that a hostile file cannot rewrite a terminal.
 */
export function received(value: string): string {
  const cut = value.length > 80 ? `${value.slice(0, 80)}…` : value;
  const printable = cut.replace(
    /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu,
    (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
  );
  return `\`${printable}\``;
}
