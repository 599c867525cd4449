/**
 * The tile layout of C2SP tlog-tiles: resource names, tile widths, entry bundles, and the tree's
 * hashes read out of tiles.
 *
 * @module
 */
import { HASH_BYTES } from "./entry.ts";
import { emptyRoot, nodeHash, type NodeReader, perfectRoot } from "./merkle.ts";

/** Hashes of a full tile, entries of a full bundle. */
export const TILE_WIDTH = 256;
const TILE_HEIGHT = 8;
/** Tile levels that can hold anything below 2^53 entries. */
const LEVELS_MAX = 7;
/** Longest entry of a bundle: its length is a 16-bit integer. */
export const BUNDLE_ENTRY_BYTES_MAX = 65_535;

/** One named tile or bundle. `width` is 256 for a full one. */
export interface TileName {
  readonly kind: "tile" | "entries";
  /** Level of a tile; 0 for a bundle. */
  readonly level: number;
  readonly index: number;
  /** 1 to 256. */
  readonly width: number;
}

/** A name of the layout. */
export type ResourceName = { readonly kind: "checkpoint" } | TileName;

/** Resource path, e.g. `tile/0/x001/234.p/17`, `tile/entries/000`. */
export function tilePath(name: TileName): string {
  const level = name.kind === "entries" ? "entries" : String(name.level);
  const partial = name.width === TILE_WIDTH ? "" : `.p/${name.width}`;
  return `tile/${level}/${indexPath(name.index)}${partial}`;
}

function indexPath(index: number): string {
  let path = String(index % 1000).padStart(3, "0");
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    path = `x${String(rest % 1000).padStart(3, "0")}/${path}`;
  }
  return path;
}

const TILE_PATTERN =
  /^tile\/(entries|0|[1-9]\d?)\/((?:x\d{3}\/){0,4}\d{3})(?:\.p\/([1-9]\d{0,2}))?$/;

/**
 * Reads a resource path; `undefined` for anything that is not exactly a name of the layout, so
 * no other file can be reached by it.
 */
export function parseResource(path: string): ResourceName | undefined {
  if (path === "checkpoint") return { kind: "checkpoint" };
  const match = TILE_PATTERN.exec(path);
  if (match === null) return undefined;
  const [, level = "", index_path = "", partial] = match;
  const index = Number(index_path.replaceAll(/[x/]/g, ""));
  const width = partial === undefined ? TILE_WIDTH : Number(partial);
  if (partial !== undefined && width >= TILE_WIDTH) return undefined;
  const name: TileName = level === "entries"
    ? { kind: "entries", level: 0, index, width }
    : { kind: "tile", level: Number(level), index, width };
  // One name per resource: a path with needless leading groups is not the name it stands for.
  return name.level < LEVELS_MAX && tilePath(name) === path ? name : undefined;
}

/** Nodes of a tile level in a tree of `size` leaves. */
export function levelCount(size: number, level: number): number {
  return Math.floor(size / TILE_WIDTH ** level);
}

/** Every tile and bundle of the right edge that a tree of `size` leaves has as a partial one. */
export function partialTiles(size: number): TileName[] {
  const names: TileName[] = [];
  for (let level = 0; levelCount(size, level) > 0; level++) {
    const count = levelCount(size, level);
    const width = count % TILE_WIDTH;
    if (width === 0) continue;
    const index = Math.floor(count / TILE_WIDTH);
    names.push({ kind: "tile", level, index, width });
    if (level === 0) names.push({ kind: "entries", level, index, width });
  }
  return names;
}

/** Name of tile `index` at `level` as a tree of `size` leaves has it; `undefined` if it is empty. */
export function tileAt(
  kind: TileName["kind"],
  level: number,
  index: number,
  size: number,
): TileName | undefined {
  const width = Math.min(TILE_WIDTH, levelCount(size, level) - index * TILE_WIDTH);
  return width > 0 ? { kind, level, index, width } : undefined;
}

/** Entries, each behind its 16-bit big-endian length. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  const bundle = new Uint8Array(entries.reduce((sum, entry) => sum + 2 + entry.length, 0));
  let at = 0;
  for (const entry of entries) {
    if (entry.length > BUNDLE_ENTRY_BYTES_MAX) {
      throw new RangeError(`cannot bundle an entry of ${entry.length} bytes`);
    }
    bundle[at] = entry.length >> 8;
    bundle[at + 1] = entry.length & 0xff;
    bundle.set(entry, at + 2);
    at += 2 + entry.length;
  }
  return bundle;
}

/** Entries of a bundle; `undefined` when its lengths do not add up. */
export function decodeBundle(bundle: Uint8Array): Uint8Array[] | undefined {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < bundle.length) {
    const length = ((bundle[at] ?? 0) << 8) | (bundle[at + 1] ?? 0);
    const end = at + 2 + length;
    if (at + 2 > bundle.length || end > bundle.length) return undefined;
    entries.push(bundle.subarray(at + 2, end));
    at = end;
  }
  return entries;
}

/** Hashes of a tile. */
export function splitTile(tile: Uint8Array): Uint8Array[] {
  const hashes: Uint8Array[] = [];
  for (let at = 0; at + HASH_BYTES <= tile.length; at += HASH_BYTES) {
    hashes.push(tile.subarray(at, at + HASH_BYTES));
  }
  return hashes;
}

/** Bytes of a tile. */
export function joinTile(hashes: readonly Uint8Array[]): Uint8Array {
  const tile = new Uint8Array(hashes.length * HASH_BYTES);
  for (const [i, hash] of hashes.entries()) tile.set(hash, i * HASH_BYTES);
  return tile;
}

/**
 * Tree root from the right edge: for each tile level the hashes past the last full tile.
 * Only one 256-ary digit of the size is in each level, so each contributes its binary peaks.
 */
export function rootOfEdge(edge: readonly (readonly Uint8Array[])[]): Uint8Array {
  let root: Uint8Array | undefined;
  for (const hashes of edge) {
    let end = hashes.length;
    for (let width = 1; width <= end; width *= 2) {
      if ((end & width) === 0) continue;
      const peak = perfectRoot(hashes.slice(end - width, end));
      root = root === undefined ? peak : nodeHash(peak, root);
      end -= width;
    }
  }
  return root ?? emptyRoot();
}

/** Reads a whole tile; fails when it is missing or not `width` hashes long. */
export type TileReader = (name: TileName) => Promise<Uint8Array>;

/** Subtree hashes of the tree of `size` leaves, out of its tiles. */
export function nodesFromTiles(size: number, read: TileReader): NodeReader {
  return async (level, index) => {
    const tile_level = Math.floor(level / TILE_HEIGHT);
    const width = 2 ** (level % TILE_HEIGHT);
    const first = index * width;
    const tile_index = Math.floor(first / TILE_WIDTH);
    const name = tileAt("tile", tile_level, tile_index, size);
    const offset = first - tile_index * TILE_WIDTH;
    if (name === undefined || offset + width > name.width) {
      throw new RangeError(`no node ${level}/${index} in a tree of ${size}`);
    }
    return perfectRoot(splitTile(await read(name)).slice(offset, offset + width));
  };
}
