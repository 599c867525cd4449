/**
 * Spans on their way to becoming findings: collected by the detectors, ordered and united at the end.
 *
 * @module
 */
import { LIMITS } from "../limits.ts";
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
  readonly detector?: string;
}

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
   * Adds a span; one that overlaps the span just before it, of the same kind, extends that one.
   *
   * @throws {ScanLimitError} Beyond `LIMITS.scan_findings` spans.
   */
  add(kind: CredentialKind, offset: number, end: number, detector?: string): void {
    const last = this.#list[this.#list.length - 1];
    if (last !== undefined && last.kind === kind && offset < last.end && end > last.offset) {
      if (offset < last.offset) last.offset = offset;
      if (end > last.end) last.end = end;
      return;
    }
    if (this.#list.length >= LIMITS.scan_findings) {
      throw new ScanLimitError("the number of findings", LIMITS.scan_findings);
    }
    this.#list.push(
      detector === undefined ? { kind, offset, end } : { kind, offset, end, detector },
    );
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
   * The findings: sorted by start, ties in order of detection, overlaps of one kind united
   * (contract §2.1). Spans that only touch stay apart.
   */
  findings(): CredentialFinding[] {
    const result: Span[] = [];
    // Within one kind the united spans are disjoint and ascending, so only the last can overlap.
    const last_of_kind = new Map<CredentialKind, Span>();
    for (const span of this.#list.toSorted((a, b) => a.offset - b.offset)) {
      const last = last_of_kind.get(span.kind);
      if (last !== undefined && span.offset < last.end) {
        if (span.end > last.end) last.end = span.end;
        continue;
      }
      const own = { ...span };
      last_of_kind.set(span.kind, own);
      result.push(own);
    }
    return result.map((span) => ({ source: "builtin", ...span }));
  }
}
