/**
 * The Merkle tree beside the log: takes durable batches, writes tiles, then the checkpoint that
 * covers them. Off the path of an append; it holds the log back only when it lags too far.
 *
 * @module
 */
import { dirname } from "node:path";
import { type NoteSigner, signTreeHead } from "../../core/audit/checkpoint.ts";
import { TileBuilder, type TileFile, type TreeEdge } from "../../core/audit/tile_builder.ts";
import { partialTiles, TILE_WIDTH, tilePath } from "../../core/audit/tiles.ts";
import type { DurableBatch, DurableEnd } from "./commit.ts";
import { replaceDurably, STATE_FILE, TREE_DIRECTORY, writeDurably } from "./directory.ts";
import type { Disk } from "./disk.ts";
import { reasonOf } from "./errors.ts";
import type { AuditHost } from "./host.ts";

/** The newest checkpoint. */
export interface PublishedCheckpoint {
  /** The signed note. */
  readonly text: string;
  readonly size: number;
  readonly time_ms: number;
}

/** The tree as the log sees it, on this thread or another. */
export interface Tree {
  /** The newest checkpoint. */
  readonly published: PublishedCheckpoint | undefined;
  /** Why the last checkpoint could not be written; `undefined` while all is well. */
  readonly failure: string | undefined;
  /** Takes a durable batch, whose bytes are the tree's from then on. Never fails. */
  feed(batch: DurableBatch, end: DurableEnd): void;
  /** Resolves when the tree is near enough for the log to go on; `undefined` when it is now. */
  ready(): Promise<void> | undefined;
  /** A signed checkpoint over everything fed so far. */
  checkpoint(): Promise<string>;
  /** Stops the timer and waits for the work in hand. */
  close(): Promise<void>;
}

/** What the tree writer needs. */
export interface TreeWriterOptions {
  readonly host: AuditHost;
  readonly directory: string;
  readonly signer: NoteSigner;
  readonly edge: TreeEdge;
  /** End of the entries in `edge`. */
  readonly end: DurableEnd;
  readonly published: PublishedCheckpoint | undefined;
  /** Milliseconds from a new entry to the checkpoint that covers it. */
  readonly interval_ms: number;
  /** Bytes of lag at which the log waits. @default {@linkcode LAG_BYTES_MAX} */
  readonly lag_bytes_max?: number;
  /** Called when a task is done, with whether none is left. */
  readonly onTask?: (idle: boolean) => void;
}

type Task =
  | { readonly kind: "batch"; readonly batch: DurableBatch; readonly end: DurableEnd }
  | { readonly kind: "checkpoint"; readonly done: PromiseWithResolvers<string> };

/** Bytes between the log and its tiles, after which the log waits. */
export const LAG_BYTES_MAX = 67_108_864;
/** Files collected before they are written together. */
const FILES_A_FLUSH = 64;
const WRITES_AT_ONCE = 16;
/** Entries hashed before other work gets a turn. */
const ENTRIES_A_SLICE = 256;

/** Writes tiles and checkpoints. */
export class TreeWriter implements Tree {
  readonly #options: TreeWriterOptions;
  readonly #builder: TileBuilder;
  #end: DurableEnd;
  #published: PublishedCheckpoint | undefined;
  readonly #tasks: Task[] = [];
  #running: Promise<void> | undefined;
  #unwritten: TileFile[] = [];
  readonly #dirty_directories = new Set<string>();
  /** Folders of partial tiles on disk, to be removed once their full tile is. */
  readonly #partial_folders = new Set<string>();
  #lag_bytes = 0;
  #room: PromiseWithResolvers<void> | undefined;
  #failure: string | undefined;
  #cancel_timer: (() => void) | undefined;

  constructor(options: TreeWriterOptions) {
    this.#options = options;
    this.#builder = new TileBuilder(options.edge);
    this.#end = options.end;
    this.#published = options.published;
    for (const name of partialTiles(options.edge.size)) {
      this.#partial_folders.add(dirname(tilePath(name)));
    }
  }

  get published(): PublishedCheckpoint | undefined {
    return this.#published;
  }

  /** Bytes taken and not yet in tiles on disk. */
  get lag_bytes(): number {
    return this.#lag_bytes;
  }

  get failure(): string | undefined {
    return this.#failure;
  }

  feed(batch: DurableBatch, end: DurableEnd): void {
    this.#lag_bytes += batch.bytes.length;
    this.#tasks.push({ kind: "batch", batch, end });
    this.#running ??= this.#run();
    this.#arm();
  }

