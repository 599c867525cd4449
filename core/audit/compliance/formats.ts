/**
 * The five forms of an export, each as pieces of text: head, a line an entry, and the manifest that
 * ends it.
 *
 * @module
 */
import { VERSION } from "../../version.ts";
import { type CefDevice, cefLine } from "./cef.ts";
import type { Framework } from "./controls.ts";
import { csvLine } from "./csv.ts";
import { type Manifest, manifestJson } from "./manifest.ts";
import { ocsfBaseEvent, ocsfEvent } from "./ocsf.ts";
import { type ComplianceRecord, timeMs, timeText } from "./record.ts";

/** The forms. */
export const COMPLIANCE_FORMATS = ["csv", "json", "jsonl", "ocsf", "cef"] as const;

/** One form. */
export type ComplianceFormat = (typeof COMPLIANCE_FORMATS)[number];

/** One entry with the requirements it is evidence for. */
export interface CitedRecord {
  readonly record: ComplianceRecord;
  readonly controls: readonly string[];
}

/** A line of the log that is no audit entry: shown as that, never dropped. */
export interface UnreadableLine {
  readonly audit_index: bigint;
  readonly problem: string;
}

/** Writes one form. */
export interface ComplianceWriter {
  readonly head: string;
  /** @param first Whether it is the first line, for forms with separators. */
  readonly entry: (entry: CitedRecord, first: boolean) => string;
  readonly unreadable: (line: UnreadableLine, first: boolean) => string;
  /** Everything after the last entry. Not part of `body_sha256`. */
  readonly foot: (manifest: Manifest, generated_at_ms: number) => string;
}

/** What is the same on every line of one export. */
export interface ComplianceSource {
  readonly framework: Framework;
  /** Origin of the log. */
  readonly origin: string;
}

/** The writer of a form. */
export function complianceWriter(
  format: ComplianceFormat,
  source: ComplianceSource,
): ComplianceWriter {
  switch (format) {
    case "csv":
      return csvWriter(source);
    case "json":
      return jsonWriter(source, "array");
    case "jsonl":
      return jsonWriter(source, "lines");
    case "ocsf":
      return ocsfWriter(source);
    case "cef":
      return cefWriter(source);
  }
}

type Column = readonly [
  title: string,
  cell: (entry: CitedRecord, source: ComplianceSource) => string,
];

const COLUMNS: readonly Column[] = [
  ["line", () => "entry"],
  ["framework", (_, { framework }) => framework],
  ["controls", ({ controls }) => controls.join("; ")],
  ["audit_index", ({ record }) => String(record.audit_index)],
  ["time", ({ record }) => timeText(record)],
  ["event_type", ({ record }) => record.event_type],
  ["actor", ({ record }) => record.actor],
  ["agent", ({ record }) => record.agent],
  ["org_id", ({ record }) => record.org_id],
  ["team_id", ({ record }) => record.team_id],
  ["action", ({ record }) => record.action],
  ["resource", ({ record }) => record.resource],
  ["decision", ({ record }) => record.decision],
  ["dry_run", ({ record }) => String(record.dry_run)],
  ["reason", ({ record }) => record.reason],
  ["rule", ({ record }) => record.rule],
  ["policy_doc_id", ({ record }) => record.policy_doc_id],
  ["finding_kinds", ({ record }) => record.finding_kinds.join("; ")],
  ["trace_id", ({ record }) => record.trace_id],
  ["entry_hash", ({ record }) => record.entry_hash_hex],
];

function csvWriter(source: ComplianceSource): ComplianceWriter {
  const padded = (...cells: string[]) =>
    csvLine([...cells, ...Array<string>(COLUMNS.length - cells.length).fill("")]);
  return {
    head: csvLine(COLUMNS.map(([title]) => title)),
    entry: (entry) => csvLine(COLUMNS.map(([, cell]) => cell(entry, source))),
    unreadable: ({ audit_index, problem }) =>
      padded("unreadable", source.framework, "", String(audit_index), "", problem),
    // In the third column, so that every row has the same width.
    foot: (manifest) => padded("manifest", source.framework, manifestJson(manifest)),
  };
}

