/**
 * `aasm agent kill | deregister | revoke-token | set-level | set-tier | reparent | rotate-token`.
 *
 * @module
 */
import { Metadata } from "../../grpc/mod.ts";
import { riskTierToWire } from "../../proto/mapping.ts";
import { identity } from "../../proto/mod.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { ExitCode } from "../exit_code.ts";
import { wordsOrFile } from "../files.ts";
import { type GatewayConnection, withGateway } from "../gateway_connection.ts";
import { fields } from "../render/fields.ts";
import { momentText } from "../render/moment.ts";
import { writeReport } from "../render/report.ts";
import type { Session } from "../session.ts";
import { agentData } from "./agent.ts";

/** A change of one agent by an operator. */
type ChangeCommand = CommandNamed<
  | "agent kill"
  | "agent deregister"
  | "agent revoke-token"
  | "agent set-level"
  | "agent set-tier"
  | "agent reparent"
>;

/** Makes one change and shows what came of it. */
export async function changeAgent(command: ChangeCommand, session: Session): Promise<ExitCode> {
  const answer = await withGateway(session, (gateway) => ask(gateway, command));
  const { agent, previousStatus, auditIndex, also } = answer;
  writeReport(
    {
      data: {
        agent: agent === undefined ? null : agentData(agent),
        previous_status: previousStatus,
        audit_index: auditIndex ?? null,
        also: also.map(agentData),
      },
      table: (terminal) =>
        fields([
          { name: "agent", value: agent?.agentId?.agentId ?? "" },
          { name: "before", value: previousStatus },
          { name: "now", value: agent?.status ?? "" },
          ...(agent === undefined || agent.statusReason === ""
            ? []
            : [{ name: "because", value: agent.statusReason }]),
          { name: "level", value: `L${agent?.governanceLevel ?? 0}` },
          { name: "parent", value: agent?.parentKey ?? "" },
          ...(also.length === 0
            ? []
            : [{ name: "with it", value: `${also.length} more agent(s)` }]),
          {
            name: "recorded",
            value: auditIndex === undefined ? "nothing to change" : `entry ${auditIndex}`,
          },
        ], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

async function ask(
  gateway: GatewayConnection,
  command: ChangeCommand,
): Promise<identity.ChangeAgentResponse> {
  const client = gateway.client(identity.IdentityService);
  const options = await gateway.operator();
  const { agent, reason } = command;
  switch (command.command) {
    case "agent kill":
      return await client.killAgent({ agent, reason, cascade: command.cascade }, options);
    case "agent deregister": {
      const orphanMode = command.orphans ?? "";
      return await client.deregisterAgent({ agent, reason, orphanMode }, options);
    }
    case "agent revoke-token":
      return await client.revokeAgentToken({ agent, reason }, options);
    case "agent set-level":
      return await client.setGovernanceLevel({ agent, reason, level: command.level }, options);
    case "agent set-tier": {
      const tier = riskTierToWire(command.tier);
      return await client.setRiskTier({ agent, reason, tier }, options);
    }
    case "agent reparent":
      return await client.reparentAgent({ agent, reason, parent: command.parent ?? "" }, options);
  }
}

/** `agent rotate-token`: the new token goes to standard output, and nowhere else. */
export async function rotateToken(
  command: CommandNamed<"agent rotate-token">,
  session: Session,
): Promise<ExitCode> {
  const token = await wordsOrFile(command.token, "credential token");
  const answer = await withGateway(session, async (gateway) => {
    const metadata = new Metadata().set("x-aa-credential-token", token);
    const agentId = { orgId: command.org, teamId: command.team, agentId: command.agent };
    return await gateway.client(identity.IdentityService)
      .rotateAgentToken({ agentId }, gateway.options({ metadata }));
  });
  const { credentialToken, expiresAtUnixMs, auditIndex } = answer;
  writeReport(
    {
      data: {
        credential_token: credentialToken,
        expires_at_unix_ms: expiresAtUnixMs,
        audit_index: auditIndex,
      },
      table: (terminal) =>
        fields([
          { name: "token", value: credentialToken },
          {
            name: "expires",
            value: expiresAtUnixMs === 0n
              ? "not by itself"
              : momentText(expiresAtUnixMs, session.now_ms()),
          },
          { name: "recorded", value: `entry ${auditIndex}` },
        ], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}
