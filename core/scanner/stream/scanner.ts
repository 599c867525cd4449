/**
 * Scans a stream as it passes. Findings are those of the whole text, wherever its chunks end, and
 * come as soon as nothing that follows can change them.
 *
 * What detectors look at is bounded here: a key block is held until its end line or
 * `SCANNER_LIMITS.key_block_bytes`; a token, an address, a run of base64 until it ends or fills
 * `SCANNER_LIMITS.stream_window_bytes`; a policy's pattern sees
 * `SCANNER_LIMITS.stream_pattern_context_bytes` around a cut; everything else needs less than
 * `SCANNER_LIMITS.stream_context_bytes`.
 *
 * @module
 */
import { classAt, SPACE, TERMINATOR } from "../byte_class.ts";
import type { Finding, Scanner, Undecoded, UndecodedReason } from "../finding.ts";
import { SCANNER_LIMITS } from "../limits.ts";
import { findCut, forceCut, rangeAcross, type Uncut } from "./cut.ts";
import { cutCharacter, scanWindow } from "./scan_window.ts";
import { Window } from "./window.ts";

/** How a stream is scanned. */
export interface StreamOptions {
  readonly scanner: Scanner;
  /** The scanner has patterns of a policy, which may look further than built-in detectors. */
  readonly patterns?: boolean;
  /** Smaller than the limit of the same name; for tests. @default the limit */
  readonly window_bytes?: number;
}

/** A part of a stream that was not judged as the whole text would be; places are bytes of it. */
export interface Unjudged {
  readonly offset: number;
  readonly end: number;
  /**
   * `window`: longer than the window, so judged in pieces, or covered whole when it is a finding;
   * `crowded`: more findings than are kept, so the whole part counts as sensitive; else why it could
   * not be decoded, and it counts as sensitive too.
   */
  readonly reason: "window" | "crowded" | UndecodedReason;
}

/** What became certain. */
export interface Settled {
  /** In order of offset; offsets are bytes of the stream. Across calls they never decrease. */
  readonly findings: readonly Finding[];
  readonly unjudged: readonly Unjudged[];
  /** Everything before this place is judged; no finding lies across it. */
  readonly settled_to: number;
  /** Bytes in memory: what is not judged, and what is seen again. */
  readonly held_bytes: number;
}

/** A scan under way. Feed it every chunk in order, then end it. */
export interface StreamScan {
  readonly push: (chunk: Uint8Array) => Settled;
  /** Nothing follows; what was held is judged. */
  readonly end: () => Settled;
}

/** Starts to scan a stream. */
export function createStreamScanner(options: StreamOptions): StreamScan {
  const scan = new Scan(options, () => {});
  return { push: (chunk) => scan.push(chunk), end: () => scan.end() };
}

/** Receives every byte of the stream once it is judged, in order, with what was found in it. */
export type Passed = (
  bytes: Uint8Array,
  from: number,
  settled: Pick<Settled, "findings" | "unjudged">,
) => void;

/** New bytes that are worth a look; the more is held, the more. */
const LOOK_BYTES_MIN = 64;

/** A scan that also tells which bytes are judged. */
export class Scan {
  readonly #scanner: Scanner;
  readonly #passed: Passed;
  readonly #context_bytes: number;
  readonly #window_bytes: number;
  readonly #window = new Window();
  /** Everything before is judged. */
  #settled = 0;
  #looked_to = 0;
  /** A finding that is longer than the window and has not ended. */
  #open: Finding | undefined;
  /** Findings within that one. */
  #open_others: Finding[] = [];
  #findings: Finding[] = [];
  #unjudged: Unjudged[] = [];

  constructor(options: StreamOptions, passed: Passed) {
    this.#scanner = options.scanner;
    this.#passed = passed;
    this.#context_bytes = options.patterns === true
      ? SCANNER_LIMITS.stream_pattern_context_bytes
      : SCANNER_LIMITS.stream_context_bytes;
    const window_bytes = options.window_bytes ?? SCANNER_LIMITS.stream_window_bytes;
    this.#window_bytes = Math.max(window_bytes, this.#context_bytes * 4);
  }

  push(chunk: Uint8Array): Settled {
    // What is judged goes at once, so no more is held than a window and a piece.
    const piece_bytes = this.#window_bytes >> 1;
    for (let at = 0; at < chunk.length; at += piece_bytes) {
      this.#window.append(chunk.subarray(at, at + piece_bytes));
      this.#look(false);
    }
    return this.#take();
  }

  end(): Settled {
    this.#look(true);
    return this.#take();
  }

