/**
 * Merkle hashing and the tile layout as a stranger computes them (RFC 6962 §2.1, C2SP
 * tlog-tiles). Hashes are hex texts here.
 *
 * @module
 */
import { hash } from "node:crypto";

/** Hashes of a full tile. */
export const WIDTH = 256;
const TILE_HEIGHT = 8;

/** Leaf hash, hex. */
export function leaf(entry: Uint8Array): string {
  const input = new Uint8Array(entry.length + 1);
  input.set(entry, 1);
  return hash("sha256", input, "hex");
}

/** Interior hash, hex. */
export function node(left: string, right: string): string {
  return hash("sha256", Uint8Array.fromHex(`01${left}${right}`), "hex");
}

/** A growing tree, kept as the roots of its perfect subtrees, the largest first. */
export class Peaks {
  readonly #peaks: { readonly height: number; readonly root: string }[];
  #size: number;

  constructor(from?: Peaks) {
    this.#peaks = from === undefined ? [] : [...from.#peaks];
    this.#size = from === undefined ? 0 : from.#size;
  }

  get size(): number {
    return this.#size;
  }

  /** @param onNode Called with each node this leaf completes that a tile holds, and its level. */
  push(leaf_hash: string, onNode?: (tile_level: number, hash: string) => void): void {
    let height = 0;
    let root = leaf_hash;
    onNode?.(0, root);
    for (let last = this.#peaks.at(-1); last?.height === height; last = this.#peaks.at(-1)) {
      root = node(last.root, root);
      height++;
      this.#peaks.pop();
      if (height % TILE_HEIGHT === 0) onNode?.(height / TILE_HEIGHT, root);
    }
    this.#peaks.push({ height, root });
    this.#size++;
  }

  /** Root of the whole tree. */
  root(): string {
    return this.#peaks.reduceRight<string | undefined>(
      (right, peak) => right === undefined ? peak.root : node(peak.root, right),
      undefined,
    ) ?? hash("sha256", new Uint8Array(0), "hex");
  }
}

/** Name of a tile or bundle in a log of `size` entries, under `log/`. */
export function tileName(level: number | "entries", index: number, size: number): string {
  const height = level === "entries" ? 0 : level;
  const width = Math.min(WIDTH, Math.floor(size / WIDTH ** height) - index * WIDTH);
  const digits = String(index).padStart(Math.ceil(String(index).length / 3) * 3, "0");
  const groups = digits.match(/\d{3}/g) ?? [];
  const path = groups.map((group, i) => i < groups.length - 1 ? `x${group}` : group).join("/");
  return `log/tile/${level}/${path}${width === WIDTH ? "" : `.p/${width}`}`;
}

/** Entries of a bundle; `undefined` when its lengths do not add up. */
export function bundleEntries(bytes: Uint8Array): Uint8Array[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    if (at + 2 > bytes.length) return undefined;
    const end = at + 2 + view.getUint16(at);
    if (end > bytes.length) return undefined;
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return entries;
}

/** Whether a path proves that a leaf is entry `index` of a tree (RFC 9162 §2.1.3.2). */
export function provesInclusion(
  index: number,
  size: number,
  leaf_hash: string,
  path: readonly string[],
  root: string,
): boolean {
  const climb = (at: number, count: number, depth: number): string | undefined => {
    // Walks from the root down: which side the leaf is on decides where the sibling goes.
    if (count === 1) return depth === 0 ? leaf_hash : undefined;
    const sibling = path[depth - 1];
    if (sibling === undefined) return undefined;
    let left = 1;
    while (left * 2 < count) left *= 2;
    const below = at < left
      ? climb(at, left, depth - 1)
      : climb(at - left, count - left, depth - 1);
    if (below === undefined) return undefined;
    return at < left ? node(below, sibling) : node(sibling, below);
  };
  return Number.isSafeInteger(index) && index >= 0 && index < size && path.length < 64 &&
    climb(index, size, path.length) === root;
}
