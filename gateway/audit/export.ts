/**
 * The log as a file for others: the reference's JSONL (each line exactly as stored, so it still
 * verifies), a JSON array, or CSV (contract `policy-and-gateway` §10.4).
 *
 * @module
 */
import type { AuditEntry } from "../../core/audit/entry.ts";
import { parseLine } from "../../core/audit/line.ts";
import { LIMITS } from "../../core/limits.ts";
import { LOG_FILE } from "./directory.ts";
import type { Disk } from "./disk.ts";
import { linesForward } from "./lines.ts";
import { type AuditFilter, matches } from "./reading.ts";

/** Forms of an export. */
export const EXPORT_FORMATS = ["jsonl", "json", "csv"] as const;
/** One form of an export. */
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** What to export. */
export interface ExportOptions {
  readonly format: ExportFormat;
  /** All entries when absent; `limit` counts from the oldest and is unlimited when absent. */
  readonly filter?: AuditFilter;
  /** Regime named in `#` lines before a JSONL or CSV export, e.g. `eu-ai-act`; presentation only. */
  readonly compliance?: string;
  readonly signal?: AbortSignal;
}

const COLUMNS = [
  "seq",
  "timestamp",
  "event_type",
  "agent_id",
  "session_id",
  "org_id",
  "team_id",
  "policy_doc_id",
  "payload",
  "entry_hash",
];

/**
 * Exports entries, oldest first, in pieces of text.
 *
 * @param end_bytes Durable length of the log file.
 */
export async function* exportEntries(
  directory: string,
  end_bytes: number,
  options: ExportOptions,
  disk: Disk,
): AsyncGenerator<string> {
  const { format, filter = {}, compliance } = options;
  if (format !== "json" && compliance !== undefined) yield complianceHeader(compliance);
  if (format === "csv") yield `${COLUMNS.join(",")}\r\n`;
  if (format === "json") yield "[";
  let count = 0;
  const path = `${directory}/${LOG_FILE}`;
  const lines = linesForward(path, 0, end_bytes, LIMITS.audit_entry_bytes, disk);
  for await (const { bytes } of lines) {
    options.signal?.throwIfAborted();
    const line = decoder.decode(bytes);
    const entry = parseLine(line);
    if (!matches(entry, filter)) continue;
    yield rendered(format, line, entry, count === 0);
    if (++count === filter.limit) break;
  }
  if (format === "json") yield count === 0 ? "]\n" : "\n]\n";
}

const decoder = new TextDecoder();

function complianceHeader(name: string): string {
  const clean = name.replaceAll(/[^\w .-]/g, "").slice(0, 64);
  return `# compliance: ${clean}\n# source: agent-assembly audit log\n`;
}

function rendered(format: ExportFormat, line: string, entry: AuditEntry, first: boolean): string {
  switch (format) {
    case "jsonl":
      return `${line}\n`;
    case "json":
      return `${first ? "" : ","}\n${line}`;
    case "csv":
      return `${csvCells(entry).map(csvCell).join(",")}\r\n`;
  }
}

function csvCells(entry: AuditEntry): string[] {
  return [
    String(entry.seq),
    isoTime(entry.timestamp_ns),
    entry.event_type,
    entry.agent_id.toHex(),
    entry.session_id.toHex(),
    entry.org_id ?? "",
    entry.team_id ?? "",
    entry.policy_doc_id ?? "",
    entry.payload,
    entry.entry_hash.toHex(),
  ];
}

/** RFC 3339 with nanoseconds; the bare number past what a date can hold. */
function isoTime(timestamp_ns: bigint): string {
  const date = new Date(Number(timestamp_ns / 1_000_000n));
  if (Number.isNaN(date.getTime())) return String(timestamp_ns);
  const nanoseconds = String(timestamp_ns % 1_000_000_000n).padStart(9, "0");
  return date.toISOString().replace(/\.\d{3}Z$/, `.${nanoseconds}Z`);
}

/** RFC 4180, and no cell that a spreadsheet would run as a formula. */
function csvCell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
