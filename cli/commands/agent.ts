/**
 * `aasm agent list | inspect | suspend | resume`; further changes are in `agent_change.ts`.
 *
 * @module
 */
import { riskTierFromWire } from "../../proto/mapping.ts";
import { common } from "../../proto/mod.ts";
import type { admin } from "../../proto/mod.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { ExitCode } from "../exit_code.ts";
import { type GatewayConnection, withGateway } from "../gateway_connection.ts";
import { entryRowsTable, readEntry } from "../render/audit_entry.ts";
import { painter } from "../render/color.ts";
import { type Field, fields } from "../render/fields.ts";
import { momentText, utcText } from "../render/moment.ts";
import { type Data, writeReport } from "../render/report.ts";
import { table } from "../render/table.ts";
import type { Session } from "../session.ts";

const PAGE_SIZE = 500;
/** Pages asked for at most; a gateway that never ends its list is not followed for ever. */
const PAGES_MAX = 10_000;

/** Every agent the operator sees, page by page. */
export async function allAgents(
  gateway: GatewayConnection,
  filter: { readonly status?: string | undefined; readonly framework?: string | undefined },
): Promise<admin.Agent[]> {
  const all: admin.Agent[] = [];
  let pageToken = "";
  for (let page = 0; page < PAGES_MAX; page++) {
    const answer = await gateway.admin.listAgents({
      status: filter.status ?? "",
      framework: filter.framework ?? "",
      pageSize: PAGE_SIZE,
      pageToken,
    }, await gateway.operator());
    all.push(...answer.agents);
    if (answer.nextPageToken === "") break;
    pageToken = answer.nextPageToken;
  }
  return all;
}

