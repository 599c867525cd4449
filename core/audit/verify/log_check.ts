/**
 * Walks a log once, holding its lines against the chain, the tiles and the signed root, and
 * decides which of them is at fault.
 *
 * @module
 */
import { ChainCheck, LOG_FILE, splitLines } from "./chain.ts";
import { readCheckpoint } from "./note.ts";
import { type Problem, type ProblemKind, PROBLEMS_MAX, type VerifyReport } from "./report.ts";
import { type LogReader, Resources } from "./resources.ts";
import { leaf, Peaks } from "./tree.ts";

/** How to verify. */
export interface VerifyOptions {
  /** Verifier key of the log, got from somewhere the log's owner cannot change. */
  readonly verifier_key?: string;
  /** Called about every thousand entries with the number seen. */
  readonly onProgress?: (entries: number) => void;
  readonly signal?: AbortSignal;
}

const CHECKPOINT = "log/checkpoint";
const PROGRESS_ENTRIES = 1_024;

async function chunksOf(reader: LogReader, name: string) {
  const stream = await reader.stream?.(name);
  if (stream !== undefined) return stream;
  const bytes = await reader.read(name);
  return bytes === undefined ? undefined : [bytes];
}

/** The first entry that is not what the tiles say, and what is seen of its neighbours. */
interface Divergence {
  readonly index: number;
  readonly found: string;
  readonly expected: string;
  /** The entry found here is recorded further on. */
  found_is_later_entry: boolean;
  /** Position at which the expected entry stands instead. */
  expected_stands_at: number | undefined;
}

/** One verification of a whole log. */
export class LogCheck {
  readonly #chain = new ChainCheck();
  readonly #problems: Problem[] = [];
  /** The tree of the file's lines. */
  readonly #file_tree = new Peaks();
  /** The tree of the tiles' leaf hashes; made when they part. */
  #tile_tree: Peaks | undefined;
  #tiles_whole = true;
  #divergence: Divergence | undefined;
  #file_root: string | undefined;

  constructor(readonly reader: LogReader, readonly options: VerifyOptions) {}

