/**
 * The segments of decision facts on disk: appended to, closed and dropped as wholes. A segment of an
 * earlier process, or one that a write failed in, is never written to again.
 *
 * @module
 */
import type { DecisionFact } from "../../core/replay/facts.ts";
import { REPLAY_LIMITS } from "../../core/replay/limits.ts";
import { type FactsSource, segmentName, segmentStart } from "../../core/replay/reading.ts";
import { SALT_BYTES, SegmentWriter } from "../../core/replay/segment.ts";
import { type DurableFile, openDurableFile } from "../audit/durable_file.ts";
import { FACTS_LIMITS } from "./limits.ts";

/** What segments need of a file system. */
export interface FactsDisk {
  /** Makes the directory, for the owner alone. */
  makeDirectory(path: string): Promise<void>;
  /** Plain files of the directory with their sizes. */
  list(path: string): Promise<readonly { readonly name: string; readonly bytes: number }[]>;
  open(path: string): Promise<DurableFile>;
  read(path: string): Promise<Uint8Array>;
  remove(path: string): Promise<void>;
}

/** The machine's file system. */
export const SYSTEM_FACTS_DISK: FactsDisk = {
  makeDirectory: (path) => Deno.mkdir(path, { recursive: true, mode: 0o700 }),
  async list(path) {
    const found: { name: string; bytes: number }[] = [];
    for await (const entry of Deno.readDir(path)) {
      if (!entry.isFile) continue;
      found.push({ name: entry.name, bytes: (await Deno.stat(`${path}/${entry.name}`)).size });
    }
    return found;
  },
  open: openDurableFile,
  read: (path) => Deno.readFile(path),
  remove: (path) => Deno.remove(path),
};

/** How segments are kept. */
export interface SegmentsOptions {
  readonly directory: string;
  readonly key: Uint8Array;
  readonly retention_ms: number;
  /** @default FACTS_LIMITS.directory_bytes */
  readonly max_bytes?: number;
  /** @default the machine's */
  readonly disk?: FactsDisk;
  /** @default `crypto.getRandomValues` */
  readonly randomBytes?: (length: number) => Uint8Array;
  /** Records a drop in the audit log; awaited before anything is removed. */
  readonly onDrop: (dropped: SegmentsDropped) => Promise<void>;
}

/** Segments that retention or the size bound no longer covers. */
export interface SegmentsDropped {
  readonly segments: readonly string[];
  readonly bytes: number;
  readonly reason: "retention" | "size";
}

interface Open {
  readonly name: string;
  readonly writer: SegmentWriter;
  readonly file: DurableFile;
  readonly started_ms: number;
}

/** Segments of one directory. Calls of {@linkcode append} must not overlap. */
export class FactSegments {
  readonly #options: SegmentsOptions;
  readonly #disk: FactsDisk;
  /** Sizes of every segment, the open one included. */
  readonly #sizes: Map<string, number>;
  #serial: number;
  #open: Open | undefined;

  private constructor(options: SegmentsOptions, disk: FactsDisk, sizes: Map<string, number>) {
    this.#options = options;
    this.#disk = disk;
    this.#sizes = sizes;
    const last = [...sizes.keys()].sort().at(-1);
    this.#serial = last === undefined ? 0 : (Number(last.slice(-14, -8)) + 1) % 1_000_000;
  }

  /** Opens the directory; makes it when it is missing. */
  static async open(options: SegmentsOptions): Promise<FactSegments> {
    const disk = options.disk ?? SYSTEM_FACTS_DISK;
    await disk.makeDirectory(options.directory);
    const sizes = new Map<string, number>();
    for (const { name, bytes } of await disk.list(options.directory)) {
      if (segmentStart(name) !== undefined) sizes.set(name, bytes);
    }
    return new FactSegments(options, disk, sizes);
  }