  #take(): Settled {
    const taken = {
      findings: this.#findings,
      unjudged: this.#unjudged,
      settled_to: this.#settled,
      held_bytes: this.#window.to - this.#window.from,
    };
    this.#findings = [];
    this.#unjudged = [];
    return taken;
  }

  #look(final: boolean): void {
    if (this.#open !== undefined && !this.#closeOpen(final)) return;
    for (;;) {
      const held = this.#window.to - this.#settled;
      const fresh = this.#window.to - this.#looked_to;
      const full = held >= this.#window_bytes;
      const reread = this.#window.to - this.#window.from;
      if (!final && !full && fresh < Math.max(LOOK_BYTES_MIN, reread >> 4)) return;
      const before = this.#settled;
      this.#judge(final, full);
      if (this.#open !== undefined && !this.#closeOpen(final)) return;
      // A full window is emptied until it is not, or until nothing more can be settled.
      if (!full || this.#settled === before) return;
    }
  }

  /** Scans what is held and settles as much of it as can be. */
  #judge(final: boolean, full: boolean): void {
    const { from } = this.#window;
    const bytes = this.#window.slice(from, this.#window.to);
    const length = final ? bytes.length : bytes.length - cutCharacter(bytes);
    this.#looked_to = this.#window.to;
    const seen = scanWindow(this.#scanner, bytes.subarray(0, length));
    const { findings, undecoded } = seen;
    if (seen.crowded) return this.#settleWhole(from + length);
    if (final) return this.#settle(this.#window.to, findings, undecoded);
    const start = this.#settled - from;
    const last = length - this.#context_bytes;
    if (last <= start) return;
    const cut = findCut(bytes, length, start, last, [...findings, ...undecoded]);
    if (cut >= 0) return this.#settle(from + cut, findings, undecoded);
    if (full) this.#force(bytes, length, findings, undecoded);
  }

  /** The window is full and has no good place to cut at. */
  #force(
    bytes: Uint8Array,
    length: number,
    findings: readonly Finding[],
    undecoded: readonly Undecoded[],
  ): void {
    const { from } = this.#window;
    const start = this.#settled - from;
    const last = length - this.#context_bytes;
    const range = rangeAcross(findings, last);
    if (range !== undefined && range.offset <= start) return this.#openRange(findings, range);
    const own: readonly Uncut[] = findings.filter(({ end }) => end > start);
    const cut = forceCut(bytes, start, last, own);
    if (cut < 0) return;
    this.#unjudged.push({ offset: from + cut, end: from + cut, reason: "window" });
    this.#settle(from + cut, findings, undecoded);
  }

  /** What overlaps fills the window: the finding that reaches furthest stands for its end. */
  #openRange(findings: readonly Finding[], range: Uncut): void {
    const { from } = this.#window;
    const within = findings.filter(({ offset, end }) => offset < range.end && end > range.offset);
    const furthest = within.reduce((one, other) => other.end > one.end ? other : one);
    this.#open = { ...furthest, offset: this.#settled, end: furthest.end + from };
    this.#open_others = within
      .filter((finding) => finding !== furthest && finding.offset + from >= this.#settled)
      .map((finding) => ({ ...finding, offset: finding.offset + from, end: finding.end + from }));
    this.#looked_to = furthest.end + from;
  }

  /** Covers a finding that did not fit to where a token ends; false while it goes on. */
  #closeOpen(final: boolean): boolean {
    const open = this.#open as Finding;
    const from = Math.max(this.#settled, this.#looked_to);
    const bytes = this.#window.slice(from, this.#window.to);
    const end = bytes.findIndex((_, at) => (classAt(bytes, at) & (TERMINATOR | SPACE)) !== 0);
    if (end < 0 && !final) {
      // Only how far it goes is kept of it, and its last bytes as what the next is seen after.
      this.#looked_to = this.#window.to;
      this.#dropBefore(this.#window.to);
      return false;
    }
    const to = end < 0 ? this.#window.to : from + end;
    const found = [{ ...open, end: to }, ...this.#open_others];
    this.#open = undefined;
    this.#open_others = [];
    this.#unjudged.push({ offset: open.offset, end: to, reason: "window" });
    this.#findings.push(...found);
    this.#pass(to, found);
    this.#looked_to = to;
    return true;
  }

  #settleWhole(to: number): void {
    if (to <= this.#settled) return;
    this.#unjudged.push({ offset: this.#settled, end: to, reason: "crowded" });
    this.#pass(to, []);
  }

  #settle(to: number, findings: readonly Finding[], undecoded: readonly Undecoded[]): void {
    const { from } = this.#window;
    const settled: Finding[] = [];
    for (const finding of findings) {
      const offset = finding.offset + from;
      // Before: was reported. Behind: will be, when all around it is seen.
      if (offset < this.#settled || offset >= to) continue;
      settled.push({ ...finding, offset, end: finding.end + from });
    }
    for (const { offset, end, reason } of undecoded) {
      // A part that a forced cut divides is named on both sides.
      const start = Math.max(offset + from, this.#settled);
      const stop = Math.min(end + from, to);
      if (start < stop) this.#unjudged.push({ offset: start, end: stop, reason });
    }
    this.#findings.push(...settled);
    this.#pass(to, settled);
  }

  #pass(to: number, findings: readonly Finding[]): void {
    const from = Math.max(this.#settled, this.#window.from);
    const unjudged = this.#unjudged.filter(({ end }) => end > this.#settled);
    this.#passed(this.#window.slice(from, to), this.#settled, { findings, unjudged });
    this.#settled = to;
    this.#dropBefore(to);
  }

  /** Keeps what the next look must see again: some context, and the line it is in. */
  #dropBefore(to: number): void {
    const { from } = this.#window;
    let keep = Math.max(from, to - this.#context_bytes);
    const line_limit = Math.max(from, to - SCANNER_LIMITS.stream_line_bytes);
    const bytes = this.#window.slice(from, to);
    const line = bytes.lastIndexOf(0x0a, keep - from) + 1 + from;
    if (line >= line_limit) keep = Math.min(keep, line);
    while (keep > from && ((bytes[keep - from] as number) & 0xc0) === 0x80) keep--;
    this.#window.drop(keep);
  }
}