  async run(): Promise<VerifyReport> {
    const checkpoint = await this.#readCheckpoint();
    const resources = new Resources(this.reader, checkpoint?.head.size ?? 0);
    const chunks = await chunksOf(this.reader, LOG_FILE);
    if (chunks === undefined) this.#add("no_entries", LOG_FILE, `${LOG_FILE} is missing`);
    for await (const { bytes, ended } of splitLines(chunks ?? [])) {
      this.options.signal?.throwIfAborted();
      const index = this.#chain.entries;
      this.#chain.push(bytes, ended);
      if (index < resources.size) await this.#covered(index, bytes, resources);
      else if (this.#divergence !== undefined) this.#watch(index, leaf(bytes), undefined);
      if (index % PROGRESS_ENTRIES === 0) this.options.onProgress?.(index + 1);
    }
    if (chunks !== undefined && this.#chain.entries === 0) {
      this.#add("no_entries", LOG_FILE, "there are no entries: an empty log proves nothing");
    }
    if (checkpoint !== undefined) {
      await this.#conclude(checkpoint.head.size, checkpoint.head.root, resources);
    }
    this.#problems.push(...this.#chain.problems);
    return this.#report(checkpoint);
  }

  async #readCheckpoint() {
    const bytes = await this.reader.read(CHECKPOINT);
    if (bytes === undefined) {
      this.#add(
        "checkpoint",
        CHECKPOINT,
        "the checkpoint is missing: nothing shows where the log ends",
      );
      return undefined;
    }
    const reading = readCheckpoint(new TextDecoder().decode(bytes), this.options.verifier_key);
    if (reading.kind === "unreadable") {
      this.#add("checkpoint", CHECKPOINT, `the checkpoint ${reading.reason}`);
      return undefined;
    }
    if (reading.signature === "invalid") {
      this.#add("signature", CHECKPOINT, `the checkpoint does not count: ${reading.reason}`);
    }
    return reading;
  }

  async #covered(index: number, bytes: Uint8Array, resources: Resources): Promise<void> {
    const found = leaf(bytes);
    const expected = await resources.leafOf(index);
    if (expected === undefined) this.#tiles_whole = false;
    else if (this.#divergence !== undefined) this.#watch(index, found, expected);
    else if (expected !== found) {
      this.#divergence = {
        index,
        found,
        expected,
        found_is_later_entry: false,
        expected_stands_at: undefined,
      };
      // Up to here both trees are one.
      this.#tile_tree = new Peaks(this.#file_tree);
    }
    if (this.#tiles_whole) this.#tile_tree?.push(expected ?? "");
    const nodes: [number, string][] = [];
    this.#file_tree.push(found, (level, hash) => nodes.push([level, hash]));
    if (this.#file_tree.size === resources.size) this.#file_root = this.#file_tree.root();
    for (const [level, hash] of nodes) await resources.addNode(level, hash);
    await resources.checkBundle(index, bytes);
  }

  #watch(index: number, found: string, expected: string | undefined): void {
    const divergence = this.#divergence;
    if (divergence === undefined) return;
    if (expected === divergence.found) divergence.found_is_later_entry = true;
    if (found === divergence.expected) divergence.expected_stands_at ??= index;
  }

  /** Weighs file and tiles against the signed root, and says which of them is at fault. */
  async #conclude(size: number, root: string, resources: Resources): Promise<void> {
    const entries = this.#chain.entries;
    const file_is_signed = size === 0 ? this.#file_tree.root() === root : this.#file_root === root;
    if (file_is_signed) {
      await resources.finish();
      for (const fault of resources.faults) this.#push(fault);
      return;
    }
    const tiles_are_signed = await this.#tilesHaveRoot(size, root, resources);
    if (entries < size) this.#truncated(entries, size);
    if (this.#divergence !== undefined && tiles_are_signed) {
      this.#diverged(this.#divergence);
      return;
    }
    if (entries < size) return;
    const message = "the checkpoint signs another tree than these entries make";
    this.#add("checkpoint", CHECKPOINT, message);
    // Neither side has the signed root: where they part is all that can be named.
    await resources.finish();
    for (const fault of resources.faults) this.#push(fault);
  }

  async #tilesHaveRoot(size: number, root: string, resources: Resources): Promise<boolean> {
    if (!this.#tiles_whole) return false;
    const tree = this.#tile_tree ?? new Peaks(this.#file_tree);
    for (let i = tree.size; i < size; i++) {
      const expected = await resources.leafOf(i);
      if (expected === undefined) return false;
      if (this.#divergence?.found === expected) this.#divergence.found_is_later_entry = true;
      tree.push(expected);
    }
    return tree.root() === root;
  }

  #truncated(entries: number, size: number): void {
    if (this.#divergence !== undefined) return;
    this.#push({
      kind: "truncation",
      index: entries,
      line: entries + 1,
      resource: LOG_FILE,
      message: `the log ends after ${entries} entries and its checkpoint covers ${size}: ` +
        `entry ${entries} is the first one missing`,
    });
  }

  #diverged(divergence: Divergence): void {
    const { index } = divergence;
    const kind = divergenceKind(divergence);
    const elsewhere = divergence.expected_stands_at;
    const what: Record<typeof kind, string> = {
      edit: `entry ${index} is not the one that was recorded`,
      omission: `entry ${index} is missing`,
      reorder: `entry ${index} stands at line ${(elsewhere ?? 0) + 1}`,
      insertion: `line ${index + 1} holds an entry that was not recorded there`,
    };
    this.#push({
      kind,
      index,
      line: index + 1,
      resource: LOG_FILE,
      message: `${what[kind]}: line ${index + 1} does not have the hash that the signed tree has`,
    });
  }

  #add(kind: ProblemKind, resource: string, message: string): void {
    this.#push({ kind, resource, message });
  }

  #push(problem: Problem): void {
    this.#problems.push(problem);
  }

  #report(
    checkpoint: Extract<ReturnType<typeof readCheckpoint>, { kind: "head" }> | undefined,
  ): VerifyReport {
    const problems = this.#problems.toSorted((a, b) => rank(a) - rank(b)).slice(0, PROBLEMS_MAX);
    const first = problems[0];
    const entries = this.#chain.entries;
    const covered = Math.min(entries, checkpoint?.head.size ?? 0);
    const signed = checkpoint?.signature === "valid";
    return {
      ok: first === undefined && signed,
      entries,
      covered,
      ...(checkpoint === undefined ? {} : {
        checkpoint: {
          origin: checkpoint.head.origin,
          size: checkpoint.head.size,
          root_hex: checkpoint.head.root,
          signature: checkpoint.signature,
        },
      }),
      ...(first === undefined ? {} : { first }),
      problems,
      summary: summaryOf(first, entries, covered, signed),
    };
  }
}

/** Entry problems by entry, the tree's word before the chain's; then what no entry can be named for. */
function rank(problem: Problem): number {
  return problem.index ?? Number.MAX_SAFE_INTEGER;
}

function divergenceKind(
  divergence: Divergence,
): "edit" | "omission" | "reorder" | "insertion" {
  const displaced = divergence.expected_stands_at !== undefined;
  if (divergence.found_is_later_entry) return displaced ? "reorder" : "omission";
  return displaced ? "insertion" : "edit";
}

function summaryOf(
  first: Problem | undefined,
  entries: number,
  covered: number,
  signed: boolean,
): string {
  if (first !== undefined) return `NOT OK: ${first.message}`;
  if (!signed) return `chain and tree agree over ${entries} entries; no verifier key was given`;
  const rest = entries - covered;
  const tail = rest === 0 ? "" : `; the last ${rest} are not under the checkpoint yet`;
  return `OK: ${entries} entries verified${tail}`;
}
