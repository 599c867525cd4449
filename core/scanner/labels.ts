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
export function blankLabels({ bytes, length }: Utf8Text): void {
  for (let at = bytes.indexOf(0x5b); at >= 0 && at < length; at = bytes.indexOf(0x5b, at + 1)) {
    // `[R`: most brackets start no label.
    if (bytes[at + 1] !== 0x52) continue;
    const limit = Math.min(length, at + LABEL_BYTES_MAX);
    let end = at + 1;
    while (end < limit && bytes[end] !== 0x5d) end++;
    const text = String.fromCharCode(...bytes.subarray(at, Math.min(limit, end + 1)));
    if (LABELS.has(text)) bytes.fill(0x20, at, end + 1);
  }
}