  /** Bytes of all segments. */
  get bytes(): number {
    let sum = 0;
    for (const bytes of this.#sizes.values()) sum += bytes;
    return sum;
  }

  /** Number of segments. */
  get count(): number {
    return this.#sizes.size;
  }

  /** When the oldest segment began; `undefined` when there is none. */
  get oldest_ms(): number | undefined {
    const first = [...this.#sizes.keys()].sort()[0];
    return first === undefined ? undefined : segmentStart(first);
  }

  /** For reading: the segments as they are now. */
  source(): FactsSource {
    const { directory } = this.#options;
    return {
      names: [...this.#sizes.keys()],
      read: (name) => this.#disk.read(`${directory}/${name}`),
    };
  }

  /**
   * Writes one batch as one frame; resolves when it is on disk.
   *
   * @throws {Error} When it could not be written; the next batch goes into a new segment, because
   * nobody knows how much of this one arrived.
   */
  async append(facts: readonly DecisionFact[], now_ms: number): Promise<void> {
    if (this.#isFull(now_ms)) await this.closeSegment();
    this.#open ??= await this.#begin(now_ms);
    const open = this.#open;
    try {
      const frame = open.writer.frame(facts);
      await open.file.append(frame);
      await open.file.sync();
      this.#sizes.set(open.name, (this.#sizes.get(open.name) ?? 0) + frame.length);
    } catch (error) {
      this.#open = undefined;
      open.file.close();
      throw error;
    }
  }

  #isFull(now_ms: number): boolean {
    if (this.#open === undefined) return false;
    const { name, started_ms } = this.#open;
    return (this.#sizes.get(name) ?? 0) >= REPLAY_LIMITS.segment_bytes ||
      Math.abs(now_ms - started_ms) >= REPLAY_LIMITS.segment_ms;
  }

  async #begin(now_ms: number): Promise<Open> {
    const { directory, key, randomBytes } = this.#options;
    // Names sort by time; a clock that steps back must not put new facts before older ones.
    const newest = [...this.#sizes.keys()].sort().at(-1);
    const newest_ms = newest === undefined ? 0 : segmentStart(newest) ?? 0;
    const started_ms = Math.max(now_ms, newest_ms);
    const name = segmentName(started_ms, this.#serial);
    this.#serial = (this.#serial + 1) % 1_000_000;
    const salt = randomBytes?.(SALT_BYTES) ?? crypto.getRandomValues(new Uint8Array(SALT_BYTES));
    const writer = new SegmentWriter(key, salt);
    const file = await this.#disk.open(`${directory}/${name}`);
    this.#sizes.set(name, 0);
    try {
      await file.append(writer.header);
    } catch (error) {
      file.close();
      throw error;
    }
    this.#sizes.set(name, writer.header.length);
    return { name, writer, file, started_ms: now_ms };
  }

  /** Ends the open segment in order; the next batch begins another. */
  async closeSegment(): Promise<void> {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    try {
      const end = open.writer.end();
      await open.file.append(end);
      await open.file.sync();
      this.#sizes.set(open.name, (this.#sizes.get(open.name) ?? 0) + end.length);
    } finally {
      open.file.close();
    }
  }

  /** Drops whole segments that retention or the size bound no longer covers; oldest first. */
  async drop(now_ms: number): Promise<void> {
    const { retention_ms, max_bytes = FACTS_LIMITS.directory_bytes } = this.#options;
    const names = [...this.#sizes.keys()].sort();
    // A segment's last fact is older than the beginning of the next one.
    const expired = names.filter((name, at) => {
      const next = names[at + 1];
      const ended_ms = next === undefined ? undefined : segmentStart(next);
      return name !== this.#open?.name && ended_ms !== undefined &&
        ended_ms < now_ms - retention_ms;
    });
    await this.#remove(expired, "retention");
    const crowding: string[] = [];
    let bytes = this.bytes;
    for (const name of [...this.#sizes.keys()].sort()) {
      if (bytes <= max_bytes || name === this.#open?.name) break;
      crowding.push(name);
      bytes -= this.#sizes.get(name) ?? 0;
    }
    await this.#remove(crowding, "size");
  }

  async #remove(names: readonly string[], reason: SegmentsDropped["reason"]): Promise<void> {
    if (names.length === 0) return;
    const bytes = names.reduce((sum, name) => sum + (this.#sizes.get(name) ?? 0), 0);
    await this.#options.onDrop({ segments: names, bytes, reason });
    for (const name of names) {
      try {
        await this.#disk.remove(`${this.#options.directory}/${name}`);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
      this.#sizes.delete(name);
    }
  }
}
