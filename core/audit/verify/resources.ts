/**
 * The log's tiles and bundles, held against what the entries hash to.
 *
 * @module
 */
import { toHex } from "./note.ts";
import { bundleEntries, tileName, WIDTH } from "./tree.ts";

/** Where the log's files come from; the names are those inside the audit directory. */
export interface LogReader {
  /** A whole file; `undefined` when there is none. */
  read(name: string): Promise<Uint8Array | undefined>;
  /** A file in pieces, for logs larger than memory; used for the log file when present. */
  stream?(name: string): Promise<AsyncIterable<Uint8Array> | undefined>;
}

/** A tile or bundle that does not hold what it should. */
export interface ResourceFault {
  readonly kind: "tile" | "bundle";
  readonly resource: string;
  /** First entry it is wrong about; absent for upper tiles. */
  readonly index?: number;
  readonly message: string;
}

/** Tiles and bundles of a log of `size` entries. */
export class Resources {
  readonly faults: ResourceFault[] = [];
  /** For each tile level, the hashes computed since its last full tile. */
  readonly #rows: string[][] = [];
  readonly #counts: number[] = [];
  #leaves: { readonly tile: number; readonly hashes: readonly string[] | undefined } | undefined;
  #bundle: { readonly index: number; readonly entries: readonly Uint8Array[] } | undefined;

  constructor(readonly reader: LogReader, readonly size: number) {}

  /** Leaf hash that level 0 holds for an entry; `undefined` when its tile is missing or short. */
  async leafOf(index: number): Promise<string | undefined> {
    const tile = Math.floor(index / WIDTH);
    if (this.#leaves?.tile !== tile) {
      this.#leaves = { tile, hashes: await this.#readTile(0, tile) };
    }
    return this.#leaves.hashes?.[index % WIDTH];
  }

  async #readTile(level: number, index: number): Promise<readonly string[] | undefined> {
    const name = tileName(level, index, this.size);
    const width = Math.min(WIDTH, Math.floor(this.size / WIDTH ** level) - index * WIDTH);
    const file = await this.#readFile(name);
    const which = level === 0 ? { index: index * WIDTH } : {};
    if (file === undefined) {
      this.#fault({ kind: "tile", resource: name, ...which, message: `${name} is missing` });
      return undefined;
    }
    const { bytes } = file;
    const expected = (file.full ? WIDTH : width) * 32;
    if (bytes.length !== expected) {
      const message = `${name} has ${bytes.length} bytes, expected ${expected}`;
      this.#fault({ kind: "tile", resource: name, ...which, message });
      return undefined;
    }
    const hashes: string[] = [];
    for (let i = 0; i < width; i++) hashes.push(toHex(bytes.subarray(i * 32, i * 32 + 32)));
    return hashes;
  }

  /** The full tile may stand in for a partial one: its first hashes are the same. */
  async #readFile(name: string): Promise<{ bytes: Uint8Array; full: boolean } | undefined> {
    const bytes = await this.reader.read(name);
    if (bytes !== undefined) return { bytes, full: !name.includes(".p/") };
    const full = name.includes(".p/")
      ? await this.reader.read(name.replace(/\.p\/.*/, ""))
      : undefined;
    return full && { bytes: full, full: true };
  }

  /** Compares an entry with its bundle. */
  async checkBundle(index: number, entry: Uint8Array): Promise<void> {
    const bundle = Math.floor(index / WIDTH);
    const name = tileName("entries", bundle, this.size);
    if (this.#bundle?.index !== bundle) {
      const file = await this.#readFile(name);
      const entries = file && bundleEntries(file.bytes);
      this.#bundle = { index: bundle, entries: entries ?? [] };
      if (file === undefined || entries === undefined) {
        const what = file === undefined ? "is missing" : "has lengths that do not add up";
        this.#fault({ kind: "bundle", resource: name, index, message: `${name} ${what}` });
      } else this.#checkCount(name, bundle, entries.length, file.full);
    }
    const entries = this.#bundle.entries;
    if (entries.length === 0) return;
    const stored = entries[index % WIDTH];
    if (stored === undefined || !same(stored, entry)) {
      const message = `${name} does not hold entry ${index} as the log file does`;
      this.#fault({ kind: "bundle", resource: name, index, message });
    }
  }

  #checkCount(name: string, bundle: number, count: number, full: boolean): void {
    const width = full ? WIDTH : Math.min(WIDTH, this.size - bundle * WIDTH);
    if (count === width) return;
    const index = bundle * WIDTH + Math.min(count, width - 1);
    const message = `${name} holds ${count} entries, expected ${width}`;
    this.#fault({ kind: "bundle", resource: name, index, message });
  }

  /** Takes a node of the computed tree, in order; compares each tile as it is complete. */
  async addNode(level: number, hash: string): Promise<void> {
    const row = this.#rows[level] ??= [];
    row.push(hash);
    if (row.length === WIDTH) await this.#closeTile(level);
  }

  async #closeTile(level: number): Promise<void> {
    const index = this.#counts[level] ?? 0;
    const row = this.#rows[level] ?? [];
    this.#counts[level] = index + 1;
    this.#rows[level] = [];
    if (row.length === 0) return;
    const stored = level === 0 && this.#leaves?.tile === index
      ? this.#leaves.hashes
      : await this.#readTile(level, index);
    if (stored === undefined) return;
    const wrong = row.findIndex((hash, i) => stored[i] !== hash);
    if (wrong < 0) return;
    const name = tileName(level, index, this.size);
    const which = level === 0 ? { index: index * WIDTH + wrong } : {};
    const message = level === 0
      ? `${name} has another hash for entry ${index * WIDTH + wrong} than the log file gives`
      : `${name} has a wrong hash at position ${wrong}`;
    this.#fault({ kind: "tile", resource: name, ...which, message });
  }

  /** Compares the partial tiles of the right edge. */
  async finish(): Promise<void> {
    for (let level = 0; level < this.#rows.length; level++) await this.#closeTile(level);
  }

  #fault(fault: ResourceFault): void {
    if (this.faults.length < 100 && !this.faults.some((f) => f.resource === fault.resource)) {
      this.faults.push(fault);
    }
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
