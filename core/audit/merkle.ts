/**
 * Merkle tree hashing and proofs of RFC 6962 §2.1 (RFC 9162 §2.1), over SHA-256. Sizes and indexes
 * are integers below 2^53.
 *
 * @module
 */
import { hash } from "node:crypto";
import { HASH_BYTES } from "./entry.ts";
import { bytesFromHex } from "./hex.ts";

// One buffer for the process: hashing is synchronous, so no two uses overlap.
let leaf_input = new Uint8Array(16_384);
const node_input = new Uint8Array(1 + 2 * HASH_BYTES);
node_input[0] = 1;

function sha256(bytes: Uint8Array): Uint8Array {
  return bytesFromHex(hash("sha256", bytes, "hex"), new Uint8Array(HASH_BYTES));
}

/** Leaf hash: SHA-256 of a zero byte and the entry. */
export function leafHash(entry: Uint8Array): Uint8Array {
  if (leaf_input.length < entry.length + 1) leaf_input = new Uint8Array(entry.length * 2);
  leaf_input[0] = 0;
  leaf_input.set(entry, 1);
  return sha256(leaf_input.subarray(0, entry.length + 1));
}

/** Interior hash: SHA-256 of a one byte, the left and the right hash. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  node_input.set(left, 1);
  node_input.set(right, 1 + HASH_BYTES);
  return sha256(node_input);
}

/** Root of the empty tree: SHA-256 of nothing. */
export function emptyRoot(): Uint8Array {
  return sha256(new Uint8Array(0));
}

/** Root of a perfect subtree, given its 2^n leaf (or lower) hashes. */
export function perfectRoot(hashes: readonly Uint8Array[]): Uint8Array {
  let row = hashes;
  if (row.length === 0 || (row.length & (row.length - 1)) !== 0) {
    throw new RangeError(`cannot hash a perfect subtree of ${row.length} nodes`);
  }
  while (row.length > 1) {
    const above: Uint8Array[] = [];
    for (let i = 0; i + 1 < row.length; i += 2) {
      above.push(nodeHash(row[i] ?? EMPTY, row[i + 1] ?? EMPTY));
    }
    row = above;
  }
  return row[0] ?? EMPTY;
}

const EMPTY = new Uint8Array(HASH_BYTES);

/** Gives the hash of a perfect subtree: leaves `[index * 2^level, (index + 1) * 2^level)`. */
export type NodeReader = (level: number, index: number) => Promise<Uint8Array>;

/** Largest power of two smaller than `n` (n above 1): where RFC 6962 splits a tree. */
export function splitPoint(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/**
 * Merkle tree hash of leaves `[start, end)`; `start` is a multiple of the largest power of two
 * not above the length, as every subtree of a proof is.
 */
export async function rangeRoot(
  start: number,
  end: number,
  read: NodeReader,
): Promise<Uint8Array> {
  const length = end - start;
  if (length === 0) return emptyRoot();
  const level = Math.log2(length);
  if (Number.isInteger(level)) return await read(level, start / length);
  const middle = start + splitPoint(length);
  return nodeHash(await rangeRoot(start, middle, read), await rangeRoot(middle, end, read));
}

/**
 * Inclusion proof of leaf `index` in the tree of `size` leaves, leaf's sibling first
 * (RFC 6962 §2.1.1).
 */
export async function inclusionProof(
  index: number,
  size: number,
  read: NodeReader,
): Promise<Uint8Array[]> {
  if (!(index >= 0 && index < size)) {
    throw new RangeError(`cannot prove entry ${index} in a tree of ${size}: not in the tree`);
  }
  const proof: Uint8Array[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const middle = start + splitPoint(end - start);
    if (index < middle) {
      proof.push(await rangeRoot(middle, end, read));
      end = middle;
    } else {
      proof.push(await rangeRoot(start, middle, read));
      start = middle;
    }
  }
  return proof.reverse();
}

/** Consistency proof from the tree of `first` leaves to the tree of `second` (RFC 6962 §2.1.2). */
export async function consistencyProof(
  first: number,
  second: number,
  read: NodeReader,
): Promise<Uint8Array[]> {
  if (!(first >= 0 && first <= second)) {
    throw new RangeError(`cannot prove ${first} consistent with ${second}: larger than it`);
  }
  if (first === 0 || first === second) return [];
  const proof: Uint8Array[] = [];
  let start = 0;
  let end = second;
  let complete = true;
  while (first !== end) {
    const middle = start + splitPoint(end - start);
    if (first <= middle) {
      proof.push(await rangeRoot(middle, end, read));
      end = middle;
    } else {
      proof.push(await rangeRoot(start, middle, read));
      start = middle;
      complete = false;
    }
  }
  if (!complete) proof.push(await rangeRoot(start, end, read));
  return proof.reverse();
}

/** Whether a proof shows that `leaf` is entry `index` of the tree (RFC 9162 §2.1.3.2). */
export function verifyInclusion(
  index: number,
  size: number,
  leaf: Uint8Array,
  proof: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) return false;
  let node = index;
  let last = size - 1;
  let value = leaf;
  for (const sibling of proof) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      value = nodeHash(sibling, value);
      while (node % 2 === 0 && node !== 0) {
        node = node / 2;
        last = Math.floor(last / 2);
      }
    } else {
      value = nodeHash(value, sibling);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && equalBytes(value, root);
}

/** Whether a proof shows the second tree to extend the first (RFC 9162 §2.1.4.2). */
export function verifyConsistency(
  first: number,
  second: number,
  first_root: Uint8Array,
  second_root: Uint8Array,
  proof: readonly Uint8Array[],
): boolean {
  if (first === second) return proof.length === 0 && equalBytes(first_root, second_root);
  if (first > second) return false;
  if (first === 0) return proof.length === 0;
  const path = Number.isInteger(Math.log2(first)) ? [first_root, ...proof] : [...proof];
  let node = first - 1;
  let last = second - 1;
  while (node % 2 === 1) {
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  const seed = path.shift();
  if (seed === undefined) return false;
  let old_root = seed;
  let new_root = seed;
  for (const sibling of path) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      old_root = nodeHash(sibling, old_root);
      new_root = nodeHash(sibling, new_root);
      while (node % 2 === 0 && node !== 0) {
        node = node / 2;
        last = Math.floor(last / 2);
      }
    } else {
      new_root = nodeHash(new_root, sibling);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && equalBytes(old_root, first_root) && equalBytes(new_root, second_root);
}

/** Equality of two byte strings; the values compared are public, so time does not matter. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
