/**
 * Grows the tree entry by entry and hands out the tiles and bundles that are complete; the right
 * edge is kept, nothing else.
 *
 * @module
 */
import { leafHash, perfectRoot } from "./merkle.ts";
import {
  encodeBundle,
  joinTile,
  levelCount,
  rootOfEdge,
  TILE_WIDTH,
  type TileName,
  tilePath,
} from "./tiles.ts";

/** A tile or bundle and its bytes. */
export interface TileFile {
  readonly name: TileName;
  /** Path inside the log's folder. */
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** The right edge of a tree: what a builder needs to go on. */
export interface TreeEdge {
  readonly size: number;
  /** For each tile level, the hashes past the last full tile. */
  readonly hashes: readonly (readonly Uint8Array[])[];
  /** Entries past the last full bundle. */
  readonly entries: readonly Uint8Array[];
}

/** The edge of the empty tree. */
export const EMPTY_EDGE: TreeEdge = { size: 0, hashes: [], entries: [] };

/** A growing tree. */
export class TileBuilder {
  #size: number;
  readonly #edge: Uint8Array[][];
  #entries: Uint8Array[];
  #complete: TileFile[] = [];

  constructor(edge: TreeEdge = EMPTY_EDGE) {
    this.#size = edge.size;
    this.#edge = edge.hashes.map((hashes) => [...hashes]);
    this.#entries = [...edge.entries];
  }

  /** Entries in the tree. */
  get size(): number {
    return this.#size;
  }

  /** Appends one entry; `entry` must not be written to afterwards. */
  push(entry: Uint8Array): void {
    const index = Math.floor(this.#size / TILE_WIDTH);
    this.#entries.push(entry);
    this.#size++;
    if (this.#entries.length === TILE_WIDTH) {
      this.#emit(
        { kind: "entries", level: 0, index, width: TILE_WIDTH },
        encodeBundle(this.#entries),
      );
      this.#entries = [];
    }
    this.#pushHash(0, leafHash(entry));
  }

  #pushHash(level: number, hash: Uint8Array): void {
    const hashes = this.#edge[level] ?? (this.#edge[level] = []);
    hashes.push(hash);
    if (hashes.length < TILE_WIDTH) return;
    const index = levelCount(this.#size, level + 1) - 1;
    this.#emit({ kind: "tile", level, index, width: TILE_WIDTH }, joinTile(hashes));
    this.#edge[level] = [];
    this.#pushHash(level + 1, perfectRoot(hashes));
  }

  #emit(name: TileName, bytes: Uint8Array): void {
    this.#complete.push({ name, path: tilePath(name), bytes });
  }

  /** Full tiles and bundles completed since the last call. */
  takeComplete(): TileFile[] {
    const files = this.#complete;
    this.#complete = [];
    return files;
  }

  /** The partial tiles and bundle of the tree as it is now. */
  partials(): TileFile[] {
    const files: TileFile[] = [];
    for (const [level, hashes] of this.#edge.entries()) {
      const width = hashes.length;
      if (width === 0) continue;
      const index = Math.floor(levelCount(this.#size, level) / TILE_WIDTH);
      const tile: TileName = { kind: "tile", level, index, width };
      files.push({ name: tile, path: tilePath(tile), bytes: joinTile(hashes) });
      if (level > 0) continue;
      const bundle: TileName = { kind: "entries", level: 0, index, width };
      files.push({ name: bundle, path: tilePath(bundle), bytes: encodeBundle(this.#entries) });
    }
    return files;
  }

  /** The right edge as it is now. */
  edge(): TreeEdge {
    return {
      size: this.#size,
      hashes: this.#edge.map((hashes) => [...hashes]),
      entries: [...this.#entries],
    };
  }

  /** Root of the tree as it is now. */
  root(): Uint8Array {
    return rootOfEdge(this.#edge);
  }
}