function jsonWriter(source: ComplianceSource, form: "array" | "lines"): ComplianceWriter {
  const array = form === "array";
  const line = (value: unknown, first: boolean) => {
    const text = JSON.stringify(value);
    return array ? `${first ? "" : ",\n"}${text}` : `${text}\n`;
  };
  return {
    head: array ? '{"entries":[\n' : "",
    entry: (entry, first) => line(recordJson(entry, source), first),
    unreadable: ({ audit_index, problem }, first) =>
      line({ line: "unreadable", audit_index: String(audit_index), problem }, first),
    foot: (manifest) => {
      const text = manifestJson(manifest);
      return array ? `\n],"manifest":${text}}\n` : `{"line":"manifest","manifest":${text}}\n`;
    },
  };
}

function recordJson({ record, controls }: CitedRecord, { framework }: ComplianceSource): unknown {
  const { audit_index, timestamp_ns, ...rest } = record;
  return {
    line: "entry",
    framework,
    controls,
    // Beyond 2^53 many readers lose digits of a number.
    audit_index: String(audit_index),
    time: timeText(record),
    timestamp_ns: String(timestamp_ns),
    ...rest,
  };
}

function ocsfWriter({ framework, origin }: ComplianceSource): ComplianceWriter {
  const line = (event: unknown) => `${JSON.stringify(event)}\n`;
  return {
    head: "",
    entry: ({ record, controls }) => line(ocsfEvent(record, controls, { origin, framework })),
    unreadable: ({ audit_index, problem }) =>
      line(ocsfBaseEvent("unreadable log line", 0, { audit_index: String(audit_index), problem })),
    foot: (manifest, generated_at_ms) =>
      line(ocsfBaseEvent("compliance export manifest", generated_at_ms, {
        manifest: JSON.parse(manifestJson(manifest)),
      })),
  };
}

const DEVICE: CefDevice = {
  vendor: "Agent Assembly",
  product: "Agent Assembly for Deno",
  version: VERSION,
};

function cefWriter({ framework, origin }: ComplianceSource): ComplianceWriter {
  return {
    head: "",
    entry: ({ record, controls }) =>
      cefLine(DEVICE, {
        class_id: record.event_type,
        name: record.action === "" ? record.event_type : record.action,
        severity: cefSeverity(record),
        extension: [
          ["rt", String(timeMs(record))],
          ["externalId", String(record.audit_index)],
          ["deviceExternalId", origin],
          ["cat", framework],
          ["act", record.decision],
          ["suser", record.actor],
          ["suid", record.agent_id_hex],
          ["sproc", record.agent],
          ["request", record.resource],
          ["reason", record.reason],
          ...labelled(1, "controls", controls.join("; ")),
          ...labelled(2, "policyDocument", record.policy_doc_id),
          ...labelled(3, "entryHash", record.entry_hash_hex),
          ...labelled(4, "rule", record.rule),
          ...labelled(5, "tenant", `${record.org_id}/${record.team_id}`),
          ...labelled(6, "trace", record.trace_id),
        ],
      }),
    unreadable: ({ audit_index, problem }) =>
      cefLine(DEVICE, {
        class_id: "unreadable",
        name: "unreadable log line",
        severity: 8,
        extension: [["externalId", String(audit_index)], ["msg", problem]],
      }),
    foot: (manifest, generated_at_ms) =>
      cefLine(DEVICE, {
        class_id: "manifest",
        name: "compliance export manifest",
        severity: 0,
        extension: [["rt", String(generated_at_ms)], ["msg", manifestJson(manifest)]],
      }),
  };
}

function labelled(
  number: number,
  label: string,
  value: string,
): readonly (readonly [string, string])[] {
  return value === "" ? [] : [[`cs${number}Label`, label], [`cs${number}`, value]];
}

function cefSeverity({ event_type, decision }: ComplianceRecord): number {
  switch (event_type) {
    case "CredentialLeakBlocked":
    case "A2AImpersonationAttempted":
    case "SandboxFilesystemBlocked":
      return 8;
    case "BudgetLimitExceeded":
      return 6;
    default:
      return decision === "deny" ? 5 : 2;
  }
}
