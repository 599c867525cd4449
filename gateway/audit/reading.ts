/**
 * Reading the log while it is written: newest first with filters, and as a live tail.
 *
 * @module
 */
import { type AuditEntry, type EventType } from "../../core/audit/entry.ts";
import { parseLine } from "../../core/audit/line.ts";
import { LIMITS } from "../../core/limits.ts";
import type { LogReader } from "../../core/audit/verify/mod.ts";
import { LOG_FILE } from "./directory.ts";
import { type Disk, SYSTEM_DISK } from "./disk.ts";
import { linesBackward, linesForward, readExactly } from "./lines.ts";

/** One entry as stored. */
export interface LoggedEntry {
  readonly seq: bigint;
  /** JSON text, exactly as in the file, without the newline. */
  readonly line: string;
}

/** Which entries to list; every condition given must hold. */
export interface AuditFilter {
  /** Audit agent id, 32 lower-case hex digits. */
  readonly agent_id_hex?: string;
  /** Any of these; see `eventTypesOf` for groups. */
  readonly event_types?: readonly EventType[];
  /** Exact organisation; entries without one never match. */
  readonly org_id?: string;
  readonly team_id?: string;
  /** Earliest timestamp, inclusive. */
  readonly since_ns?: bigint;
  /** Latest timestamp, exclusive. */
  readonly until_ns?: bigint;
  /** Only entries older than this one: continues an earlier list. */
  readonly before_seq?: bigint;
  /** Entries returned at most; 1 to 10,000, default 50. */
  readonly limit?: number;
}

/** A list of entries. */
export interface ListResult {
  /** Newest first. */
  readonly entries: LoggedEntry[];
  /** The search ended because it had looked at enough entries, not at the log's beginning. */
  readonly scan_limit_reached: boolean;
}

/** Entries looked at by one list. */
export const SCAN_ENTRIES_MAX = 100_000;
const LIST_ENTRIES_MAX = 10_000;
const LIST_ENTRIES_DEFAULT = 50;
const LIST_BYTES_MAX = 67_108_864;
const TAIL_BACKLOG_MAX = 10_000;

/** Whether an entry meets a filter. */
export function matches(entry: AuditEntry, filter: AuditFilter): boolean {
  return (filter.event_types === undefined || filter.event_types.includes(entry.event_type)) &&
    (filter.agent_id_hex === undefined || entry.agent_id.toHex() === filter.agent_id_hex) &&
    (filter.org_id === undefined || entry.org_id === filter.org_id) &&
    (filter.team_id === undefined || entry.team_id === filter.team_id) &&
    (filter.since_ns === undefined || entry.timestamp_ns >= filter.since_ns) &&
    (filter.until_ns === undefined || entry.timestamp_ns < filter.until_ns) &&
    (filter.before_seq === undefined || entry.seq < filter.before_seq);
}

/** A directory as the verifier reads it; the log file in pieces, so that its size does not matter. */
export function directoryReader(directory: string, disk: Disk = SYSTEM_DISK): LogReader {
  return {
    read: (name) => disk.read(`${directory}/${name}`),
    stream: (name) =>
      name === LOG_FILE ? disk.stream(`${directory}/${name}`) : Promise.resolve(undefined),
  };
}

/**
 * Lists entries of a log directory, newest first.
 *
 * @param end_bytes Durable length of the file.
 */
