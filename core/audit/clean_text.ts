/**
 * Identifiers as they may be kept: bounded, and without credentials (design law 5).
 *
 * @module
 */
import type { Finding } from "../scanner/finding.ts";
import { DEFAULT_SCANNER, redact } from "../scanner/mod.ts";

/** Longest identifier or resource kept in a payload, in UTF-16 units; the rest is cut. */
export const CLEAN_TEXT_CHARS_MAX = 512;

/**
 * Removes credentials from an identifier. High-entropy and e-mail findings stay: a did:key and a
 * trace id look random, and an agent may well be named after a mailbox.
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
  const certain = findings.filter((finding) =>
    finding.source !== "builtin" ||
    (finding.kind !== "GenericHighEntropy" && finding.kind !== "EmailAddress")
  );
  return certain.length === 0 ? cut : redact(cut, certain);
}
