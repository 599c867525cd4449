/**
 * The audit log from outside: every entry as it appears in the file, and whether what was once
 * acknowledged is still there.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { type ChainHead, chainProblem, GENESIS, headAfter } from "../../core/audit/chain.ts";
import type { AuditEntry } from "../../core/audit/entry.ts";
import { parseLine } from "../../core/audit/line.ts";
import { Bytes } from "./bytes.ts";
import type { Verdict } from "./violation.ts";

/** One entry in the file. */
export interface SeenEntry {
  readonly entry: AuditEntry;
  /** Where its line ends, newline included. */
  readonly end: number;
  readonly payload: Readonly<Record<string, unknown>>;
}

const NEWLINE = 0x0a;
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Follows one log file. */
export class LogView {
  readonly #entries: SeenEntry[] = [];
  readonly #heads: ChainHead[] = [GENESIS];
  /** Copy of every line taken: what the file must still begin with. */
  readonly #taken = new Bytes();
  /** End of the last line that a client was told of. */
  #acknowledged = 0;

  constructor(private readonly verdict: Verdict) {}

  /** Entries that are whole in the file now. */
  get size(): number {
    return this.#entries.length;
  }

  at(seq: number): SeenEntry | undefined {
    return this.#entries[seq];
  }

  /** A client knows of this entry from now on. */
  acknowledge(seq: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, this.#entries[seq]?.end ?? 0);
  }

  /** Takes what is new in the file; a shorter file loses its last entries. */
  update(file: Uint8Array): void {
    if (file.length < this.#taken.length) this.#shrink(file.length);
    let start = this.#taken.length;
    for (let end = file.indexOf(NEWLINE, start); end >= 0; end = file.indexOf(NEWLINE, start)) {
      if (!this.#take(file.subarray(start, end))) return;
      start = end + 1;
    }
  }

  /** After a crash: everything a client was told of must be there, byte for byte. */
  checkAcknowledged(file: Uint8Array): void {
    const end = this.#acknowledged;
    const kept = file.length >= end &&
      Buffer.compare(file.subarray(0, end), this.#taken.view().subarray(0, end)) === 0;
    if (!kept) {
      this.verdict.violated(
        "ack",
        `${end} bytes of entries were acknowledged, the file has ${file.length} and differs`,
      );
    }
    // Lines that nobody was told of may be gone, or be there; they are read again.
    this.#shrink(end);
  }

  #shrink(length: number): void {
    while ((this.#entries.at(-1)?.end ?? 0) > length) {
      this.#entries.pop();
      this.#heads.pop();
    }
    this.#taken.truncate(this.#entries.at(-1)?.end ?? 0);
    if (this.#taken.length < this.#acknowledged) {
      this.verdict.violated("ack", "an acknowledged entry was cut off the log");
    }
  }

  /** False at a line that is no entry: the torn end of a crash, until the gateway cuts it. */
  #take(line: Uint8Array): boolean {
    const head = this.#heads.at(-1) ?? GENESIS;
    let entry: AuditEntry;
    let payload: SeenEntry["payload"];
    try {
      entry = parseLine(decoder.decode(line));
      payload = JSON.parse(entry.payload);
    } catch {
      return false;
    }
    const problem = chainProblem(entry, head);
    if (problem !== undefined) {
      this.verdict.violated("ack", `entry ${entry.seq} ${problem}`);
      return false;
    }
    this.#taken.append(line);
    this.#taken.append(NEWLINE_BYTES);
    this.#entries.push({ entry, end: this.#taken.length, payload });
    this.#heads.push(headAfter(entry.seq, entry.entry_hash.toHex()));
    return true;
  }
}

const NEWLINE_BYTES = new Uint8Array([NEWLINE]);
