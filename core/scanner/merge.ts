/**
 * Puts what was found behind encodings beside what was found in the text itself.
 *
 * @module
 */
import { LIMITS } from "../limits.ts";
import type { DecodedFinding } from "./decode/mod.ts";
import type { CredentialFinding, Finding } from "./finding.ts";
import { ScanLimitError } from "./spans.ts";

/**
 * Both lists as one, by offset. A secret that was seen without decoding, or behind fewer encodings,
 * is not reported again; of one kind with two detectors each keeps its own.
 *
 * @throws {ScanLimitError} Beyond `LIMITS.scan_findings` findings.
 */
export function mergeDecoded<Known extends Finding>(
  plain: Known[],
  decoded: readonly DecodedFinding[],
): (Known | CredentialFinding)[] {
  if (decoded.length === 0) return plain;
  const all: (Known | CredentialFinding)[] = [...plain];
  const reaches = new Map<string, number>();
  // The wider of two that start together comes first and covers the other.
  const candidates = [
    ...plain.map((finding) => ({ finding, known: true })),
    ...decoded.map((found) => ({
      finding: { source: "builtin", ...found } as const,
      known: false,
    })),
  ].sort((a, b) =>
    a.finding.offset - b.finding.offset || Number(b.known) - Number(a.known) ||
    b.finding.end - a.finding.end
  );
  for (const { finding, known } of candidates) {
    const keys = keysOf(finding);
    const covered = keys.some((key) => (reaches.get(key) ?? -1) >= finding.end);
    if (!known && !covered) all.push(finding as CredentialFinding);
    for (const key of keys) {
      reaches.set(key, Math.max(reaches.get(key) ?? -1, finding.end));
    }
  }
  if (all.length > LIMITS.scan_findings) {
    throw new ScanLimitError("the number of findings", LIMITS.scan_findings);
  }
  return all.sort((a, b) => a.offset - b.offset);
}

function keysOf(finding: Finding): readonly string[] {
  if (finding.source === "locale") return [finding.category];
  return [`${finding.kind} ${finding.detector ?? ""}`];
}
