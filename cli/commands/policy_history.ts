/**
 * `aasm policy history | get | diff | bundle export | bundle verify`: what was, and what would be.
 *
 * @module
 */
import type { policy_admin } from "../../proto/mod.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { ExitCode } from "../exit_code.ts";
import { writeFile } from "../files.ts";
import { withGateway } from "../gateway_connection.ts";
import { painter } from "../render/color.ts";
import { type Field, fields } from "../render/fields.ts";
import { utcText } from "../render/moment.ts";
import { changesData, changesTable, versionData } from "../render/policy_version.ts";
import { printable, printableLines } from "../render/printable.ts";
import { writeReport } from "../render/report.ts";
import { table } from "../render/table.ts";
import type { Session } from "../session.ts";
import type { Terminal } from "../terminal.ts";
import { policyClient, readBundle } from "./policy_change.ts";

/** Digits of a digest that are shown: enough to name a version by. */
const DIGEST_CHARS = 12;

/** `policy history`. */
export async function listPolicyVersions(
  command: CommandNamed<"policy history">,
  session: Session,
): Promise<ExitCode> {
  const { versions } = await withGateway(
    session,
    async (gateway) =>
      await policyClient(gateway).listVersions(
        { limit: command.limit },
        await gateway.operator(),
      ),
  );
  writeReport(
    {
      data: versions.map(versionData),
      table: (terminal) =>
        table(
          [
            { title: "VERSION", align: "right" },
            { title: "DIGEST" },
            { title: "WHEN" },
            { title: "HOW" },
            { title: "BY" },
            { title: "CONFIRMED BY" },
            { title: "DOCUMENTS", align: "right" },
            { title: "REASON" },
          ],
          versions.map((version) => [
            `${version.current ? "* " : ""}${version.version}`,
            version.digest.replace("sha256:", "").slice(0, DIGEST_CHARS),
            utcText(version.createdAtUnixMs),
            howText(version),
            version.author,
            version.confirmedBy,
            String(version.documents),
            version.problem === "" ? version.reason : version.problem,
          ]),
          terminal,
        ),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

function howText(version: policy_admin.PolicyVersion): string {
  if (version.problem !== "") return "damaged";
  if (version.rollbackOf !== 0n) return `rollback to ${version.rollbackOf}`;
  if (version.bundleSigner === "") return version.origin;
  return `${version.forced ? "forced " : ""}bundle ${version.bundleVersion}`;
}

/** `policy get`: the files as they are. */
export async function getPolicyVersion(
  command: CommandNamed<"policy get">,
  session: Session,
): Promise<ExitCode> {
  const { version, files } = await withGateway(
    session,
    async (gateway) =>
      await policyClient(gateway).getVersion(
        { version: command.version ?? "" },
        await gateway.operator(),
      ),
  );
  const texts = files.map(({ name, content }) => ({
    name,
    text: new TextDecoder().decode(content),
  }));
  writeReport(
    {
      data: {
        version: version === undefined ? null : versionData(version),
        files: texts,
      },
      table: (terminal) => {
        const paint = painter(terminal.colors);
        return texts.map(({ name, text }) => {
          const body = printableLines(text);
          return `${paint("quiet", `# ${printable(name)}`)}\n${body}${
            body.endsWith("\n") ? "" : "\n"
          }`;
        }).join("");
      },
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `policy diff`. */
export async function diffPolicies(
  command: CommandNamed<"policy diff">,
  session: Session,
): Promise<ExitCode> {
  const answer = await withGateway(
    session,
    async (gateway) =>
      await policyClient(gateway).diff({
        from: command.from ?? "",
        to: command.to ?? "",
        proposal: command.proposal ?? "",
      }, await gateway.operator()),
  );
  const { changes, changesOmitted, text, textCut } = answer;
  writeReport(
    {
      data: {
        changes: changesData(changes),
        changes_omitted: changesOmitted,
        ...(command.rules ? {} : { text, text_cut: textCut }),
      },
      table: (terminal) => {
        const rules = changesTable(changes, changesOmitted, terminal);
        if (command.rules) return rules;
        return `${rules}\n${diffText(text, terminal)}${textCut ? "(cut)\n" : ""}`;
      },
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

function diffText(text: string, terminal: Terminal): string {
  const paint = painter(terminal.colors);
  return text.split("\n").slice(0, -1).map((line) => {
    const tone = line.startsWith("+") ? "good" : line.startsWith("-") ? "bad" : undefined;
    return `${paint(tone, printable(line))}\n`;
  }).join("");
}

/** `policy bundle export`. */
export async function exportBundle(
  command: CommandNamed<"policy bundle export">,
  session: Session,
): Promise<ExitCode> {
  const { bundle, verifierKey } = await withGateway(
    session,
    async (gateway) =>
      await policyClient(gateway).exportBundle(
        { version: command.version ?? "" },
        await gateway.operator(),
      ),
  );
  if (command.output_file === undefined) {
    session.terminal.out(bundle);
  } else {
    await writeFile(command.output_file, new TextEncoder().encode(bundle));
  }
  session.terminal.err(`signed by ${printable(verifierKey)}\n`);
  return ExitCode.OK;
}

/** `policy bundle verify`: 6 when the gateway would not take it. */
export async function verifyBundle(
  command: CommandNamed<"policy bundle verify">,
  session: Session,
): Promise<ExitCode> {
  const bundle = await readBundle(command.file);
  const answer = await withGateway(
    session,
    async (gateway) =>
      await policyClient(gateway).verifyBundle({ bundle }, await gateway.operator()),
  );
  const { valid, because, message, signer, version, digest, changes, changesOmitted } = answer;
  const lines: Field[] = [
    { name: "bundle", value: valid ? "valid" : "refused", tone: valid ? "good" : "bad" },
    ...(valid ? [] : [{ name: "because", value: `${because}: ${message}` }]),
    { name: "signer", value: signer },
    { name: "version", value: version === 0n ? "" : String(version) },
    { name: "digest", value: digest },
  ];
  writeReport(
    {
      data: {
        valid,
        because: valid ? null : because,
        message,
        signer,
        version,
        digest,
        parent: answer.parent,
        changes: changesData(changes),
        changes_omitted: changesOmitted,
      },
      table: (terminal) =>
        fields(lines, terminal) +
        (changes.length === 0 ? "" : `\n${changesTable(changes, changesOmitted, terminal)}`),
    },
    session.flags.output,
    session.terminal,
  );
  return valid ? ExitCode.OK : ExitCode.VERIFICATION_FAILED;
}