/** `agent list`. */
export async function listAgents(
  command: CommandNamed<"agent list">,
  session: Session,
): Promise<ExitCode> {
  const agents = await withGateway(session, (gateway) => allAgents(gateway, command));
  writeReport(
    {
      data: agents.map(agentData),
      table: (terminal) =>
        table(
          [
            { title: "AGENT" },
            { title: "NAME" },
            { title: "FRAMEWORK" },
            { title: "VERSION" },
            { title: "STATUS", toned: true },
            { title: "RISK" },
            { title: "TENANT BY" },
            { title: "LAST HEARTBEAT" },
            { title: "KEY" },
          ],
          agents.map((agent) => [
            agent.agentId?.agentId ?? "",
            agent.name,
            agent.framework,
            agent.version,
            agent.status,
            riskTierFromWire(agent.riskTier) ?? "",
            agent.tenancy,
            utcText(agent.lastHeartbeatUnixMs),
            agent.key,
          ]),
          terminal,
        ),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `agent inspect`: the record and the latest entries. */
export async function inspectAgent(
  command: CommandNamed<"agent inspect">,
  session: Session,
): Promise<ExitCode> {
  const answer = await withGateway(
    session,
    async (gateway) =>
      await gateway.admin.getAgent({ agent: command.agent }, await gateway.operator()),
  );
  const { agent } = answer;
  const entries = answer.recent.map((entry) => readEntry(entry.seq, entry.json));
  const now_ms = session.now_ms();
  writeReport(
    {
      data: {
        agent: agent === undefined ? null : agentData(agent),
        recent: entries.map((entry) => entry.data),
      },
      table: (terminal) => {
        const record = agent === undefined ? "" : fields(agentFields(agent, now_ms), terminal);
        const title = painter(terminal.colors)("strong", "latest entries");
        return `${record}\n${title}\n${entryRowsTable(entries, terminal)}`;
      },
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `agent suspend`. */
export function suspendAgent(
  command: CommandNamed<"agent suspend">,
  session: Session,
): Promise<ExitCode> {
  const { agent, reason } = command;
  return changeStatus(session, () =>
    withGateway(
      session,
      async (gateway) =>
        await gateway.admin.suspendAgent({ agent, reason }, await gateway.operator()),
    ));
}

/** `agent resume`. */
export function resumeAgent(
  command: CommandNamed<"agent resume">,
  session: Session,
): Promise<ExitCode> {
  const { agent, reason } = command;
  return changeStatus(session, () =>
    withGateway(
      session,
      async (gateway) =>
        await gateway.admin.resumeAgent({ agent, reason }, await gateway.operator()),
    ));
}

async function changeStatus(
  session: Session,
  change: () => Promise<admin.ChangeAgentStatusResponse>,
): Promise<ExitCode> {
  const answer = await change();
  const { agent, previousStatus, auditIndex } = answer;
  writeReport(
    {
      data: {
        agent: agent === undefined ? null : agentData(agent),
        previous_status: previousStatus,
        audit_index: auditIndex,
      },
      table: (terminal) =>
        fields([
          { name: "agent", value: agent?.agentId?.agentId ?? "" },
          { name: "before", value: previousStatus },
          { name: "now", value: agent?.status ?? "" },
          { name: "recorded", value: `entry ${auditIndex}` },
        ], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

function agentFields(agent: admin.Agent, now_ms: number): Field[] {
  const { agentId } = agent;
  return [
    { name: "agent", value: agentId?.agentId ?? "" },
    { name: "organisation", value: agentId?.orgId ?? "" },
    { name: "team", value: agentId?.teamId ?? "" },
    { name: "tenant by", value: tenancyText(agent) },
    { name: "token", value: tokenText(agent, now_ms) },
    { name: "key", value: agent.key },
    { name: "name", value: agent.name },
    { name: "framework", value: `${agent.framework} ${agent.version}`.trim() },
    { name: "status", value: agent.status },
    ...(agent.statusReason === "" ? [] : [{ name: "because", value: agent.statusReason }]),
    { name: "risk tier", value: riskTierFromWire(agent.riskTier) ?? "" },
    { name: "level", value: `L${agent.governanceLevel}` },
    { name: "enforcement", value: modeText(agent, now_ms) },
    { name: "tools", value: agent.toolNames.join(", ") },
    { name: "registered", value: momentText(agent.registeredAtUnixMs, now_ms) },
    { name: "last heartbeat", value: momentText(agent.lastHeartbeatUnixMs, now_ms) },
    { name: "parent", value: agent.parentKey },
    { name: "root", value: agent.rootKey },
    { name: "depth", value: String(agent.depth) },
    { name: "children", value: String(agent.children) },
  ];
}

function tenancyText({ tenancy, enrolmentId }: admin.Agent): string {
  switch (tenancy) {
    case "enrolled":
      return `enrolment ${enrolmentId}`;
    case "asserted":
      return "the agent's own word";
    default:
      return tenancy;
  }
}

function tokenText(agent: admin.Agent, now_ms: number): string {
  if (!agent.credentialLive) return "none, or expired";
  return agent.credentialExpiresAtUnixMs === 0n
    ? "live, does not expire"
    : `live until ${momentText(agent.credentialExpiresAtUnixMs, now_ms)}`;
}

function modeText(agent: admin.Agent, now_ms: number): string {
  const word = modeWord(agent.enforcementMode);
  return agent.enforcementModeExpiresAtUnixMs === 0n
    ? word
    : `${word} until ${momentText(agent.enforcementModeExpiresAtUnixMs, now_ms)}`;
}

function modeWord(mode: common.EnforcementMode): string {
  return mode === common.EnforcementMode.ENFORCEMENT_MODE_UNSPECIFIED
    ? "enforce"
    : (common.EnforcementMode[mode] ?? `unknown (${mode})`).toLowerCase();
}

/** An agent as data. */
export function agentData(agent: admin.Agent): Data {
  const { agentId } = agent;
  return {
    key: agent.key,
    agent_id: agentId?.agentId ?? "",
    org_id: agentId?.orgId ?? "",
    team_id: agentId?.teamId ?? "",
    name: agent.name,
    framework: agent.framework,
    version: agent.version,
    status: agent.status,
    status_reason: agent.statusReason,
    risk_tier: riskTierFromWire(agent.riskTier) ?? null,
    governance_level: agent.governanceLevel,
    tool_names: agent.toolNames,
    metadata: agent.metadata,
    registered_at_unix_ms: agent.registeredAtUnixMs,
    last_heartbeat_unix_ms: agent.lastHeartbeatUnixMs,
    parent_key: agent.parentKey === "" ? null : agent.parentKey,
    root_key: agent.rootKey,
    depth: agent.depth,
    delegation_reason: agent.delegationReason,
    spawned_by_tool: agent.spawnedByTool,
    enforcement_mode: modeWord(agent.enforcementMode),
    enforcement_mode_expires_at_unix_ms: agent.enforcementModeExpiresAtUnixMs,
    children: agent.children,
    tenancy: agent.tenancy,
    enrolment_id: agent.enrolmentId === "" ? null : agent.enrolmentId,
    credential_live: agent.credentialLive,
    credential_expires_at_unix_ms: agent.credentialExpiresAtUnixMs,
  };
}
