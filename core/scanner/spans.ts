/**
 * Spans on their way to becoming findings: collected by the detectors, ordered and united at the end.
 *
 * @module
 */
import { LIMITS } from "../limits.ts";
import type { DetectorName } from "./detectors/catalog.ts";
import type { CredentialFinding, CredentialKind } from "./finding.ts";

/** Raised when a text holds more findings than are kept; the caller redacts the whole text. */
export class ScanLimitError extends Error {
  /** The limit that was reached. */
  readonly limit: number;

  constructor(what: string, limit: number) {
    super(`scan stopped: ${what} passed the limit of \`${limit}\``);
    this.name = "ScanLimitError";
    this.limit = limit;
  }
}

/** A span under construction; offsets are bytes, `end` is exclusive. */
export interface Span {
  readonly kind: CredentialKind;
  offset: number;
  end: number;
  /** Name of the precise rule, when the kind alone does not tell. */
  detector?: DetectorName;
  /** A checksum inside the value agrees. */
  verified?: true;
}

/** What is known of a span besides its kind. */
export type Details = Pick<CredentialFinding, "detector" | "verified">;

const NO_DETAILS: Details = {};

/** Spans in the order the passes found them. */
export class Spans {
  readonly #list: Span[] = [];

  /** The spans in the order they were found. */
  list(): readonly Readonly<Span>[] {
    return this.#list;
  }

  /** Number of spans so far. */
  get size(): number {
    return this.#list.length;
  }

  /**
   * Adds a span; one that overlaps the span just before it, of the same kind and detector, extends
   * that one.
   *
   * @throws {ScanLimitError} Beyond `LIMITS.scan_findings` spans.
   */
  add(kind: CredentialKind, offset: number, end: number, details: Details = NO_DETAILS): void {
    const last = this.#list[this.#list.length - 1];
    if (
      last !== undefined && last.kind === kind && offset < last.end && end > last.offset &&
      last.detector === details.detector
    ) {
      if (offset < last.offset) last.offset = offset;
      if (end > last.end) last.end = end;
      if (details.verified === true) last.verified = true;
      return;
    }
    if (this.#list.length >= LIMITS.scan_findings) {
      throw new ScanLimitError("the number of findings", LIMITS.scan_findings);
    }
    this.#list.push({ kind, offset, end, ...details });
  }

  /** Adds every span of another list, in its order. */
  append(others: Spans): void {
    for (const { kind, offset, end, ...details } of others.#list) {
      this.add(kind, offset, end, details);
    }
  }

  /** Disjoint covered ranges in ascending order, kinds disregarded. */
  covered(): { readonly offset: number; readonly end: number }[] {
    const ranges: { offset: number; end: number }[] = [];
    for (const { offset, end } of this.#list.toSorted((a, b) => a.offset - b.offset)) {
      const last = ranges[ranges.length - 1];
      if (last !== undefined && offset <= last.end) last.end = Math.max(last.end, end);
      else ranges.push({ offset, end });
    }
    return ranges;
  }

  /**
   * The findings: sorted by start, ties in order of detection, overlaps of one kind and detector
   * united (contract §2.1). Spans that only touch stay apart. What has no detector is left out
   * where a detector's finding of that kind covers it.
   */
  findings(): CredentialFinding[] {
    const result: Span[] = [];
    // Within one key the united spans are disjoint and ascending, so only the last can overlap.
    const last_of_key = new Map<string, Span>();
    for (const span of this.#list.toSorted((a, b) => a.offset - b.offset)) {
      const key = span.detector ?? span.kind;
      const last = last_of_key.get(key);
      if (last !== undefined && span.offset < last.end) {
        if (span.end > last.end) last.end = span.end;
        if (span.verified === true) last.verified = true;
        continue;
      }
      const own = { ...span };
      last_of_key.set(key, own);
      result.push(own);
    }
    return withoutCovered(result).map((span) => ({ source: "builtin", ...span }));
  }
}

/** Drops each span without a detector that lies within a detector's span of its kind. */
function withoutCovered(spans: readonly Span[]): readonly Span[] {
  const precise = spans.filter(({ detector }) => detector !== undefined);
  if (precise.length === 0) return spans;
  let next = 0;
  /** How far the detectors' spans that start so far reach, by kind. */
  const reach = new Map<CredentialKind, number>();
  return spans.filter(({ kind, offset, end, detector }) => {
    for (let span = precise[next]; span !== undefined && span.offset <= offset;) {
      reach.set(span.kind, Math.max(reach.get(span.kind) ?? 0, span.end));
      span = precise[++next];
    }
    return detector !== undefined || end > (reach.get(kind) ?? 0);
  });
}