export async function listEntries(
  directory: string,
  end_bytes: number,
  filter: AuditFilter,
  disk: Disk,
): Promise<ListResult> {
  const limit = Math.min(Math.max(1, filter.limit ?? LIST_ENTRIES_DEFAULT), LIST_ENTRIES_MAX);
  const entries: LoggedEntry[] = [];
  let scanned = 0;
  let bytes = 0;
  const path = `${directory}/${LOG_FILE}`;
  const end = filter.before_seq === undefined
    ? end_bytes
    : await offsetOfSeq(path, end_bytes, filter.before_seq, disk);
  for await (const { bytes: raw } of linesBackward(path, end, disk)) {
    if (scanned === SCAN_ENTRIES_MAX || bytes > LIST_BYTES_MAX) {
      return { entries, scan_limit_reached: true };
    }
    const line = decoder.decode(raw);
    const entry = parseLine(line);
    scanned++;
    if (!matches(entry, filter)) continue;
    entries.push({ seq: entry.seq, line });
    bytes += raw.length;
    if (entries.length === limit) break;
  }
  return { entries, scan_limit_reached: false };
}

const decoder = new TextDecoder();
const SEQ = /^\{"seq":(\d+),/;

/**
 * Offset of the line of entry `seq`, by bisection: lines are in order of seq.
 *
 * @returns `end` when the log does not reach that far.
 */
async function offsetOfSeq(
  path: string,
  end: number,
  seq: bigint,
  disk: Disk,
): Promise<number> {
  using file = await disk.open(path);
  let low = 0;
  let high = end;
  while (high - low > BISECT_BYTES) {
    const middle = Math.floor((low + high) / 2);
    const window = await readExactly(file, middle, Math.min(BISECT_BYTES, end - middle));
    const start = window.indexOf(0x0a) + 1;
    const found = SEQ.exec(decoder.decode(window.subarray(start, start + 64)))?.[1];
    // No line starts in the window: then only the bytes before it are left to search.
    if (found === undefined || BigInt(found) >= seq) high = middle;
    else low = middle + start;
  }
  for await (const line of linesForward(path, low, end, LIMITS.audit_entry_bytes, disk)) {
    const found = SEQ.exec(decoder.decode(line.bytes.subarray(0, 64)))?.[1];
    if (found !== undefined && BigInt(found) >= seq) return line.start;
  }
  return end;
}

/** More than the longest line, so that a line starts in every window but the last. */
const BISECT_BYTES = 131_072;

/** Where the durable log ends, and when it moves. */
export interface LiveEnd {
  /** Durable length of the file. */
  offset_bytes(): number;
  /** Resolves when the length may have changed, or the log closes; rejects never. */
  moved(): Promise<void>;
  closed(): boolean;
}

/**
 * Follows the log: the last `backlog` entries, oldest first, then each new one. It reads the file,
 * so a slow reader costs no memory; it ends when the signal fires or the log closes.
 */
export async function* tailEntries(
  directory: string,
  live: LiveEnd,
  options: { readonly backlog: number; readonly signal: AbortSignal },
  disk: Disk,
): AsyncGenerator<LoggedEntry> {
  const path = `${directory}/${LOG_FILE}`;
  let at = await backlogStart(path, live.offset_bytes(), options.backlog, disk);
  const stopped = Promise.withResolvers<void>();
  const stop = () => stopped.resolve();
  options.signal.addEventListener("abort", stop, { once: true });
  try {
    while (!options.signal.aborted) {
      const moved = live.moved();
      const end = live.offset_bytes();
      if (end > at) {
        const lines = linesForward(path, at, end, LIMITS.audit_entry_bytes, disk);
        for await (const { bytes } of lines) {
          if (options.signal.aborted) return;
          const line = decoder.decode(bytes);
          yield { seq: BigInt(SEQ.exec(line)?.[1] ?? 0), line };
        }
        at = end;
      } else if (live.closed()) return;
      else await Promise.race([moved, stopped.promise]);
    }
  } finally {
    options.signal.removeEventListener("abort", stop);
  }
}

async function backlogStart(
  path: string,
  end: number,
  backlog: number,
  disk: Disk,
): Promise<number> {
  let start = end;
  let left = Math.min(Math.max(0, backlog), TAIL_BACKLOG_MAX);
  if (left === 0) return end;
  for await (const line of linesBackward(path, end, disk)) {
    start = line.start;
    if (--left === 0) break;
  }
  return start;
}
