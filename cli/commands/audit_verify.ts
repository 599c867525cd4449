/**
 * `aasm audit verify | verify-chain`: recomputes everything; believes nothing but the key.
 *
 * @module
 */
import {
  type ChainReport,
  type LogReader,
  type Problem,
  verifyChainJsonl,
  verifyLog,
  type VerifyReport,
} from "../../core/audit/verify/mod.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { CommandError, ExitCode } from "../exit_code.ts";
import { unreadable } from "../files.ts";
import { directoryReader } from "../log_directory.ts";
import { withGateway } from "../gateway_connection.ts";
import { offeredCheckpoint, RemoteLog } from "../remote_log.ts";
import { painter } from "../render/color.ts";
import { fields } from "../render/fields.ts";
import { printable } from "../render/printable.ts";
import { type Data, writeReport } from "../render/report.ts";
import type { Session } from "../session.ts";
import type { Terminal } from "../terminal.ts";
import {
  rememberVerified,
  type TrustedKey,
  trustedKey,
  type TrustFlags,
  trustText,
} from "../trust.ts";

/** `audit verify`: 0 when the whole log stands under a trusted key, else 6. */
export async function verifyAudit(
  command: CommandNamed<"audit verify">,
  session: Session,
): Promise<ExitCode> {
  const { report, key } = command.remote
    ? await verifyRemote(command, session)
    : await verifyDirectory(command, session);
  session.signal.throwIfAborted();
  const notes = key === undefined
    ? [
      "the checkpoint's signature was not checked: no verifier key is known for this log, and a " +
      "log cannot vouch for itself; give --key, or run `aasm audit checkpoint` once while its " +
      "gateway runs",
    ]
    : report.ok
    ? [trustText(key, command)]
    : [`checked with the ${key.source} key`];
  writeReport(
    {
      data: {
        ok: report.ok,
        entries: report.entries,
        covered: report.covered,
        checkpoint: report.checkpoint ?? null,
        key: key === undefined ? null : { text: key.text, trust: key.source },
        problems: report.problems.map(problemData),
        summary: report.summary,
        notes,
      },
      table: (terminal) => reportText(report, key, notes, terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return report.ok ? ExitCode.OK : ExitCode.VERIFICATION_FAILED;
}

interface Verified {
  readonly report: VerifyReport;
  readonly key: TrustedKey | undefined;
}

async function verifyDirectory(
  command: CommandNamed<"audit verify">,
  session: Session,
): Promise<Verified> {
  const { directory } = command;
  const info = await Deno.stat(directory).catch((error) => {
    throw unreadable(directory, "audit directory", error);
  });
  if (!info.isDirectory) {
    throw new CommandError(
      `cannot verify \`${directory}\`: not a directory`,
      ExitCode.USAGE,
      "name the audit directory, or check a single file with `aasm audit verify-chain`",
    );
  }
  const reader = directoryReader(directory);
  const checkpoint = await reader.read("log/checkpoint");
  const origin = new TextDecoder().decode(checkpoint).split("\n", 1)[0] ?? "";
  const key = await trustedKey(command, origin, undefined);
  return { report: await verifyWith(reader, key, command, session), key };
}

function verifyRemote(
  command: CommandNamed<"audit verify">,
  session: Session,
): Promise<Verified> {
  return withGateway(session, async (gateway) => {
    const checkpoint = await offeredCheckpoint(gateway);
    const key = await trustedKey(command, checkpoint.origin, checkpoint.verifier_key);
    const reader = new RemoteLog(gateway, checkpoint);
    return { report: await verifyWith(reader, key, command, session), key };
  });
}

async function verifyWith(
  reader: LogReader,
  key: TrustedKey | undefined,
  flags: TrustFlags,
  session: Session,
): Promise<VerifyReport> {
  const { terminal } = session;
  const show = terminal.interactive;
  const report = await verifyLog(reader, {
    signal: session.signal,
    ...(key === undefined ? {} : { verifier_key: key.text }),
    onProgress: (entries) => {
      if (show) terminal.err(`\r${entries} entries checked`);
    },
  });
  if (show) terminal.err("\r\u001b[K");
  const { checkpoint } = report;
  if (report.ok && key !== undefined && checkpoint !== undefined) {
    const { origin, size, root_hex } = checkpoint;
    await rememberVerified(
      flags,
      key,
      { origin, size, root: Uint8Array.fromHex(root_hex) },
      reader,
    );
  }
  return report;
}

function reportText(
  report: VerifyReport,
  key: TrustedKey | undefined,
  notes: readonly string[],
  terminal: Terminal,
): string {
  const { checkpoint } = report;
  const list = [
    { name: "entries", value: String(report.entries) },
    { name: "under checkpoint", value: String(report.covered) },
    ...(checkpoint === undefined ? [] : [
      { name: "origin", value: checkpoint.origin },
      { name: "root", value: checkpoint.root_hex },
      {
        name: "signature",
        value: checkpoint.signature,
        tone: checkpoint.signature === "valid" ? "good" as const : "bad" as const,
      },
    ]),
    ...(key === undefined ? [] : [{ name: "key", value: key.text }]),
  ];
  return verdictLine(report, terminal) + fields(list, terminal) +
    problemLines(report.problems, terminal) +
    notes.map((note) => `${painter(terminal.colors)("quiet", `note: ${printable(note)}`)}\n`)
      .join("");
}

function verdictLine(
  report: { readonly ok: boolean; readonly summary: string },
  terminal: Terminal,
): string {
  return `${painter(terminal.colors)(report.ok ? "good" : "bad", printable(report.summary))}\n`;
}

function problemLines(problems: readonly Problem[], terminal: Terminal): string {
  const paint = painter(terminal.colors);
  return problems.map((problem) => {
    const where = problem.line === undefined ? "" : `:${problem.line}`;
    const place = printable(`${problem.resource}${where}`);
    return `${paint("bad", problem.kind)}  ${place}: ${printable(problem.message)}\n`;
  }).join("");
}

function problemData(problem: Problem): Data {
  return {
    kind: problem.kind,
    index: problem.index ?? null,
    line: problem.line ?? null,
    resource: problem.resource,
    message: problem.message,
  };
}

/** `audit verify-chain`: 0 when the chain of a JSONL file holds and has entries, else 6. */
export async function verifyChain(
  command: CommandNamed<"audit verify-chain">,
  session: Session,
): Promise<ExitCode> {
  let report: ChainReport;
  try {
    const file = await Deno.open(command.file);
    report = await verifyChainJsonl(interruptible(file.readable, session.signal));
  } catch (error) {
    if (session.signal.aborted) throw error;
    throw unreadable(command.file, "log file", error);
  }
  writeReport(
    {
      data: {
        ok: report.ok,
        reference_ok: report.reference_ok,
        entries: report.entries,
        problems: report.problems.map(problemData),
        summary: report.summary,
      },
      table: (terminal) => verdictLine(report, terminal) + problemLines(report.problems, terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return report.ok ? ExitCode.OK : ExitCode.VERIFICATION_FAILED;
}

async function* interruptible(
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    signal.throwIfAborted();
    yield chunk;
  }
}
