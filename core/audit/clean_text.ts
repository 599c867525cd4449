/**
 * Identifiers as they may be kept: bounded, and without credentials (design law 5).
 *
 * @module
 */
import { assess } from "../scanner/classification.ts";
import type { Finding } from "../scanner/finding.ts";
import { DEFAULT_SCANNER, redact } from "../scanner/mod.ts";

/** Longest identifier or resource kept in a payload, in UTF-16 units; the rest is cut. */
export const CLEAN_TEXT_CHARS_MAX = 512;

/**
 * Removes credentials from an identifier. Guesses stay (high entropy, e-mail): a did:key and a trace
 * id look random, and an agent may well be named after a mailbox. What a detector knows by its form
 * goes, whichever frozen kind it is reported under.
 */
export function clean(value: string): string {
  const cut = value.length > CLEAN_TEXT_CHARS_MAX
    ? `${value.slice(0, CLEAN_TEXT_CHARS_MAX)}…`
    : value;
  let findings: Finding[];
  try {
    findings = DEFAULT_SCANNER.scan(cut);
  } catch {
    return "[REDACTED]";
  }
  const certain = findings.filter((finding) => assess(finding).method !== "heuristic");
  return certain.length === 0 ? cut : redact(cut, certain);
}
