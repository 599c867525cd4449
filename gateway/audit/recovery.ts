/**
 * What happens when the log is opened: the tail is checked and cut where a crash tore it, the
 * tree is brought up to it, and a signed checkpoint that the log contradicts stops everything.
 *
 * A good state note says how far tiles are on disk, so only what came later is read; without one
 * the whole log is read and every tile is made again.
 *
 * @module
 */
import { openNote, parseTreeHead, type TreeHead } from "../../core/audit/checkpoint.ts";
import { equalBytes } from "../../core/audit/merkle.ts";
import type { TreeEdge } from "../../core/audit/tile_builder.ts";
import { rootOfEdge } from "../../core/audit/tiles.ts";
import type { DurableEnd } from "./commit.ts";
import { LOG_FILE, STATE_FILE, TREE_DIRECTORY, writeDurably } from "./directory.ts";
import type { Disk } from "./disk.ts";
import { AuditOpenError, reasonOf } from "./errors.ts";
import { readExactly } from "./lines.ts";
import { BEGINNING, startingPoint } from "./starting_point.ts";
import { type RecoveryOptions, TailScan, tamper } from "./tail_scan.ts";

/** A tail that a crash left behind. */
export interface TornTail {
  /** File beside the log that holds the bytes that were cut. */
  readonly saved_as: string;
  /** Where the log was cut. */
  readonly offset_bytes: number;
  readonly length_bytes: number;
}

/** What opening found and did. */
export interface RecoveryReport {
  /** Entries in the log, before anything was added. */
  readonly entries: bigint;
  /** Entries whose chain was checked now. */
  readonly checked_entries: number;
  /** Whether every tile was made again because no good state note was found. */
  readonly rebuilt: boolean;
  /** Size of the checkpoint found. */
  readonly checkpoint_size: number | undefined;
  readonly torn: TornTail | undefined;
}

/** Everything the running log continues from. */
export interface Recovered {
  readonly end: DurableEnd;
  readonly edge: TreeEdge;
  readonly report: RecoveryReport;
  /** Full tiles that were made again are on disk already. */
  readonly checkpoint: { readonly text: string; readonly size: number } | undefined;
}

/**
 * Recovers the log of a directory.
 *
 * @throws {AuditTamperError} When the log contradicts itself or its checkpoint; nothing is changed.
 * @throws {AuditOpenError} When it cannot be read.
 */
export async function recover(options: RecoveryOptions): Promise<Recovered> {
  const path = `${options.directory}/${LOG_FILE}`;
  const { disk } = options.host;
  const length_bytes = await sizeIfPresent(path, disk) ?? 0;
  const checkpoint = await readCheckpoint(options);
  const start = options.full
    ? undefined
    : await startingPoint(options.directory, length_bytes, disk);
  const trusted = start !== undefined && checkpoint !== undefined &&
    agrees(start.edge, checkpoint.head);
  const from = trusted ? start : BEGINNING;
  const run = async (write: boolean) => {
    const scan = new TailScan(options, from, checkpoint?.head, write);
    if (length_bytes > 0) await scan.run(path, length_bytes);
    await scan.finish();
    return scan;
  };
  // Nothing is written before the signed root is met: until then the file is only a claim.
  if (checkpoint !== undefined && from.edge.size < checkpoint.head.size) await run(false);
  const scan = await run(true);
  const torn = scan.torn_at === undefined
    ? undefined
    : await cutTail(options, path, scan.torn_at, length_bytes);
  return {
    end: { head: scan.head, offset_bytes: scan.offset_bytes },
    edge: scan.edge(),
    checkpoint: checkpoint && { text: checkpoint.text, size: checkpoint.head.size },
    report: {
      entries: scan.head.seq,
      checked_entries: scan.checked,
      rebuilt: !trusted && length_bytes > 0,
      checkpoint_size: checkpoint?.head.size,
      torn,
    },
  };
}

/** Whether a right edge can be one of the checkpointed tree; a smaller one is checked on the way. */
function agrees(edge: TreeEdge, head: TreeHead): boolean {
  return edge.size < head.size ||
    (edge.size === head.size && equalBytes(rootOfEdge(edge.hashes), head.root));
}

async function sizeIfPresent(path: string, disk: Disk): Promise<number | undefined> {
  try {
    return await disk.sizeOf(path);
  } catch (error) {
    throw new AuditOpenError(`cannot open audit log: \`${path}\`: ${reasonOf(error)}`);
  }
}

async function readCheckpoint(options: RecoveryOptions) {
  const { directory, host: { disk } } = options;
  const bytes = await disk.read(`${directory}/${TREE_DIRECTORY}/checkpoint`);
  if (bytes === undefined) {
    if (await sizeIfPresent(`${directory}/${STATE_FILE}`, disk) === undefined) return undefined;
    // The state note is only ever written after a checkpoint.
    throw tamper("its checkpoint is missing, although one was signed (`log/state.json` is there)");
  }
  const text = new TextDecoder().decode(bytes);
  try {
    const head = parseTreeHead(openNote(text, options.verifier));
    if (head.origin === options.verifier.name) return { text, head };
  } catch (error) {
    throw tamper(`its checkpoint is not one this key signed: ${reasonOf(error)}`);
  }
  throw tamper(`its checkpoint is of another origin than \`${options.verifier.name}\``);
}

/** Saves the torn bytes aside, then cuts them off. */
async function cutTail(
  options: RecoveryOptions,
  path: string,
  offset_bytes: number,
  length_bytes: number,
): Promise<TornTail> {
  const { directory, host: { disk, now_ms } } = options;
  const saved_as = await freeName(directory, Math.floor(now_ms() / 1000), disk);
  using torn = await disk.open(path);
  const bytes = await readExactly(torn, offset_bytes, length_bytes - offset_bytes);
  await writeDurably(`${directory}/${saved_as}`, bytes, disk);
  await disk.syncDirectory(directory);
  const log = await disk.openLog(path);
  try {
    await log.truncate(offset_bytes);
    await log.sync();
  } finally {
    log.close();
  }
  return { saved_as, offset_bytes, length_bytes: bytes.length };
}

async function freeName(directory: string, seconds: number, disk: Disk): Promise<string> {
  for (let attempt = 0; attempt < 1_000; attempt++) {
    const name = `gateway-default.torn-${seconds}${attempt === 0 ? "" : `-${attempt}`}.bin`;
    if (await sizeIfPresent(`${directory}/${name}`, disk) === undefined) return name;
  }
  throw new AuditOpenError(
    `cannot open audit log: too many saved tails in \`${directory}\`; move them away`,
  );
}
