/**
 * `aasm audit list | tail`.
 *
 * @module
 */
import type { CommandNamed } from "../arguments/parse.ts";
import { ExitCode } from "../exit_code.ts";
import { withGateway } from "../gateway_connection.ts";
import { entryLine, entryRowsTable, readEntry, type ShownEntry } from "../render/audit_entry.ts";
import { painter, toneOf } from "../render/color.ts";
import { printable } from "../render/printable.ts";
import { writeReport, yamlText } from "../render/report.ts";
import type { Session } from "../session.ts";

/** `audit list`: newest first. JSON is the entries as logged, byte for byte. */
export async function listAudit(
  command: CommandNamed<"audit list">,
  session: Session,
): Promise<ExitCode> {
  const answer = await withGateway(
    session,
    async (gateway) =>
      await gateway.admin.listAuditEntries({
        agent: command.agent ?? "",
        eventType: command.event_type ?? "",
        decision: command.decision ?? "",
        sinceUnixMs: BigInt(command.since ?? 0),
        untilUnixMs: BigInt(command.until ?? 0),
        limit: command.limit,
      }, await gateway.operator()),
  );
  const entries = answer.entries.map((entry) => readEntry(entry.seq, entry.json));
  const { terminal, flags } = session;
  if (flags.output === "json") {
    terminal.out(`${jsonArray(entries)}\n`);
  } else {
    writeReport(
      {
        data: entries.map((entry) => entry.data),
        table: (on) => entryRowsTable(entries, on),
      },
      flags.output,
      terminal,
    );
  }
  if (answer.scanLimitReached) {
    terminal.err("note: the gateway stopped looking at its scan limit; narrow the time span\n");
  }
  return ExitCode.OK;
}

/** Entries as one JSON array, each exactly as logged. */
export function jsonArray(entries: readonly ShownEntry[]): string {
  if (entries.length === 0) return "[]";
  return `[\n${entries.map((entry) => printable(entry.json)).join(",\n")}\n]`;
}

/** `audit tail`: entries as they are recorded; 0 at Ctrl-C. */
export function tailAudit(
  command: CommandNamed<"audit tail">,
  session: Session,
): Promise<ExitCode> {
  return withGateway(session, async (gateway) => {
    const options = await gateway.operatorStream();
    const stream = gateway.admin.tailAudit({ backlog: command.backlog }, options);
    try {
      for await (const entry of stream) {
        showTailed(readEntry(entry.seq, entry.json), session);
      }
    } catch (error) {
      if (!session.signal.aborted) throw error;
    }
    return ExitCode.OK;
  });
}

function showTailed(shown: ShownEntry, { flags, terminal }: Session): void {
  switch (flags.output) {
    case "json":
      terminal.out(`${printable(shown.json)}\n`);
      return;
    case "yaml":
      terminal.out(`---\n${yamlText(shown.data)}`);
      return;
    case "table": {
      const line = entryLine(shown).map(printable).join("  ");
      terminal.out(`${painter(terminal.colors)(toneOf(shown.facts.decision), line)}\n`);
      return;
    }
  }
}
