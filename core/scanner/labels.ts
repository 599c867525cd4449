/**
 * The scanner's own labels, which must not be scored as secrets when a redacted text is scanned
 * again (contract `interception` §2.6).
 *
 * @module
 */
import { CREDENTIAL_KINDS } from "./finding.ts";
import type { Utf8Text } from "./utf8.ts";

/** How every label starts. */
export const LABEL_START = "[REDACTED";

const LABELS: ReadonlySet<string> = new Set([
  "[REDACTED]",
  ...[...CREDENTIAL_KINDS, "Custom"].map((kind) => `[REDACTED:${kind}]`),
]);
const LABEL_BYTES_MAX = Math.max(...[...LABELS].map((label) => label.length));

/** Overwrites each label with as many spaces. Look-alikes stay. */
export function blankLabels(text: Utf8Text): void {
  for (let at = nextLabel(text, 0); at >= 0; at = nextLabel(text, at + 1)) {
    text.bytes.fill(0x20, at, labelEnd(text, at));
  }
}

/** True when a label stands in the text. */
export function holdsLabel(text: Utf8Text): boolean {
  return nextLabel(text, 0) >= 0;
}

/** Start of the first label at or after `from`, or -1. */
function nextLabel(text: Utf8Text, from: number): number {
  const { bytes, length } = text;
  for (
    let at = bytes.indexOf(0x5b, from);
    at >= 0 && at < length;
    at = bytes.indexOf(0x5b, at + 1)
  ) {
    // `[R`: most brackets start no label.
    if (bytes[at + 1] !== 0x52) continue;
    if (LABELS.has(String.fromCharCode(...bytes.subarray(at, labelEnd(text, at))))) return at;
  }
  return -1;
}

/** Place after the bracket that closes the label at a place. */
function labelEnd({ bytes, length }: Utf8Text, at: number): number {
  const limit = Math.min(length, at + LABEL_BYTES_MAX);
  let end = at + 1;
  while (end < limit && bytes[end] !== 0x5d) end++;
  return Math.min(length, end + 1);
}
