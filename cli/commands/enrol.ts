/**
 * `aasm agent enrol create | list | revoke`.
 *
 * @module
 */
import { riskTierFromWire, riskTierToWire } from "../../proto/mapping.ts";
import { identity } from "../../proto/mod.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { ExitCode } from "../exit_code.ts";
import { withGateway } from "../gateway_connection.ts";
import { type Field, fields } from "../render/fields.ts";
import { momentText, utcText } from "../render/moment.ts";
import { type Data, writeReport } from "../render/report.ts";
import { table } from "../render/table.ts";
import type { Session } from "../session.ts";

/** `agent enrol create`: the token goes to standard output, this once. */
export async function createEnrolment(
  command: CommandNamed<"agent enrol create">,
  session: Session,
): Promise<ExitCode> {
  const answer = await withGateway(
    session,
    async (gateway) =>
      await gateway.client(identity.IdentityService).createEnrolment({
        orgId: command.org,
        teamId: command.team,
        maxUses: command.uses,
        expiresAtUnixMs: BigInt(session.now_ms() + command.valid_ms),
        riskTiers: command.tiers.map(riskTierToWire),
        spiffe: [...command.spiffe],
      }, await gateway.operator()),
  );
  const { token, enrolment, auditIndex } = answer;
  writeReport(
    {
      data: { token, enrolment: enrolmentData(enrolment), audit_index: auditIndex },
      table: (terminal) =>
        fields([
          { name: "token", value: token },
          ...enrolmentFields(enrolment, session.now_ms()),
          { name: "recorded", value: `entry ${auditIndex}` },
        ], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  session.terminal.err(
    "note: the token is not shown again; agents send it in `x-aa-enrolment` when they register\n",
  );
  return ExitCode.OK;
}

/** `agent enrol list`. */
export async function listEnrolments(
  command: CommandNamed<"agent enrol list">,
  session: Session,
): Promise<ExitCode> {
  const { enrolments } = await withGateway(
    session,
    async (gateway) =>
      await gateway.client(identity.IdentityService)
        .listEnrolments({ ended: command.all }, await gateway.operator()),
  );
  writeReport(
    {
      data: enrolments.map(enrolmentData),
      table: (terminal) =>
        table(
          [
            { title: "ID" },
            { title: "ORG" },
            { title: "TEAM" },
            { title: "STATE", toned: true },
            { title: "USES", align: "right" },
            { title: "EXPIRES" },
            { title: "BY" },
          ],
          enrolments.map((enrolment) => [
            enrolment.id,
            enrolment.orgId,
            enrolment.teamId,
            enrolment.state,
            `${enrolment.uses}/${enrolment.maxUses}`,
            utcText(enrolment.expiresAtUnixMs),
            enrolment.createdBy,
          ]),
          terminal,
        ),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `agent enrol revoke`. */
export async function revokeEnrolment(
  command: CommandNamed<"agent enrol revoke">,
  session: Session,
): Promise<ExitCode> {
  const { id, reason } = command;
  const answer = await withGateway(
    session,
    async (gateway) =>
      await gateway.client(identity.IdentityService)
        .revokeEnrolment({ id, reason }, await gateway.operator()),
  );
  const { enrolment, auditIndex } = answer;
  writeReport(
    {
      data: { enrolment: enrolmentData(enrolment), audit_index: auditIndex },
      table: (terminal) =>
        fields([
          ...enrolmentFields(enrolment, session.now_ms()),
          { name: "recorded", value: `entry ${auditIndex}` },
        ], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

function enrolmentFields(enrolment: identity.Enrolment | undefined, now_ms: number): Field[] {
  if (enrolment === undefined) return [];
  const tiers = enrolment.riskTiers.map((tier) => riskTierFromWire(tier) ?? "").join(", ");
  return [
    { name: "id", value: enrolment.id },
    { name: "organisation", value: enrolment.orgId },
    { name: "team", value: enrolment.teamId },
    { name: "state", value: enrolment.state },
    { name: "uses", value: `${enrolment.uses} of ${enrolment.maxUses}` },
    { name: "expires", value: momentText(enrolment.expiresAtUnixMs, now_ms) },
    { name: "tiers", value: tiers === "" ? "any" : tiers },
    ...enrolment.spiffe.map((id) => ({ name: "spiffe", value: id })),
  ];
}

function enrolmentData(enrolment: identity.Enrolment | undefined): Data {
  if (enrolment === undefined) return null;
  return {
    id: enrolment.id,
    org_id: enrolment.orgId,
    team_id: enrolment.teamId,
    state: enrolment.state,
    uses: enrolment.uses,
    max_uses: enrolment.maxUses,
    created_at_unix_ms: enrolment.createdAtUnixMs,
    expires_at_unix_ms: enrolment.expiresAtUnixMs,
    revoked_at_unix_ms: enrolment.revokedAtUnixMs === 0n ? null : enrolment.revokedAtUnixMs,
    created_by: enrolment.createdBy,
    risk_tiers: enrolment.riskTiers.map((tier) => riskTierFromWire(tier) ?? null),
    spiffe: enrolment.spiffe,
  };
}
