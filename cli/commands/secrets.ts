/**
 * `aasm secrets set | list | delete | rotate-key | scan`.
 *
 * @module
 */
import { secret_admin } from "../../proto/mod.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { CommandError, ExitCode } from "../exit_code.ts";
import { readFile } from "../files.ts";
import { withGateway } from "../gateway_connection.ts";
import { fields } from "../render/fields.ts";
import { utcText } from "../render/moment.ts";
import { writeReport } from "../render/report.ts";
import { table } from "../render/table.ts";
import type { Session } from "../session.ts";

/** Most of standard input that is taken for a secret; more: refused. The gateway bounds it, too. */
export const SECRET_INPUT_BYTES_MAX = 65_536;
/** A file that is scanned in one piece; larger: refused. */
export const SCANNED_FILE_BYTES_MAX = 3_145_728;

/** `secrets set`: the value comes from standard input and is shown nowhere. */
export async function setSecret(
  command: CommandNamed<"secrets set">,
  session: Session,
): Promise<ExitCode> {
  const value = await valueFrom(session, command.exact);
  try {
    const answer = await withGateway(
      session,
      async (gateway) =>
        await gateway.client(secret_admin.SecretAdminService).registerSecret({
          orgId: command.org,
          teamId: command.team,
          name: command.name,
          value,
          tools: [...command.tools],
          replace: command.replace,
        }, await gateway.operator()),
    );
    const { version, scanned, auditIndex } = answer;
    writeReport(
      {
        data: { name: command.name, version, scanned, audit_index: auditIndex },
        table: (terminal) =>
          fields([
            { name: "secret", value: command.name },
            { name: "version", value: String(version) },
            {
              name: "outbound bytes",
              value: scanned ? "scanned for it" : "not scanned for it: it is too short",
              ...(scanned ? {} : { tone: "caution" as const }),
            },
            { name: "recorded", value: `entry ${auditIndex}` },
          ], terminal),
      },
      session.flags.output,
      session.terminal,
    );
    return ExitCode.OK;
  } finally {
    value.fill(0);
  }
}

