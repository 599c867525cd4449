/**
 * Where reading may start at open: the state note says how far tiles are on disk, and is believed
 * only when the line and the tiles it points at agree with it.
 *
 * @module
 */
import { type ChainHead, chainProblem, GENESIS, headAfter } from "../../core/audit/chain.ts";
import { parseLine } from "../../core/audit/line.ts";
import { equalBytes, leafHash } from "../../core/audit/merkle.ts";
import { EMPTY_EDGE, type TreeEdge } from "../../core/audit/tile_builder.ts";
import {
  decodeBundle,
  levelCount,
  splitTile,
  TILE_WIDTH,
  tileAt,
  tilePath,
} from "../../core/audit/tiles.ts";
import { LIMITS } from "../../core/limits.ts";
import { LOG_FILE, STATE_FILE, TREE_DIRECTORY } from "./directory.ts";
import type { Disk } from "./disk.ts";
import { readExactly } from "./lines.ts";

/** A place in the log with everything before it accounted for. */
export interface StartingPoint {
  readonly head: ChainHead;
  readonly offset_bytes: number;
  readonly edge: TreeEdge;
}

/** The beginning of the log. */
export const BEGINNING: StartingPoint = { head: GENESIS, offset_bytes: 0, edge: EMPTY_EDGE };
/** Reads the state note and the right edge it vouches for; anything doubtful means starting over. */
export async function startingPoint(
  directory: string,
  length_bytes: number,
  disk: Disk,
): Promise<StartingPoint | undefined> {
  const state = parseState(await disk.read(`${directory}/${STATE_FILE}`));
  if (state === undefined || state.offset_bytes > length_bytes) return undefined;
  try {
    const last = await lineEndingAt(`${directory}/${LOG_FILE}`, state.offset_bytes, disk);
    const entry = parseLine(last);
    const head = headAfter(entry.seq - 1n, entry.previous_hash.toHex());
    const matches = entry.entry_hash.toHex() === state.entry_hash &&
      entry.seq === BigInt(state.size - 1) && chainProblem(entry, head) === undefined;
    if (!matches) return undefined;
    const edge = await readEdge(directory, state.size, disk);
    return edge && {
      head: headAfter(entry.seq, state.entry_hash),
      offset_bytes: state.offset_bytes,
      edge,
    };
  } catch {
    return undefined;
  }
}

interface State {
  readonly size: number;
  readonly offset_bytes: number;
  readonly entry_hash: string;
}

function parseState(bytes: Uint8Array | undefined): State | undefined {
  if (bytes === undefined) return undefined;
  try {
    const { version, size, offset_bytes, entry_hash } = JSON.parse(new TextDecoder().decode(bytes));
    const good = version === 1 && Number.isSafeInteger(size) && size > 0 &&
      Number.isSafeInteger(offset_bytes) && offset_bytes > 0 &&
      typeof entry_hash === "string" && /^[0-9a-f]{64}$/.test(entry_hash);
    return good ? { size, offset_bytes, entry_hash } : undefined;
  } catch {
    return undefined;
  }
}

async function lineEndingAt(path: string, offset_bytes: number, disk: Disk): Promise<string> {
  using file = await disk.open(path);
  const length = Math.min(offset_bytes, LIMITS.audit_entry_bytes + 2);
  const bytes = await readExactly(file, offset_bytes - length, length);
  if (bytes.at(-1) !== 0x0a) throw new Error("no line ends there");
  const start = bytes.lastIndexOf(0x0a, length - 2) + 1;
  return decodeText(bytes.subarray(start, -1));
}

/** Right edge from the partial tiles on disk; `undefined` unless tile and bundle agree. */
async function readEdge(
  directory: string,
  size: number,
  disk: Disk,
): Promise<TreeEdge | undefined> {
  const hashes: Uint8Array[][] = [];
  for (let level = 0; levelCount(size, level) > 0; level++) {
    const index = Math.floor(levelCount(size, level) / TILE_WIDTH);
    const name = tileAt("tile", level, index, size);
    const bytes = name && await disk.read(`${directory}/${TREE_DIRECTORY}/${tilePath(name)}`);
    if (name && bytes?.length !== name.width * 32) return undefined;
    hashes.push(bytes === undefined ? [] : splitTile(bytes));
  }
  const bundle = tileAt("entries", 0, Math.floor(size / TILE_WIDTH), size);
  if (bundle === undefined) return { size, hashes, entries: [] };
  const path = `${directory}/${TREE_DIRECTORY}/${tilePath(bundle)}`;
  const bundled = await disk.read(path);
  const entries = bundled && decodeBundle(bundled);
  const leaves = hashes[0] ?? [];
  const agree = entries?.length === leaves.length &&
    entries.every((entry, i) => equalBytes(leafHash(entry), leaves[i] ?? entry));
  return agree ? { size, hashes, entries } : undefined;
}

/** Strict UTF-8. */
export function decodeText(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}
