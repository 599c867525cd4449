/**
 * Reading the log from a starting point to its end: the chain is checked, the tree grows along,
 * the signed root is met on the way, and a torn end is told from damage.
 *
 * @module
 */
import { type ChainHead, chainProblem, headAfter } from "../../core/audit/chain.ts";
import type { NoteVerifier, TreeHead } from "../../core/audit/checkpoint.ts";
import { AuditLineError, parseLine } from "../../core/audit/line.ts";
import { equalBytes } from "../../core/audit/merkle.ts";
import { TileBuilder, type TileFile, type TreeEdge } from "../../core/audit/tile_builder.ts";
import { verifyLog } from "../../core/audit/verify/mod.ts";
import { LIMITS } from "../../core/limits.ts";
import { TREE_DIRECTORY, writeDurably } from "./directory.ts";
import type { Disk } from "./disk.ts";
import { AuditTamperError } from "./errors.ts";
import type { AuditHost } from "./host.ts";
import { linesForward, type PlacedLine } from "./lines.ts";
import { directoryReader } from "./reading.ts";
import { decodeText, type StartingPoint } from "./starting_point.ts";

/** What recovery needs. */
export interface RecoveryOptions {
  readonly directory: string;
  readonly verifier: NoteVerifier;
  /** Verifier key text, for the diagnosis of a log that was tampered with. */
  readonly verifier_key: string;
  /** Read and check everything, whatever the state note says. */
  readonly full: boolean;
  readonly host: Pick<AuditHost, "disk" | "now_ms">;
}

/** No batch is larger, so no crash tears more. */
const TORN_BYTES_MAX = 67_108_864;
const FILES_A_FLUSH = 64;

/** A refusal that leaves the evidence as it is. */
export function tamper(what: string, index?: number): AuditTamperError {
  return new AuditTamperError(
    `cannot open audit log: ${what}; nothing was changed. Keep the directory as evidence, ` +
      "restore it from a copy that verifies, or move it away to start a new log",
    index,
  );
}

/** Reads from a starting point to the end: checks the chain, grows the tree, finds a torn tail. */
export class TailScan {
  head: ChainHead;
  offset_bytes: number;
  checked = 0;
  torn_at: number | undefined;
  readonly #builder: TileBuilder;
  #files: TileFile[] = [];
  #checkpoint_reached: boolean;
  #bad: { readonly index: number; readonly what: string } | undefined;

  constructor(
    readonly options: RecoveryOptions,
    start: StartingPoint,
    readonly checkpoint: TreeHead | undefined,
    readonly write: boolean,
  ) {
    this.head = start.head;
    this.offset_bytes = start.offset_bytes;
    this.#builder = new TileBuilder(start.edge);
    this.#checkpoint_reached = checkpoint === undefined || checkpoint.size <= start.edge.size;
  }

  async run(path: string, length_bytes: number): Promise<void> {
    const { disk } = this.options.host;
    const line_bytes_max = LIMITS.audit_entry_bytes;
    const lines = linesForward(path, this.offset_bytes, length_bytes, line_bytes_max, disk);
    for await (const line of lines) {
      const what = this.#problem(line);
      if (what !== undefined) {
        await this.#judge(path, line, what, length_bytes);
        return;
      }
      await this.#accept(line);
    }
  }

