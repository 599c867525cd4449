/**
 * `aasm policy apply | rollback | confirm | reject | proposals | bundle import`: changes of the
 * policy in force.
 *
 * @module
 */
import { basename } from "node:path";
import { LIMITS } from "../../core/limits.ts";
import { BUNDLE_CHARS_MAX } from "../../core/policy/history/bundle.ts";
import type { Client } from "../../grpc/mod.ts";
import { policy_admin } from "../../proto/mod.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { CommandError, ExitCode } from "../exit_code.ts";
import { readFile } from "../files.ts";
import { type GatewayConnection, withGateway } from "../gateway_connection.ts";
import { listPolicyFiles } from "../policy_files.ts";
import { painter } from "../render/color.ts";
import { type Field, fields } from "../render/fields.ts";
import { momentText, utcText } from "../render/moment.ts";
import { printable } from "../render/printable.ts";
import { type Data, writeReport } from "../render/report.ts";
import { changesData, changesTable, versionData } from "../render/policy_version.ts";
import { table } from "../render/table.ts";
import type { Session } from "../session.ts";
import type { Terminal } from "../terminal.ts";

/** The client of the policy's own service. */
export function policyClient(
  gateway: GatewayConnection,
): Client<typeof policy_admin.PolicyAdminService> {
  return gateway.client(policy_admin.PolicyAdminService);
}

/** `policy apply`. */
export async function applyPolicy(
  command: CommandNamed<"policy apply">,
  session: Session,
): Promise<ExitCode> {
  const files = await readPolicies(command);
  if (files.length === 0 && command.remove.length === 0) {
    throw new CommandError(
      "nothing to apply: name policy files, or files to --remove",
      ExitCode.USAGE,
    );
  }
  return await changePolicy(session, async (gateway) =>
    await policyClient(gateway).apply({
      files,
      remove: [...command.remove],
      replaceAll: command.replace_all,
      expectedDigest: command.expected,
      ...termsOf(command),
    }, await gateway.operator()));
}

/** `policy rollback`. */
export function rollbackPolicy(
  command: CommandNamed<"policy rollback">,
  session: Session,
): Promise<ExitCode> {
  return changePolicy(session, async (gateway) =>
    await policyClient(gateway).rollback(
      { version: command.version, ...termsOf(command) },
      await gateway.operator(),
    ));
}

/** `policy bundle import`. */
export async function importBundle(
  command: CommandNamed<"policy bundle import">,
  session: Session,
): Promise<ExitCode> {
  const bundle = await readBundle(command.file);
  return await changePolicy(session, async (gateway) =>
    await policyClient(gateway).importBundle(
      { bundle, force: command.force, ...termsOf(command) },
      await gateway.operator(),
    ));
}

/** `policy confirm`. */
export function confirmProposal(
  command: CommandNamed<"policy confirm">,
  session: Session,
): Promise<ExitCode> {
  return changePolicy(session, async (gateway) =>
    await policyClient(gateway).confirmProposal(
      { id: command.id, expectedDigest: command.expected },
      await gateway.operator(),
    ));
}

