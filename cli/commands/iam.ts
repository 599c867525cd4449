/**
 * `aasm iam whoami | roles | operators | keys | rotate-token`.
 *
 * @module
 */
import type { iam as wire } from "../../proto/mod.ts";
import { iam } from "../../proto/mod.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { ExitCode } from "../exit_code.ts";
import { type GatewayConnection, withGateway } from "../gateway_connection.ts";
import { type Field, fields } from "../render/fields.ts";
import { momentText, utcText } from "../render/moment.ts";
import { type Data, writeReport } from "../render/report.ts";
import { table } from "../render/table.ts";
import type { Session } from "../session.ts";

function clientOf(gateway: GatewayConnection) {
  return gateway.client(iam.IamService);
}

/** `iam whoami`. */
export async function whoAmI(session: Session): Promise<ExitCode> {
  const answer = await withGateway(
    session,
    async (gateway) => await clientOf(gateway).whoAmI({}, await gateway.operator()),
  );
  const { operator, scope, keyId, keyScopes, permissions } = answer;
  writeReport(
    {
      data: {
        operator: operatorData(operator),
        scope,
        key_id: keyId === "" ? null : keyId,
        key_scopes: keyScopes,
        permissions: permissions.map(({ name, reach }) => ({ name, reach })),
      },
      table: (terminal) =>
        fields([
          { name: "operator", value: operator?.name ?? "" },
          { name: "role", value: operator?.role ?? "" },
          { name: "scope", value: scope },
          { name: "organisation", value: operator?.orgId ?? "" },
          { name: "team", value: operator?.teamId ?? "" },
          ...(keyId === ""
            ? []
            : [{ name: "key", value: keyId }, { name: "key scopes", value: keyScopes.join(", ") }]),
          {
            name: "may",
            value: permissions.map(({ name, reach }) => `${name} (${reach})`).join(", "),
          },
        ], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `iam roles`. */
export async function listRoles(session: Session): Promise<ExitCode> {
  const { roles } = await withGateway(
    session,
    async (gateway) => await clientOf(gateway).listRoles({}, await gateway.operator()),
  );
  writeReport(
    {
      data: roles.map(({ name, scope, permissions, documentScopes }) => ({
        name,
        scope,
        permissions: permissions.map((one) => ({ name: one.name, reach: one.reach })),
        document_scopes: documentScopes,
      })),
      table: (terminal) =>
        table(
          [{ title: "ROLE" }, { title: "SCOPE" }, { title: "DOCUMENTS" }, { title: "PERMISSIONS" }],
          roles.map(({ name, scope, permissions, documentScopes }) => [
            name,
            scope,
            documentScopes.join(" "),
            permissions.map((one) => `${one.name}:${one.reach}`).join(" "),
          ]),
          terminal,
        ),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `iam operators list`. */
export async function listOperators(session: Session): Promise<ExitCode> {
  const { operators } = await withGateway(
    session,
    async (gateway) => await clientOf(gateway).listOperators({}, await gateway.operator()),
  );
  writeReport(
    {
      data: operators.map(operatorData),
      table: (terminal) =>
        table(
          [
            { title: "NAME" },
            { title: "ROLE" },
            { title: "ORG" },
            { title: "TEAM" },
            { title: "STATUS", toned: true },
            { title: "EXPIRES" },
            { title: "BY" },
          ],
          operators.map((operator) => [
            operator.name,
            operator.role,
            operator.orgId,
            operator.teamId,
            operator.status,
            utcText(operator.expiresAtUnixMs),
            operator.createdBy,
          ]),
          terminal,
        ),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `iam operators create`: the token goes to standard output, this once. */
export async function createOperator(
  command: CommandNamed<"iam operators create">,
  session: Session,
): Promise<ExitCode> {
  const { token, operator, auditIndex } = await withGateway(
    session,
    async (gateway) =>
      await clientOf(gateway).createOperator({
        name: command.name,
        role: command.role,
        orgId: command.org,
        teamId: command.team,
        ttlSeconds: secondsOf(command.valid_ms),
      }, await gateway.operator()),
  );
  writeReport(
    {
      data: { token, operator: operatorData(operator), audit_index: auditIndex },
      table: (terminal) =>
        fields([
          { name: "token", value: token },
          { name: "operator", value: operator?.name ?? "" },
          { name: "role", value: operator?.role ?? "" },
          { name: "organisation", value: operator?.orgId ?? "" },
          { name: "team", value: operator?.teamId ?? "" },
          {
            name: "expires",
            value: momentText(operator?.expiresAtUnixMs ?? 0n, session.now_ms()),
          },
          recorded(auditIndex),
        ], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  session.terminal.err("note: the token is not shown again; keep it in a file for --token-file\n");
  return ExitCode.OK;
}

/** `iam operators revoke`. */
export async function revokeOperator(
  command: CommandNamed<"iam operators revoke">,
  session: Session,
): Promise<ExitCode> {
  const { operator, auditIndex } = await withGateway(
    session,
    async (gateway) =>
      await clientOf(gateway).revokeOperator({ name: command.name }, await gateway.operator()),
  );
  writeReport(
    {
      data: { operator: operatorData(operator), audit_index: auditIndex },
      table: (terminal) =>
        fields([
          { name: "operator", value: operator?.name ?? command.name },
          { name: "now", value: operator?.status ?? "" },
          recorded(auditIndex),
        ], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `iam rotate-token`: the new token goes to standard output, this once. */
export async function rotateOwnToken(session: Session): Promise<ExitCode> {
  const { token, auditIndex } = await withGateway(
    session,
    async (gateway) => await clientOf(gateway).rotateOperatorToken({}, await gateway.operator()),
  );
  writeReport(
    {
      data: { token, audit_index: auditIndex },
      table: (terminal) =>
        fields([{ name: "token", value: token }, recorded(auditIndex)], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  session.terminal.err(
    `note: the old token is dead; write this one to \`${session.flags.token_file}\`\n`,
  );
  return ExitCode.OK;
}

/** `iam keys list`. */
export async function listKeys(
  command: CommandNamed<"iam keys list">,
  session: Session,
): Promise<ExitCode> {
  const { keys } = await withGateway(
    session,
    async (gateway) =>
      await clientOf(gateway).listKeys({ includeEnded: command.all }, await gateway.operator()),
  );
  writeReport(
    {
      data: keys.map(keyData),
      table: (terminal) =>
        table(
          [
            { title: "KEY" },
            { title: "PREFIX" },
            { title: "LABEL" },
            { title: "OPERATOR" },
            { title: "ROLE" },
            { title: "SCOPES" },
            { title: "STATUS", toned: true },
            { title: "EXPIRES" },
            { title: "LAST USED" },
          ],
          keys.map((key) => [
            key.id,
            key.prefix,
            key.problem === "" ? key.label : key.problem,
            key.operator,
            key.role,
            key.scopes.join(" "),
            key.status,
            utcText(key.expiresAtUnixMs),
            utcText(key.lastUsedUnixMs),
          ]),
          terminal,
        ),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `iam keys create`: the secret goes to standard output, this once. */
export async function createKey(
  command: CommandNamed<"iam keys create">,
  session: Session,
): Promise<ExitCode> {
  const answer = await withGateway(
    session,
    async (gateway) =>
      await clientOf(gateway).createKey({
        label: command.label,
        scopes: [...command.scopes],
        role: command.role ?? "",
        orgId: command.org,
        teamId: command.team,
        ttlSeconds: secondsOf(command.valid_ms),
      }, await gateway.operator()),
  );
  return showSecret(answer, session);
}

/** `iam keys rotate`: the secret goes to standard output, this once. */
export async function rotateKey(
  command: CommandNamed<"iam keys rotate">,
  session: Session,
): Promise<ExitCode> {
  const answer = await withGateway(
    session,
    async (gateway) =>
      await clientOf(gateway).rotateKey({
        id: command.id,
        overlapSeconds: secondsOf(command.overlap_ms),
      }, await gateway.operator()),
  );
  return showSecret(answer, session);
}

/** `iam keys revoke`. */
export async function revokeKey(
  command: CommandNamed<"iam keys revoke">,
  session: Session,
): Promise<ExitCode> {
  const { key, auditIndex } = await withGateway(
    session,
    async (gateway) =>
      await clientOf(gateway).revokeKey({ id: command.id }, await gateway.operator()),
  );
  writeReport(
    {
      data: { key: key === undefined ? null : keyData(key), audit_index: auditIndex },
      table: (terminal) =>
        fields([
          { name: "key", value: command.id },
          { name: "now", value: key?.status ?? "removed" },
          recorded(auditIndex),
        ], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

function showSecret(
  { key, secret, auditIndex }: {
    readonly key?: wire.ApiKey | undefined;
    readonly secret: string;
    readonly auditIndex: bigint;
  },
  session: Session,
): ExitCode {
  writeReport(
    {
      data: {
        secret,
        key: key === undefined ? null : keyData(key),
        audit_index: auditIndex,
      },
      table: (terminal) =>
        fields([
          { name: "secret", value: secret },
          { name: "key", value: key?.id ?? "" },
          { name: "label", value: key?.label ?? "" },
          { name: "role", value: key?.role ?? "" },
          { name: "scopes", value: key?.scopes.join(", ") ?? "" },
          { name: "expires", value: momentText(key?.expiresAtUnixMs ?? 0n, session.now_ms()) },
          recorded(auditIndex),
        ], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  session.terminal.err("note: the secret is not shown again; keep it in a file for --token-file\n");
  return ExitCode.OK;
}

function recorded(audit_index: bigint): Field {
  return { name: "recorded", value: `entry ${audit_index}` };
}

function secondsOf(ms: number | undefined): bigint {
  return ms === undefined ? 0n : BigInt(Math.max(1, Math.round(ms / 1_000)));
}

function operatorData(operator: wire.Operator | undefined): Data {
  if (operator === undefined) return null;
  return {
    name: operator.name,
    role: operator.role,
    org_id: operator.orgId === "" ? null : operator.orgId,
    team_id: operator.teamId === "" ? null : operator.teamId,
    status: operator.status,
    created_at_unix_ms: operator.createdAtUnixMs,
    created_by: operator.createdBy,
    expires_at_unix_ms: operator.expiresAtUnixMs,
  };
}

function keyData(key: wire.ApiKey): Data {
  return {
    id: key.id,
    label: key.label,
    operator: key.operator,
    role: key.role,
    org_id: key.orgId === "" ? null : key.orgId,
    team_id: key.teamId === "" ? null : key.teamId,
    scopes: key.scopes,
    prefix: key.prefix,
    status: key.status,
    created_at_unix_ms: key.createdAtUnixMs,
    rotated_at_unix_ms: key.rotatedAtUnixMs,
    expires_at_unix_ms: key.expiresAtUnixMs,
    last_used_unix_ms: key.lastUsedUnixMs,
    overlap_until_unix_ms: key.overlapUntilUnixMs,
    problem: key.problem === "" ? null : key.problem,
  };
}
