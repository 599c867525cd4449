/**
 * One field's text or bytes: scanned, and replaced where it holds what may not pass (contract
 * `interception` §1.5).
 *
 * @module
 */
import { mayHoldBanned } from "../../../core/audit/never_store.ts";
import { type Finding, redact, type Scanner } from "../../../core/scanner/mod.ts";

/** Stands for a field that is longer than is scanned. */
export const OVERSIZED = "[REDACTED:OVERSIZED]";
/** Stands for bytes that are no text, with something in them. */
export const UNDECODABLE = "[REDACTED:UNDECODABLE]";
/** Stands for a text that could not be scanned to its end. */
export const WHOLE = "[REDACTED]";

/** What became of the fields of one event. */
export interface Tally {
  /** Findings by kind, e.g. `GitHubPat`; a locale finding by its category's base. */
  readonly findings: Map<string, number>;
  oversized: number;
  undecodable: number;
  /** Texts that the scanner gave up on; replaced whole. */
  unscannable: number;
  scanned_bytes: number;
  /** What may still be scanned and kept of this event. */
  bytes_left: number;
  elements_left: number;
  /** List elements, labels and unknown fields that were left out. */
  omitted: number;
  /** Whether a text may hold something that is never stored, whatever it is (see `stored_copy.ts`). */
  suspect: boolean;
}

/** A tally of nothing yet. */
export function emptyTally(bytes: number, elements: number): Tally {
  return {
    findings: new Map(),
    oversized: 0,
    undecodable: 0,
    unscannable: 0,
    scanned_bytes: 0,
    bytes_left: bytes,
    elements_left: elements,
    omitted: 0,
    suspect: false,
  };
}

/** A shorter text has no room for a banned name between quotes, and a colon. */
const BANNED_CHARS_MIN = 8;

/** Scans single fields. */
export class TextGuard {
  readonly #scanner: Scanner;
  readonly #bytes_max: number;
  readonly #scratch: Uint8Array;
  readonly #encoder = new TextEncoder();
  readonly #strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  readonly #lossy = new TextDecoder("utf-8", { ignoreBOM: true });

  /** @param bytes_max Longest field that is scanned. */
  constructor(scanner: Scanner, bytes_max: number) {
    this.#scanner = scanner;
    this.#bytes_max = bytes_max;
    this.#scratch = new Uint8Array(bytes_max);
  }

  /** The text as it may pass. */
  text(text: string, tally: Tally): string {
    if (text === "") return text;
    const { read, written } = this.#encoder.encodeInto(text, this.#scratch);
    if (read < text.length || written > tally.bytes_left) return oversized(tally);
    const passed = this.#scanned(text, written, tally);
    tally.suspect ||= passed.length >= BANNED_CHARS_MIN && mayHoldBanned(passed);
    return passed;
  }

  /** The bytes as they may pass; those that are no text and clean stay as they are. */
  bytes(bytes: Uint8Array, tally: Tally): Uint8Array {
    if (bytes.length === 0) return bytes;
    if (bytes.length > this.#bytes_max || bytes.length > tally.bytes_left) {
      return this.#encoder.encode(oversized(tally));
    }
    const text = this.#decoded(bytes);
    if (text === undefined) return this.#opaque(bytes, tally);
    const passed = this.#scanned(text, bytes.length, tally);
    return passed === text ? bytes : this.#encoder.encode(passed);
  }

  #scanned(text: string, length_bytes: number, tally: Tally): string {
    take(length_bytes, tally);
    const findings = this.#find(text, tally);
    if (findings === undefined) return WHOLE;
    if (findings.length === 0) return text;
    count(findings, tally);
    return redact(text, findings);
  }

  /** Also looked at without what is no text, so that a stray byte does not split a secret. */
  #opaque(bytes: Uint8Array, tally: Tally): Uint8Array {
    take(bytes.length, tally);
    const lossy = this.#lossy.decode(bytes);
    // deno-lint-ignore no-control-regex -- NUL bytes are what UTF-16 puts between ASCII letters
    const bare = lossy.replaceAll(/[\ufffd\u0000]/g, "");
    let dirty = this.#hidden(bytes);
    for (const text of lossy === bare ? [lossy] : [lossy, bare]) {
      const findings = this.#find(text, tally);
      if (findings?.length === 0) continue;
      dirty = true;
      if (findings !== undefined) count(findings, tally);
      break;
    }
    if (!dirty) return bytes;
    tally.undecodable++;
    return this.#encoder.encode(UNDECODABLE);
  }

  /** Whether bytes are compressed with something in them that may not pass, or cannot be seen. */
  #hidden(bytes: Uint8Array): boolean {
    try {
      const inspected = this.#scanner.inspectBytes?.(bytes);
      const compressed = inspected?.findings.some((finding) =>
        finding.source !== "locale" && finding.via !== undefined
      );
      return compressed === true || (inspected?.undecoded.length ?? 0) > 0;
    } catch {
      return true;
    }
  }

  #find(text: string, tally: Tally): readonly Finding[] | undefined {
    try {
      if (this.#scanner.inspect === undefined) return this.#scanner.scan(text);
      const { findings, undecoded } = this.#scanner.inspect(text);
      if (undecoded.length === 0) return findings;
      // What is encoded beyond the scanner's bounds is not known to be clean.
      tally.unscannable++;
      return undefined;
    } catch {
      // Too many findings, or a scanner that fails: nothing of the text may pass then.
      tally.unscannable++;
      return undefined;
    }
  }

  #decoded(bytes: Uint8Array): string | undefined {
    try {
      return this.#strict.decode(bytes);
    } catch {
      return undefined;
    }
  }
}

function take(length_bytes: number, tally: Tally): void {
  tally.scanned_bytes += length_bytes;
  tally.bytes_left -= length_bytes;
}

function oversized(tally: Tally): string {
  tally.oversized++;
  return OVERSIZED;
}

function count(findings: readonly Finding[], tally: Tally): void {
  for (const finding of findings) {
    const kind = finding.source === "locale"
      ? finding.category.split("[", 1)[0] ?? "locale"
      : finding.kind;
    tally.findings.set(kind, (tally.findings.get(kind) ?? 0) + 1);
  }
}