/** `secrets list`. */
export async function listSecrets(
  command: CommandNamed<"secrets list">,
  session: Session,
): Promise<ExitCode> {
  const { org, team } = command;
  const { state, detail, secrets } = await withGateway(
    session,
    async (gateway) =>
      await gateway.client(secret_admin.SecretAdminService).listSecrets({
        orgId: org ?? "",
        teamId: team ?? "",
        allTenants: org === undefined && team === undefined,
      }, await gateway.operator()),
  );
  writeReport(
    {
      data: {
        state,
        detail,
        secrets: secrets.map((secret) => ({
          org_id: secret.orgId,
          team_id: secret.teamId,
          name: secret.name,
          version: secret.version,
          tools: secret.tools,
          scanned: secret.scanned,
          created_at_unix_ms: secret.createdAtUnixMs,
          created_by: secret.createdBy,
          key_id: secret.keyId,
        })),
      },
      table: (terminal) => {
        const rows = table(
          [
            { title: "ORG" },
            { title: "TEAM" },
            { title: "NAME" },
            { title: "VERSION", align: "right" },
            { title: "TOOLS" },
            { title: "SCANNED" },
            { title: "SINCE" },
            { title: "BY" },
            { title: "KEY" },
          ],
          secrets.map((secret) => [
            secret.orgId,
            secret.teamId,
            secret.name,
            String(secret.version),
            secret.tools.length === 0 ? "any" : secret.tools.join(", "),
            secret.scanned ? "yes" : "no",
            utcText(secret.createdAtUnixMs),
            secret.createdBy,
            secret.keyId,
          ]),
          terminal,
        );
        return `${
          fields([{ name: "state", value: state }, { name: "detail", value: detail }], terminal)
        }\n${rows}`;
      },
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `secrets delete`. */
export async function deleteSecret(
  command: CommandNamed<"secrets delete">,
  session: Session,
): Promise<ExitCode> {
  const { auditIndex } = await withGateway(
    session,
    async (gateway) =>
      await gateway.client(secret_admin.SecretAdminService).deleteSecret({
        orgId: command.org,
        teamId: command.team,
        name: command.name,
      }, await gateway.operator()),
  );
  writeReport(
    {
      data: { name: command.name, audit_index: auditIndex },
      table: (terminal) =>
        fields([
          { name: "deleted", value: command.name },
          { name: "recorded", value: `entry ${auditIndex}` },
        ], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `secrets rotate-key`. */
export async function rotateSecretsKey(session: Session): Promise<ExitCode> {
  const { keyId, records } = await withGateway(
    session,
    async (gateway) =>
      await gateway.client(secret_admin.SecretAdminService)
        .rotateKey({}, await gateway.operator()),
  );
  writeReport(
    {
      data: { key_id: keyId, records },
      table: (terminal) =>
        fields([
          { name: "key", value: keyId },
          {
            name: "wrapped anew",
            value: records === 0 ? "nothing: all is under this key already" : `${records} records`,
          },
        ], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `secrets scan`: anything but clean is a refusal. */
export async function scanFile(
  command: CommandNamed<"secrets scan">,
  session: Session,
): Promise<ExitCode> {
  const outbound = await readFile(command.file, SCANNED_FILE_BYTES_MAX, "file to scan");
  if (outbound.length > SCANNED_FILE_BYTES_MAX) {
    throw new CommandError(
      `cannot scan \`${command.file}\`: larger than ${SCANNED_FILE_BYTES_MAX} bytes`,
      ExitCode.FAILURE,
      "scan parts of it that overlap by the longest secret",
    );
  }
  const { verdict, hits } = await withGateway(
    session,
    async (gateway) =>
      await gateway.client(secret_admin.SecretAdminService)
        .scanOutbound({ outbound }, await gateway.operator()),
  );
  writeReport(
    {
      data: {
        verdict,
        hits: hits.map((hit) => ({
          org_id: hit.orgId,
          team_id: hit.teamId,
          name: hit.name,
          version: hit.version,
          form: hit.form,
        })),
      },
      table: (terminal) => {
        const tone = verdict === "clean" ? "good" : "bad";
        const head = fields([{ name: "verdict", value: verdict, tone }], terminal);
        if (hits.length === 0) return head;
        const rows = hits.map((hit) => [
          hit.orgId,
          hit.teamId,
          hit.name,
          String(hit.version),
          hit.form,
        ]);
        const columns = ["ORG", "TEAM", "NAME", "VERSION", "FORM"].map((title) => ({ title }));
        return `${head}\n${table(columns, rows, terminal)}`;
      },
    },
    session.flags.output,
    session.terminal,
  );
  return verdict === "clean" ? ExitCode.OK : ExitCode.DENIED;
}

/** The value from standard input: to its end, without the line end that `echo` adds. */
async function valueFrom({ input }: Session, exact: boolean): Promise<Uint8Array> {
  if (input.interactive) {
    throw new CommandError(
      "cannot read the value from a terminal, which would show it",
      ExitCode.USAGE,
      "pipe it in: aasm secrets set NAME < FILE",
    );
  }
  const bytes = await input.all(SECRET_INPUT_BYTES_MAX);
  if (bytes === undefined) {
    throw new CommandError(`cannot use the value: larger than ${SECRET_INPUT_BYTES_MAX} bytes`);
  }
  let end = bytes.length;
  if (!exact && bytes[end - 1] === 0x0a) {
    end--;
    if (bytes[end - 1] === 0x0d) end--;
  }
  if (end > 0) return bytes.subarray(0, end);
  throw new CommandError(
    "cannot use the value: standard input is empty",
    ExitCode.USAGE,
    "pipe it in: aasm secrets set NAME < FILE",
  );
}
