/**
 * `aasm agent enforcement-mode`: enforce, or observe for a time (contract `policy-and-gateway`
 * §11.4). With `--cascade` the descendants are shown first and must be confirmed as shown.
 *
 * @module
 */
import { common } from "../../proto/mod.ts";
import type { admin } from "../../proto/mod.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { CommandError, ExitCode } from "../exit_code.ts";
import { type GatewayConnection, withGateway } from "../gateway_connection.ts";
import { momentText } from "../render/moment.ts";
import { writeReport } from "../render/report.ts";
import { table } from "../render/table.ts";
import type { Session } from "../session.ts";
import { agentData, allAgents } from "./agent.ts";

/** Changes the mode, or with `--cascade` and no `--yes` shows whose mode would change. */
export async function setEnforcementMode(
  command: CommandNamed<"agent enforcement-mode">,
  session: Session,
): Promise<ExitCode> {
  const { agent, mode, reason, for_ms, cascade, yes } = command;
  if (mode === "disabled") {
    throw new CommandError(
      "mode: expected enforce or observe, got `disabled`: enforcement cannot be switched off",
      ExitCode.USAGE,
      "use observe with --for and --reason, which ends by itself",
    );
  }
  if (mode === "observe" && for_ms === undefined) {
    throw new CommandError("observing needs an end: give --for, at most 72h", ExitCode.USAGE);
  }
  const changed = await withGateway(session, async (gateway) => {
    const family = cascade ? await familyOf(gateway, agent) : [];
    if (cascade && !yes) {
      showAgents(family, session);
      return undefined;
    }
    return await gateway.admin.setEnforcementMode({
      agent,
      mode: mode === "observe" ? common.EnforcementMode.OBSERVE : common.EnforcementMode.ENFORCE,
      reason,
      expiresAtUnixMs: mode === "observe" ? BigInt(session.now_ms() + (for_ms ?? 0)) : 0n,
      cascade,
      expectedAgents: family.map(({ key }) => key),
    }, await gateway.operator());
  });
  if (changed === undefined) {
    session.terminal.err(`nothing was changed: repeat it with --yes to change these agents\n`);
    return ExitCode.PENDING;
  }
  showAgents(changed.agents, session);
  session.terminal.err(`recorded as entry ${changed.auditIndex}\n`);
  return ExitCode.OK;
}

/** The agent and everything below it, as the gateway lists them now. */
async function familyOf(gateway: GatewayConnection, name: string): Promise<admin.Agent[]> {
  const { agent } = await gateway.admin.getAgent({ agent: name }, await gateway.operator());
  if (agent === undefined) return [];
  const all = (await allAgents(gateway, {})).filter(({ status }) => status !== "deregistered");
  const family = [agent];
  for (const member of family) {
    family.push(
      ...all.filter(({ key, parentKey }) =>
        parentKey === member.key && !family.some((known) => known.key === key)
      ),
    );
  }
  return family;
}

function showAgents(agents: readonly admin.Agent[], session: Session): void {
  const now_ms = session.now_ms();
  writeReport(
    {
      data: agents.map(agentData),
      table: (terminal) =>
        table(
          [{ title: "AGENT" }, { title: "NAME" }, { title: "MODE" }, { title: "UNTIL" }, {
            title: "KEY",
          }],
          agents.map((agent) => [
            agent.agentId?.agentId ?? "",
            agent.name,
            agent.enforcementMode === common.EnforcementMode.OBSERVE ? "observe" : "enforce",
            momentText(agent.enforcementModeExpiresAtUnixMs, now_ms),
            agent.key,
          ]),
          terminal,
        ),
    },
    session.flags.output,
    session.terminal,
  );
}
