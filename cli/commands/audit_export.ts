/**
 * `aasm audit export`: every entry under the latest checkpoint, filtered here, oldest first.
 *
 * @module
 */
import { type AuditEntry, eventTypesOf, hash16 } from "../../core/audit/entry.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { CommandError, ExitCode } from "../exit_code.ts";
import { unwritable } from "../files.ts";
import { type GatewayConnection, withGateway } from "../gateway_connection.ts";
import { offeredCheckpoint, RemoteLog } from "../remote_log.ts";
import { entryTime, readEntry, type ShownEntry } from "../render/audit_entry.ts";
import { printable } from "../render/printable.ts";
import type { Session } from "../session.ts";

type ExportCommand = CommandNamed<"audit export">;

/** Receives the export piece by piece. */
export interface Sink {
  write(text: string): void;
  close(): void;
}

/** `audit export`. */
export async function exportAudit(command: ExportCommand, session: Session): Promise<ExitCode> {
  const filter = filterOf(command);
  const sink = openSink(command.output_file, session);
  try {
    const count = await withGateway(session, (gateway) => write(gateway, command, filter, sink));
    if (command.output_file !== undefined) {
      session.terminal.err(`${count} entries written to ${printable(command.output_file)}\n`);
    }
  } finally {
    sink.close();
  }
  return ExitCode.OK;
}

async function write(
  gateway: GatewayConnection,
  command: ExportCommand,
  filter: (shown: ShownEntry) => boolean,
  sink: Sink,
): Promise<number> {
  const checkpoint = await offeredCheckpoint(gateway);
  const log = new RemoteLog(gateway, checkpoint);
  const { head, separator, foot, text } = FORMATS[command.format];
  sink.write(head);
  let count = 0;
  let seq = 0n;
  for await (const bytes of log.entries()) {
    const shown = readEntry(seq++, new TextDecoder().decode(bytes));
    if (!filter(shown)) continue;
    sink.write((count === 0 ? "" : separator) + text(shown));
    count++;
    if (count === command.limit) break;
  }
  if (count !== command.limit && seq !== BigInt(checkpoint.size)) {
    throw new CommandError(
      `the export is incomplete: the gateway gave ${seq} of ${checkpoint.size} entries`,
      ExitCode.VERIFICATION_FAILED,
      "run `aasm audit verify --remote`",
    );
  }
  sink.write(foot);
  return count;
}

interface Format {
  readonly head: string;
  readonly separator: string;
  readonly foot: string;
  readonly text: (shown: ShownEntry) => string;
}

const CSV_COLUMNS: readonly (readonly [title: string, cell: (shown: ShownEntry) => string])[] = [
  ["seq", ({ seq }) => String(seq)],
  ["time", ({ entry }) => entry === undefined ? "" : entryTime(entry)],
  ["event_type", ({ entry }) => entry?.event_type ?? ""],
  ["agent", ({ facts }) => facts.agent],
  ["agent_id", ({ entry }) => entry?.agent_id.toHex() ?? ""],
  ["org_id", ({ entry }) => entry?.org_id ?? ""],
  ["team_id", ({ entry }) => entry?.team_id ?? ""],
  ["action", ({ facts }) => facts.action],
  ["resource", ({ facts }) => facts.resource],
  ["decision", ({ facts }) => facts.decision],
  ["reason", ({ facts }) => facts.reason],
  ["rule", ({ facts }) => facts.rule],
  ["rule_at", ({ facts }) => facts.rule_at],
  ["trace_id", ({ facts }) => facts.trace_id],
  ["policy_doc_id", ({ entry }) => entry?.policy_doc_id ?? ""],
  ["entry_hash", ({ entry }) => entry?.entry_hash.toHex() ?? ""],
];

const FORMATS: Readonly<Record<ExportCommand["format"], Format>> = {
  // RFC 4180.
  csv: {
    head: `${CSV_COLUMNS.map(([title]) => title).join(",")}\r\n`,
    separator: "",
    foot: "",
    text: (shown) => `${CSV_COLUMNS.map(([, cell]) => csvCell(cell(shown))).join(",")}\r\n`,
  },
  json: { head: "[\n", separator: ",\n", foot: "\n]\n", text: ({ json }) => json },
  jsonl: { head: "", separator: "", foot: "", text: ({ json }) => `${json}\n` },
};

/** A spreadsheet takes a cell that starts like this for a formula; agents choose some of the texts. */
const FORMULA = /^[=+\-@\t\r]/;

function csvCell(text: string): string {
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function filterOf(command: ExportCommand): (shown: ShownEntry) => boolean {
  const { agent, event_type, decision, since, until } = command;
  const types = event_type === undefined ? undefined : eventTypesOf(event_type);
  if (event_type !== undefined && types === undefined) {
    throw new CommandError(
      `unknown event type or group \`${event_type}\``,
      ExitCode.USAGE,
      "use a name such as PolicyViolation, or violation, approval, budget",
    );
  }
  const agent_hex = agent === undefined || /^[0-9a-f]{32}$/.test(agent)
    ? agent
    : hash16(agent).toHex();
  const matches = (entry: AuditEntry) =>
    (types === undefined || types.includes(entry.event_type)) &&
    (agent_hex === undefined || entry.agent_id.toHex() === agent_hex) &&
    (since === undefined || entry.timestamp_ns >= BigInt(since) * 1_000_000n) &&
    (until === undefined || entry.timestamp_ns < BigInt(until) * 1_000_000n);
  return ({ entry, facts }) => {
    // What cannot be read is exported rather than hidden.
    if (entry === undefined) return true;
    return matches(entry) && (decision === undefined || facts.decision === decision);
  };
}

/** The file is opened at the first write, so that an unreachable gateway leaves an old one alone. */
export function openSink(path: string | undefined, session: Session): Sink {
  if (path === undefined) {
    const { terminal } = session;
    return {
      write: (text) => terminal.out(terminal.interactive ? onTerminal(text) : text),
      close: () => {},
    };
  }
  const encoder = new TextEncoder();
  let file: Deno.FsFile | undefined;
  return {
    write(text) {
      try {
        file ??= Deno.openSync(path, { write: true, create: true, truncate: true, mode: 0o600 });
        const bytes = encoder.encode(text);
        for (let written = 0; written < bytes.byteLength;) {
          written += file.writeSync(bytes.subarray(written));
        }
      } catch (error) {
        throw unwritable(path, error);
      }
    },
    close: () => file?.close(),
  };
}

function onTerminal(text: string): string {
  return text.split("\n").map((line) => printable(line.replace(/\r$/, ""))).join("\n");
}
