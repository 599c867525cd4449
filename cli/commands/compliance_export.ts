/**
 * `aasm audit compliance-export`: the whole log is read and held against its signed checkpoint; what
 * was asked for is written with the requirements it is evidence for.
 *
 * @module
 */
import { parseTreeHead } from "../../core/audit/checkpoint.ts";
import {
  ComplianceExport,
  ComplianceMismatch,
  type ComplianceTerms,
} from "../../core/audit/compliance/mod.ts";
import { LOG_FILE, splitLines } from "../../core/audit/verify/chain.ts";
import type { LogReader } from "../../core/audit/verify/mod.ts";
import { VERSION } from "../../core/version.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { CommandError, ExitCode } from "../exit_code.ts";
import { withGateway } from "../gateway_connection.ts";
import { directoryReader } from "../log_directory.ts";
import { offeredCheckpoint, RemoteLog } from "../remote_log.ts";
import { printable } from "../render/printable.ts";
import type { Session } from "../session.ts";
import { rememberVerified, trustText } from "../trust.ts";
import { openSink, type Sink } from "./audit_export.ts";
import { keyFor, openedNote } from "./audit_proof.ts";

type ExportCommand = CommandNamed<"audit compliance-export">;

/** A log, and the checkpoint that it shall be. */
interface Source {
  readonly reader: LogReader;
  readonly note: string;
  readonly origin: string;
  /** Empty when the log is only files: it cannot vouch for itself. */
  readonly offered_key: string;
}

/** `audit compliance-export`: 0 when every entry read is under the trusted key's checkpoint. */
export async function exportCompliance(
  command: ExportCommand,
  session: Session,
): Promise<ExitCode> {
  const { from, to, input } = command;
  if (from !== undefined && to !== undefined && from >= to) {
    throw new CommandError(
      `--from \`${new Date(from).toISOString()}\` is not before --to \`${
        new Date(to).toISOString()
      }\``,
      ExitCode.USAGE,
    );
  }
  const sink = openSink(command.output_file, session);
  try {
    if (input !== undefined) await exportFrom(await localSource(input), command, session, sink);
    else {
      await withGateway(session, async (gateway) => {
        const offered = await offeredCheckpoint(gateway);
        const reader = new RemoteLog(gateway, offered);
        const { note, origin, verifier_key: offered_key } = offered;
        await exportFrom({ reader, note, origin, offered_key }, command, session, sink);
      });
    }
  } finally {
    sink.close();
  }
  return ExitCode.OK;
}

async function localSource(directory: string): Promise<Source> {
  const reader = directoryReader(directory);
  const bytes = await reader.read("log/checkpoint");
  if (bytes === undefined) {
    throw new CommandError(
      `cannot export \`${directory}\`: it has no \`log/checkpoint\``,
      ExitCode.FAILURE,
      "name the gateway's audit directory",
    );
  }
  const note = new TextDecoder().decode(bytes);
  return { reader, note, origin: note.split("\n", 1)[0] ?? "", offered_key: "" };
}

async function exportFrom(
  source: Source,
  command: ExportCommand,
  session: Session,
  sink: Sink,
): Promise<void> {
  const { framework, format, from, to } = command;
  const key = await keyFor(command, source.origin, source.offered_key);
  const head = parseTreeHead(openedNote(source.note, key));
  const terms: ComplianceTerms = {
    framework,
    format,
    ...(from === undefined ? {} : { from_ms: from }),
    ...(to === undefined ? {} : { to_ms: to }),
    generator: `aasm ${VERSION}`,
    generated_at_ms: session.now_ms(),
    checkpoint: {
      note: source.note,
      origin: head.origin,
      size: head.size,
      root_hex: head.root.toHex(),
      verifier_key: key.text,
    },
  };
  const made = new ComplianceExport(terms);
  const lines = linesOf(source.reader, head.size);
  sink.write(made.head());
  for await (const line of lines) {
    session.signal.throwIfAborted();
    const text = made.add(line);
    if (text !== "") sink.write(text);
  }
  sink.write(footOf(made));
  await rememberVerified(command, key, head, source.reader);
  const where = command.output_file === undefined
    ? ""
    : ` written to ${printable(command.output_file)}`;
  session.terminal.err(`${made.exported} entries${where}; ${printable(trustText(key, command))}\n`);
}

/** A file without a manifest is no export: what was written before stands there unfinished. */
function footOf(made: ComplianceExport): string {
  try {
    return made.foot();
  } catch (error) {
    if (!(error instanceof ComplianceMismatch)) throw error;
    throw new CommandError(
      `the export is incomplete and has no manifest: ${error.message}`,
      ExitCode.VERIFICATION_FAILED,
      "run `aasm audit verify`, and do not use what was written",
    );
  }
}

/** The entries under a checkpoint; the log may have grown since. */
async function* linesOf(reader: LogReader, size: number): AsyncGenerator<Uint8Array> {
  const chunks = await reader.stream?.(LOG_FILE) ?? [];
  let count = 0;
  if (size === 0) return;
  for await (const { bytes } of splitLines(chunks)) {
    yield bytes;
    if (++count === size) return;
  }
}