  get #lag_max(): number {
    return this.#options.lag_bytes_max ?? LAG_BYTES_MAX;
  }

  ready(): Promise<void> | undefined {
    if (this.#lag_bytes < this.#lag_max) return undefined;
    if (this.#failure !== undefined) return Promise.reject(new Error(this.#failure));
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  checkpoint(): Promise<string> {
    const done = Promise.withResolvers<string>();
    this.#tasks.push({ kind: "checkpoint", done });
    this.#running ??= this.#run();
    return done.promise;
  }

  async close(): Promise<void> {
    this.#disarm();
    while (this.#running !== undefined) await this.#running;
    this.#disarm();
  }

  #arm(): void {
    // A pending checkpoint alone does not keep the process alive: close() writes the last one.
    this.#cancel_timer ??= this.#options.host.later(() => {
      this.#cancel_timer = undefined;
      this.checkpoint().catch(() => this.#arm());
    }, this.#options.interval_ms);
  }

  #disarm(): void {
    this.#cancel_timer?.();
    this.#cancel_timer = undefined;
  }

  async #run(): Promise<void> {
    await Promise.resolve();
    for (let task = this.#tasks.shift(); task !== undefined; task = this.#tasks.shift()) {
      if (task.kind === "batch") {
        await this.#grow(task.batch);
        this.#end = task.end;
      } else {
        await this.#publish().then(task.done.resolve, task.done.reject);
      }
      this.#release();
      this.#options.onTask?.(this.#tasks.length === 0);
    }
    this.#running = undefined;
  }

  #release(): void {
    if (this.#room === undefined) return;
    if (this.#lag_bytes < this.#lag_max) this.#room.resolve();
    else if (this.#failure !== undefined) this.#room.reject(new Error(this.#failure));
    else return;
    this.#room = undefined;
  }

  async #grow(batch: DurableBatch): Promise<void> {
    let start = 0;
    for (const [i, newline] of batch.newlines.entries()) {
      this.#builder.push(batch.bytes.subarray(start, newline));
      start = newline + 1;
      if (i % ENTRIES_A_SLICE === ENTRIES_A_SLICE - 1) await this.#options.host.turn();
    }
    this.#lag_bytes -= batch.bytes.length;
    for (const file of this.#builder.takeComplete()) {
      this.#unwritten.push(file);
      this.#lag_bytes += file.bytes.length;
    }
    const due = this.#unwritten.length >= FILES_A_FLUSH || this.#lag_bytes >= this.#lag_max / 2;
    // After a failure the next checkpoint tries again, not every batch.
    if (due && this.#failure === undefined) {
      await this.#flush().catch((error) => this.#note(error));
    }
  }

  #note(error: unknown): void {
    this.#failure = `the Merkle tree cannot be written: ${reasonOf(error)}`;
  }

  /** Writes the full tiles and bundles that wait. All stay in hand when one cannot be written. */
  async #flush(): Promise<void> {
    await this.#writeFiles(this.#unwritten);
    for (const file of this.#unwritten) this.#lag_bytes -= file.bytes.length;
    this.#unwritten = [];
  }

  async #writeFiles(files: readonly TileFile[]): Promise<void> {
    for (let i = 0; i < files.length; i += WRITES_AT_ONCE) {
      const outcomes = await Promise.allSettled(
        files.slice(i, i + WRITES_AT_ONCE).map((file) => this.#writeFile(file)),
      );
      for (const outcome of outcomes) {
        if (outcome.status === "rejected") throw outcome.reason;
      }
    }
  }

  async #writeFile(file: TileFile): Promise<void> {
    const path = `${this.#options.directory}/${TREE_DIRECTORY}/${file.path}`;
    this.#dirty_directories.add(dirname(path));
    await writeDurably(path, file.bytes, this.#options.host.disk);
    if (file.name.width < TILE_WIDTH) this.#partial_folders.add(dirname(file.path));
  }

  /** Tiles first, then the checkpoint, then the note of how far tiles are good. */
  async #publish(): Promise<string> {
    const published = this.#published;
    const current = published?.size === this.#builder.size && this.#failure === undefined;
    if (published !== undefined && current) return published.text;
    try {
      return await this.#write();
    } catch (error) {
      this.#note(error);
      throw new Error(this.#failure, { cause: error });
    }
  }

  async #write(): Promise<string> {
    const { directory, signer, host } = this.#options;
    const size = this.#builder.size;
    await this.#flush();
    await this.#writeFiles(this.#builder.partials());
    for (const path of this.#dirty_directories) {
      await syncWithParents(path, directory, host.disk);
    }
    this.#dirty_directories.clear();
    const head = { origin: signer.name, size, root: this.#builder.root() };
    const text = signTreeHead(head, signer);
    await replaceDurably(`${directory}/${TREE_DIRECTORY}/checkpoint`, text, host.disk);
    this.#published = { text, size, time_ms: host.now_ms() };
    this.#failure = undefined;
    await replaceDurably(`${directory}/${STATE_FILE}`, this.#stateText(size), host.disk);
    await this.#dropPartials();
    return text;
  }

  #stateText(size: number): string {
    return JSON.stringify({
      version: 1,
      size,
      offset_bytes: this.#end.offset_bytes,
      entry_hash: this.#end.head.previous_hex,
    }) + "\n";
  }

  /** Partial tiles may go once the full tile is there (tlog-tiles). */
  async #dropPartials(): Promise<void> {
    const current = new Set(
      partialTiles(this.#builder.size).map((name) => dirname(tilePath(name))),
    );
    for (const folder of this.#partial_folders) {
      if (current.has(folder)) continue;
      this.#partial_folders.delete(folder);
      const path = `${this.#options.directory}/${TREE_DIRECTORY}/${folder}`;
      await this.#options.host.disk.remove(path).catch(() => {});
    }
  }
}

async function syncWithParents(path: string, root: string, disk: Disk): Promise<void> {
  for (let at = path; at.length > root.length; at = dirname(at)) await disk.syncDirectory(at);
}
