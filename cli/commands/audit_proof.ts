/**
 * `aasm audit prove | checkpoint`: fetched from the gateway, checked here.
 *
 * @module
 */
import {
  NoteError,
  openNote,
  parseTreeHead,
  parseVerifierKey,
} from "../../core/audit/checkpoint.ts";
import { verifyProof } from "../../core/audit/verify/mod.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { CommandError, ExitCode } from "../exit_code.ts";
import { writeFile } from "../files.ts";
import { rememberLog } from "../known_logs.ts";
import { withGateway } from "../gateway_connection.ts";
import { offeredCheckpoint, RemoteLog } from "../remote_log.ts";
import { fields } from "../render/fields.ts";
import { printableLines } from "../render/printable.ts";
import { writeReport } from "../render/report.ts";
import type { Session } from "../session.ts";
import {
  rememberVerified,
  type TrustedKey,
  trustedKey,
  type TrustFlags,
  trustText,
} from "../trust.ts";

/** `audit checkpoint`: 0 when the trusted key signed it, else 6. */
export async function showCheckpoint(
  command: CommandNamed<"audit checkpoint">,
  session: Session,
): Promise<ExitCode> {
  const { offered, head, key } = await withGateway(session, async (gateway) => {
    const offered = await offeredCheckpoint(gateway);
    const key = await keyFor(command, offered.origin, offered.verifier_key);
    const head = parseTreeHead(openedNote(offered.note, key));
    await rememberVerified(command, key, head, new RemoteLog(gateway, offered));
    return { offered, head, key };
  });
  const trust = trustText(key, command);
  writeReport(
    {
      data: {
        origin: head.origin,
        size: head.size,
        root_hex: head.root.toHex(),
        verifier_key: key.text,
        trust: key.source,
        note: offered.note,
      },
      table: (terminal) =>
        fields([
          { name: "origin", value: head.origin },
          { name: "entries", value: String(head.size) },
          { name: "root", value: head.root.toHex() },
          { name: "signature", value: "valid", tone: "good" },
          { name: "key", value: key.text },
          { name: "trust", value: trust },
        ], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `audit prove`: 0 when the proof holds under the trusted key, else 6. */
export async function proveEntry(
  command: CommandNamed<"audit prove">,
  session: Session,
): Promise<ExitCode> {
  const { index } = command;
  const { answer, offered } = await withGateway(session, async (gateway) => ({
    answer: await gateway.admin.proveEntry({ index }, await gateway.operator()),
    offered: await offeredCheckpoint(gateway),
  }));
  const key = await keyFor(command, offered.origin, answer.verifierKey);
  const line = answer.entry?.json ?? "";
  const report = verifyProof(answer.proof, line, key.text);
  if (!report.ok) throw failed(`the proof of entry ${index} does not hold: ${report.message}`);
  if (report.index !== index) {
    throw failed(`asked for entry ${index}, the gateway proved entry ${report.index}`);
  }
  if (key.source === "first use") {
    await rememberLog(command.known_keys, { origin: report.origin, key: key.text });
  }
  if (command.output_file !== undefined) {
    await writeFile(command.output_file, new TextEncoder().encode(answer.proof));
  }
  const { terminal, flags } = session;
  const trust = trustText(key, command);
  const summary = [
    { name: "entry", value: `${report.index} of ${report.size}` },
    { name: "origin", value: report.origin },
    { name: "proof", value: command.output_file ?? "on standard output", tone: "good" as const },
    { name: "key", value: key.text },
    { name: "trust", value: trust },
  ];
  if (flags.output === "table" && command.output_file === undefined) {
    // The proof is the output; what is said about it must not get into a redirected file.
    terminal.out(printableLines(answer.proof));
    terminal.err(fields(summary, terminal));
    return ExitCode.OK;
  }
  writeReport(
    {
      data: {
        index: report.index,
        size: report.size,
        origin: report.origin,
        entry: line,
        proof: answer.proof,
        verifier_key: key.text,
        trust: key.source,
      },
      table: (on) => fields(summary, on),
    },
    flags.output,
    terminal,
  );
  return ExitCode.OK;
}

/** @throws {CommandError} when no key is known. */
export async function keyFor(
  flags: TrustFlags,
  origin: string,
  offered: string,
): Promise<TrustedKey> {
  const key = await trustedKey(flags, origin, offered === "" ? undefined : offered);
  if (key !== undefined) return key;
  throw new CommandError(
    `no verifier key is known for log \`${origin}\``,
    ExitCode.VERIFICATION_FAILED,
    "give it with --key",
  );
}

/** Text of a note that the key signed. @throws {CommandError} when it did not. */
export function openedNote(note: string, key: TrustedKey): string {
  try {
    return openNote(note, parseVerifierKey(key.text));
  } catch (error) {
    if (error instanceof NoteError) throw failed(error.message);
    throw error;
  }
}

function failed(message: string): CommandError {
  return new CommandError(
    message,
    ExitCode.VERIFICATION_FAILED,
    "do not trust this log until you know why",
  );
}
