/**
 * Replaces findings by their labels (contract `interception` §2.7, `wire` §8.1).
 *
 * @module
 */
import { type Finding, labelOf } from "./finding.ts";
import { encodeText, forgetText, isBoundary, type Utf8Text } from "./utf8.ts";

/** What stands for a text that cannot be redacted span by span. */
const WHOLE_LABEL = "[REDACTED]";

/** One stretch that is replaced, and by what. */
export interface Cut {
  readonly offset: number;
  readonly end: number;
  readonly label: string;
}

interface GrowingCut extends Cut {
  end: number;
  label: string;
  rank: number;
}

/**
 * Redacts a text.
 *
 * Overlapping findings become one label, named by the strongest of them: a generic high-entropy
 * finding yields to an e-mail address, both yield to anything else, and ties keep the first.
 * A group with a locale finding in it has no frozen name and becomes `[REDACTED]`.
 *
 * @param text The text that was scanned.
 * @param findings Its findings, in any order; offsets are UTF-8 bytes.
 * @returns The text with labels; all of it is `[REDACTED]` when a span is out of range, reversed,
 * or cuts a character, because then no span can be trusted.
 */
export function redact(text: string, findings: readonly Finding[]): string {
  if (findings.length === 0) return text;
  const utf8 = encodeText(text);
  try {
    return redactBytes(utf8, findings);
  } finally {
    forgetText(utf8);
  }
}

function redactBytes(utf8: Utf8Text, findings: readonly Finding[]): string {
  for (const { offset, end } of findings) {
    if (!(offset <= end && isBoundary(utf8, offset) && isBoundary(utf8, end))) return WHOLE_LABEL;
  }
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let result = "";
  let copied = 0;
  for (const cut of cutsOf(findings)) {
    result += decoder.decode(utf8.bytes.subarray(copied, cut.offset)) + cut.label;
    copied = cut.end;
  }
  return result + decoder.decode(utf8.bytes.subarray(copied, utf8.length));
}

/** Disjoint cuts in ascending order. Spans that only touch stay apart. */
export function cutsOf(findings: readonly Finding[]): readonly Cut[] {
  const cuts: GrowingCut[] = [];
  for (const finding of findings.toSorted((a, b) => a.offset - b.offset || a.end - b.end)) {
    const last = cuts[cuts.length - 1];
    const rank = rankOf(finding);
    if (last === undefined || finding.offset >= last.end) {
      cuts.push({ offset: finding.offset, end: finding.end, label: labelOf(finding), rank });
      continue;
    }
    last.end = Math.max(last.end, finding.end);
    if (rank > last.rank) {
      last.rank = rank;
      last.label = labelOf(finding);
    }
  }
  return cuts;
}

/** Who names the label of a group (§2.2 "label priority"; a locale finding above all, §2.8). */
function rankOf(finding: Finding): number {
  if (finding.source === "locale") return 3;
  // What a detector knows by its form is no guess, whatever kind it is filed under.
  if (finding.detector !== undefined) return 2;
  if (finding.kind === "GenericHighEntropy") return 0;
  return finding.kind === "EmailAddress" ? 1 : 2;
}
