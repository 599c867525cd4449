/**
 * `aasm topology tree | lineage | team | edges | cycles`.
 *
 * @module
 */
import { type Branch, treeBelow } from "../../core/topology/tree.ts";
import { admin_topology } from "../../proto/mod.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { CommandError, ExitCode } from "../exit_code.ts";
import { type GatewayConnection, withGateway } from "../gateway_connection.ts";
import { painter, toneOf } from "../render/color.ts";
import { utcText } from "../render/moment.ts";
import { printable } from "../render/printable.ts";
import { type Data, writeReport } from "../render/report.ts";
import { table } from "../render/table.ts";
import type { Session } from "../session.ts";
import type { Terminal } from "../terminal.ts";

type Node = admin_topology.TopologyNode;
type AgentsCommand = CommandNamed<"topology tree" | "topology lineage" | "topology team">;

/** `topology tree | lineage | team`: the same agents, drawn or listed. */
export async function showAgents(command: AgentsCommand, session: Session): Promise<ExitCode> {
  const { nodes } = await withGateway(session, (gateway) => agentsOf(gateway, command));
  const drawn = command.command === "topology tree" || command.command === "topology lineage";
  writeReport(
    {
      data: nodes.map(nodeData),
      table: (terminal) => drawn ? drawing(nodes, terminal) : nodeTable(nodes, terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

async function agentsOf(
  gateway: GatewayConnection,
  command: AgentsCommand,
): Promise<admin_topology.GetTopologyResponse> {
  const client = gateway.client(admin_topology.TopologyAdminService);
  const options = await gateway.operator();
  switch (command.command) {
    case "topology tree": {
      const { agent = "", max_depth } = command;
      const answer = await client.getTopology({ agent, maxDepth: max_depth }, options);
      // Without an agent the gateway gives everybody; generations are counted from each root.
      if (agent === "" && max_depth > 0) {
        answer.nodes = answer.nodes.filter(({ depth }) => depth <= max_depth);
      }
      return answer;
    }
    case "topology lineage":
      return await client.getTopology({ ancestorsOf: command.agent }, options);
    case "topology team":
      return await client.getTopology({ teamId: command.team, orgId: command.org ?? "" }, options);
  }
}

/** Trees with their branches drawn; a node whose parent is not shown starts one. */
function drawing(nodes: readonly Node[], terminal: Terminal): string {
  const shown = new Set(nodes.map(({ key }) => key));
  const children = Map.groupBy(nodes, ({ parentKey }) => shown.has(parentKey) ? parentKey : "");
  const bounds = { max_depth: 0, nodes_max: nodes.length };
  const lines: string[] = [];
  for (const root of children.get("") ?? []) {
    const tree = treeBelow(root, ({ key }) => key, ({ key }) => children.get(key) ?? [], bounds);
    if (!tree.ok) throw contradiction();
    draw(tree.root, "", "", lines, terminal);
  }
  // A node that no tree reaches is in a circle.
  if (lines.length !== nodes.length) throw contradiction();
  return lines.map((line) => `${line}\n`).join("");
}

function contradiction(): CommandError {
  return new CommandError("the gateway sent a lineage that goes in a circle");
}

/** A lineage has at most ten generations, and `treeBelow` has seen that there is no loop. */
function draw(
  { node, children }: Branch<Node>,
  indent: string,
  branch: string,
  lines: string[],
  terminal: Terminal,
): void {
  lines.push(`${indent}${branch}${nodeLine(node, terminal)}`);
  const below = branch === "" ? "" : indent + (branch === "└─ " ? "   " : "│  ");
  for (const [at, child] of children.entries()) {
    draw(child, below, at === children.length - 1 ? "└─ " : "├─ ", lines, terminal);
  }
}

function nodeLine(node: Node, terminal: Terminal): string {
  const paint = painter(terminal.colors);
  const notes = [node.name, tenantText(node.orgId, node.teamId)]
    .filter((text) => text !== "").map(printable).join(", ");
  const spawned = node.delegationReason === "" ? "" : `: ${printable(node.delegationReason)}`;
  const status = paint(toneOf(node.status), printable(node.status));
  return `${printable(node.agentId)} [${status}] ${paint("quiet", notes + spawned)}`.trimEnd();
}

function tenantText(org: string, team: string): string {
  return org === "" && team === "" ? "" : `${org}/${team}`;
}

function nodeTable(nodes: readonly Node[], terminal: Terminal): string {
  return table(
    [
      { title: "AGENT" },
      { title: "NAME" },
      { title: "ORG" },
      { title: "TEAM" },
      { title: "STATUS", toned: true },
      { title: "DEPTH", align: "right" },
      { title: "MODE" },
      { title: "KEY" },
    ],
    nodes.map((node) => [
      node.agentId,
      node.name,
      node.orgId,
      node.teamId,
      node.status,
      String(node.depth),
      node.mode,
      node.key,
    ]),
    terminal,
  );
}

function nodeData(node: Node): Data {
  return {
    key: node.key,
    agent_id: node.agentId,
    org_id: node.orgId,
    team_id: node.teamId,
    name: node.name,
    depth: node.depth,
    status: node.status,
    mode: node.mode,
    parent_key: node.parentKey === "" ? null : node.parentKey,
    root_key: node.rootKey,
    orphaned: node.orphaned,
    delegation_reason: node.delegationReason,
    spawned_by_tool: node.spawnedByTool,
  };
}

/** `topology edges`. */
export async function listEdges(
  command: CommandNamed<"topology edges">,
  session: Session,
): Promise<ExitCode> {
  const { agent = "", direction, kind = "", cross_team, limit } = command;
  if (cross_team && (agent !== "" || kind !== "")) {
    throw new CommandError(
      "--cross-team lists every edge between teams and takes neither --agent nor --kind",
      ExitCode.USAGE,
    );
  }
  const edges = await withGateway(session, async (gateway) => {
    const client = gateway.client(admin_topology.TopologyAdminService);
    const options = await gateway.operator();
    const answer = cross_team
      ? await client.crossTeam({ limit }, options)
      : await client.listEdges({ agent, direction, kind, limit }, options);
    return answer.edges;
  });
  writeReport(
    { data: edges.map(edgeData), table: (terminal) => edgeTable(edges, terminal) },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

function edgeTable(edges: readonly admin_topology.TopologyEdge[], terminal: Terminal): string {
  return table(
    [
      { title: "ID", align: "right" },
      { title: "TIME" },
      { title: "SOURCE" },
      { title: "KIND" },
      { title: "TARGET" },
      { title: "TEAMS" },
      { title: "REPORTED BY" },
    ],
    edges.map((edge) => [
      String(edge.id),
      utcText(edge.createdAtUnixMs),
      edge.sourceKey,
      edge.kind,
      edge.targetKey,
      edge.crossTeam
        ? `${tenantText(edge.sourceOrgId, edge.sourceTeamId)} → ${
          tenantText(edge.targetOrgId, edge.targetTeamId)
        }`
        : tenantText(edge.sourceOrgId, edge.sourceTeamId),
      edge.reportedBy,
    ]),
    terminal,
  );
}

function edgeData(edge: admin_topology.TopologyEdge): Data {
  return {
    id: edge.id,
    source_key: edge.sourceKey,
    source_org_id: edge.sourceOrgId,
    source_team_id: edge.sourceTeamId,
    target_key: edge.targetKey,
    target_org_id: edge.targetOrgId,
    target_team_id: edge.targetTeamId,
    kind: edge.kind,
    metadata_json: edge.metadataJson === "" ? null : edge.metadataJson,
    reported_by: edge.reportedBy,
    created_at_unix_ms: edge.createdAtUnixMs,
    cross_team: edge.crossTeam,
  };
}

/** `topology cycles`. */
export async function listCycles(
  command: CommandNamed<"topology cycles">,
  session: Session,
): Promise<ExitCode> {
  const { cycles, more } = await withGateway(
    session,
    async (gateway) =>
      await gateway.client(admin_topology.TopologyAdminService)
        .cycles({ kinds: [...command.kinds] }, await gateway.operator()),
  );
  writeReport(
    {
      data: {
        cycles: cycles.map(({ memberKeys, kinds, example }) => ({
          member_keys: memberKeys,
          kinds,
          example: example.map(edgeData),
        })),
        more,
      },
      table: (terminal) =>
        table(
          [{ title: "AGENTS", align: "right" }, { title: "KINDS" }, { title: "ONE WAY ROUND" }],
          cycles.map(({ memberKeys, kinds, example }) => [
            String(memberKeys.length),
            kinds.join(", "),
            example.map((edge) => `${edge.sourceKey} ${edge.kind}`).concat(
              example.at(-1)?.targetKey ?? "",
            ).join(" → "),
          ]),
          terminal,
        ),
    },
    session.flags.output,
    session.terminal,
  );
  if (more > 0) session.terminal.err(`note: ${more} more cycles are not listed\n`);
  return ExitCode.OK;
}