/** `policy reject`. */
export async function rejectProposal(
  command: CommandNamed<"policy reject">,
  session: Session,
): Promise<ExitCode> {
  const { proposal } = await withGateway(
    session,
    async (gateway) =>
      await policyClient(gateway).rejectProposal(
        { id: command.id, reason: command.reason },
        await gateway.operator(),
      ),
  );
  writeReport(
    {
      data: { proposal: proposal === undefined ? null : proposalData(proposal) },
      table: (terminal) =>
        fields([
          { name: "proposal", value: command.id },
          { name: "now", value: proposal?.status ?? "removed" },
        ], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `policy proposals`. */
export async function listProposals(
  command: CommandNamed<"policy proposals">,
  session: Session,
): Promise<ExitCode> {
  const { proposals } = await withGateway(
    session,
    async (gateway) =>
      await policyClient(gateway).listProposals(
        { includeEnded: command.all },
        await gateway.operator(),
      ),
  );
  writeReport(
    {
      data: proposals.map(proposalData),
      table: (terminal) =>
        table(
          [
            { title: "PROPOSAL" },
            { title: "KIND" },
            { title: "BY" },
            { title: "STATUS", toned: true },
            { title: "EXPIRES" },
            { title: "FILES" },
            { title: "REASON" },
          ],
          proposals.map((one) => [
            one.id,
            one.kind,
            one.proposer,
            one.problem === "" ? one.status : "damaged",
            utcText(one.expiresAtUnixMs),
            [...one.puts, ...one.removes.map((name) => `-${name}`)].join(" "),
            one.problem === "" ? one.reason : one.problem,
          ]),
          terminal,
        ),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** A bundle's text. */
export async function readBundle(path: string): Promise<string> {
  const bytes = await readFile(path, BUNDLE_CHARS_MAX, "policy bundle");
  if (bytes.length > BUNDLE_CHARS_MAX) {
    throw new CommandError(
      `cannot read policy bundle \`${path}\`: larger than ${BUNDLE_CHARS_MAX} bytes`,
    );
  }
  return new TextDecoder().decode(bytes);
}

async function readPolicies(
  { paths, as }: CommandNamed<"policy apply">,
): Promise<{ name: string; content: Uint8Array }[]> {
  const files: { name: string; content: Uint8Array }[] = [];
  for (const path of paths) {
    for (const found of (await listPolicyFiles(path)).paths) {
      const content = await readFile(found, LIMITS.policy_file_bytes, "policy");
      files.push({ name: basename(found), content });
    }
  }
  if (as === undefined) return files;
  const [only] = files;
  if (only === undefined || files.length > 1) {
    throw new CommandError(
      `--as names one file, \`${files.length}\` are given`,
      ExitCode.USAGE,
      "give one FILE",
    );
  }
  return [{ ...only, name: as }];
}

interface Terms {
  readonly reason: string;
  readonly dry_run: boolean;
  readonly proposal_ms?: number | undefined;
}

function termsOf({ reason, dry_run, proposal_ms }: Terms) {
  return {
    reason,
    dryRun: dry_run,
    proposalTtlSeconds: proposal_ms === undefined ? 0n : BigInt(Math.round(proposal_ms / 1_000)),
  };
}

/** Makes a change and shows what came of it; 4 when it waits for a second person. */
async function changePolicy(
  session: Session,
  change: (gateway: GatewayConnection) => Promise<policy_admin.ChangeResponse>,
): Promise<ExitCode> {
  const answer = await withGateway(session, change);
  const { outcome, version, proposal, changes, changesOmitted, warnings } = answer;
  writeReport(
    {
      data: {
        outcome,
        version: version === undefined ? null : versionData(version),
        proposal: proposal === undefined ? null : proposalData(proposal),
        changes: changesData(changes),
        changes_omitted: changesOmitted,
        warnings,
      },
      table: (terminal) => outcomeText(answer, session, terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return outcome === "proposed" ? ExitCode.PENDING : ExitCode.OK;
}

function outcomeText(
  answer: policy_admin.ChangeResponse,
  session: Session,
  terminal: Terminal,
): string {
  const { outcome, version, proposal, changes, changesOmitted, warnings } = answer;
  const paint = painter(terminal.colors);
  const lines: Field[] = [{ name: "outcome", value: outcome.replace("_", " ") }];
  if (version !== undefined) {
    lines.push(
      { name: "version", value: String(version.version) },
      { name: "digest", value: version.digest },
      { name: "documents", value: String(version.documents) },
      { name: "recorded", value: `entry ${version.auditIndex}` },
    );
  }
  if (proposal !== undefined) {
    lines.push(
      { name: "proposal", value: proposal.id },
      { name: "digest", value: proposal.digest },
      { name: "waits until", value: momentText(proposal.expiresAtUnixMs, session.now_ms()) },
      { name: "next", value: `another operator: aasm policy confirm ${proposal.id}` },
    );
  }
  const notes = warnings.map((line) => `${paint("caution", `warning: ${printable(line)}`)}\n`);
  return notes.join("") + fields(lines, terminal) +
    (changes.length === 0 ? "" : `\n${changesTable(changes, changesOmitted, terminal)}`);
}

function proposalData(proposal: policy_admin.Proposal): Data {
  return {
    id: proposal.id,
    kind: proposal.kind,
    proposer: proposal.proposer,
    created_at_unix_ms: proposal.createdAtUnixMs,
    expires_at_unix_ms: proposal.expiresAtUnixMs,
    parent: proposal.parent,
    digest: proposal.digest,
    status: proposal.status,
    reason: proposal.reason,
    decided_by: proposal.decidedBy === "" ? null : proposal.decidedBy,
    decided_at_unix_ms: proposal.decidedAtUnixMs,
    decision_reason: proposal.decisionReason,
    puts: proposal.puts,
    removes: proposal.removes,
    problem: proposal.problem === "" ? null : proposal.problem,
  };
}