  /** Why a line does not continue the log; moves the head when it does. */
  #problem(line: PlacedLine): string | undefined {
    if (!line.ended) return "is not ended by a newline";
    if (line.bytes.length > LIMITS.audit_entry_bytes) return "is too long";
    try {
      const entry = parseLine(decodeText(line.bytes));
      const problem = chainProblem(entry, this.head);
      if (problem === undefined) this.head = headAfter(entry.seq, entry.entry_hash.toHex());
      return problem;
    } catch (error) {
      return error instanceof AuditLineError ? error.message : "is not UTF-8 text";
    }
  }

  async #accept(line: PlacedLine): Promise<void> {
    // A copy: the chunk it lies in is large, and the bundle keeps it for up to 256 entries.
    const bytes = line.bytes.slice();
    this.#builder.push(bytes);
    this.offset_bytes = line.start + line.bytes.length + 1;
    this.checked++;
    const complete = this.#builder.takeComplete();
    if (this.write) this.#files.push(...complete);
    if (this.#builder.size === this.checkpoint?.size) {
      this.#checkpoint_reached = true;
      if (!equalBytes(this.#builder.root(), this.checkpoint.root)) {
        throw await this.#diagnose("its entries do not have the root that its checkpoint signs");
      }
    }
    if (this.#files.length >= FILES_A_FLUSH) await this.#flush();
  }

  /** A bad line is the tail of a torn write only where a torn write can be: at the end. */
  async #judge(path: string, line: PlacedLine, what: string, length_bytes: number): Promise<void> {
    const index = this.#builder.size;
    this.#bad = { index, what };
    const torn = this.#checkpoint_reached &&
      await isTorn(path, line.start, length_bytes, this.options.host.disk);
    if (!torn) throw await this.#diagnose(`line ${index + 1} ${what}`);
    this.torn_at = line.start;
  }

  /** Ends the scan: everything the checkpoint covers must have been there. */
  async finish(): Promise<void> {
    if (!this.#checkpoint_reached) {
      throw await this.#diagnose(
        `its checkpoint covers ${this.checkpoint?.size} entries and the file holds ` +
          `${this.#builder.size}: entry ${this.#builder.size} is the first one missing`,
      );
    }
    await this.#flush();
  }

  edge(): TreeEdge {
    return this.#builder.edge();
  }

  async #flush(): Promise<void> {
    const folder = `${this.options.directory}/${TREE_DIRECTORY}`;
    for (const { path, bytes } of this.#files) {
      await writeDurably(`${folder}/${path}`, bytes, this.options.host.disk);
    }
    this.#files = [];
  }

  /** Lets the independent verifier name the first bad entry. */
  async #diagnose(what: string): Promise<AuditTamperError> {
    try {
      const { directory, host, verifier_key } = this.options;
      const report = await verifyLog(directoryReader(directory, host.disk), { verifier_key });
      const first = report.first;
      if (first?.index !== undefined) {
        return tamper(`${what}; first bad entry: ${first.message}`, first.index);
      }
    } catch {
      // The diagnosis is help; the refusal stands without it.
    }
    return tamper(what, this.#bad?.index ?? this.#builder.size);
  }
}

// No bound of ours: disks write no less than this at once.
const SECTOR_BYTES = 512;

/**
 * Whether everything from `start` on is what an interrupted append leaves: a line without its
 * newline, or blocks that never reached the disk and read as zeros. A whole entry further on, or
 * a whole line that is wrong, is damage of another kind, except behind a whole sector of zeros:
 * the blocks of one batch reach the disk in any order, and what was acknowledged was synced.
 */
async function isTorn(
  path: string,
  start: number,
  length_bytes: number,
  disk: Disk,
): Promise<boolean> {
  if (length_bytes - start > TORN_BYTES_MAX) return false;
  let torn = false;
  for await (const line of linesForward(path, start, length_bytes, length_bytes, disk)) {
    if (hasEmptySector(line)) return true;
    if (!line.ended || line.bytes.includes(0)) torn = true;
    else if (isEntry(line.bytes) || !torn) return false;
  }
  return torn;
}

function hasEmptySector({ bytes, start }: PlacedLine): boolean {
  for (let at = bytes.indexOf(0); at >= 0; at = bytes.indexOf(0, at + 1)) {
    const sector = Math.ceil((start + at) / SECTOR_BYTES) * SECTOR_BYTES - start;
    let end = at;
    while (bytes[end] === 0) end++;
    if (end >= sector + SECTOR_BYTES) return true;
    at = end;
  }
  return false;
}

function isEntry(bytes: Uint8Array): boolean {
  try {
    parseLine(decodeText(bytes));
    return true;
  } catch {
    return false;
  }
}
