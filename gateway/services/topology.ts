/**
 * `assembly.topology.v1.TopologyService`: what an agent may see of those around it, and the
 * relations it reports (contract `wire` §1.6, §2.7). Ids are registry keys.
 *
 * @module
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { isEdgeKind } from "../../core/topology/edge.ts";
import { type Branch, lineageOf, treeBelow } from "../../core/topology/tree.ts";
import { type CallContext, Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  GetAgentTreeResponseSchema,
  GetLineageResponseSchema,
  GetTeamMembersResponseSchema,
  ReportEdgeResponseSchema,
  type TopologyAgentSchema,
  type TopologyService,
  type TreeNodeSchema,
} from "../../proto/gen/assembly/topology/v1/topology_pb.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import { AuditUnavailableError } from "../audit/errors.ts";
import type { Counters } from "../counters.ts";
import { REGISTRY_LIMITS } from "../registry/limits.ts";
import type { Registry } from "../registry/registry.ts";
import { EdgeError, type EdgeFailure, type EdgeLog } from "../topology/edge_log.ts";
import { TOPOLOGY_LIMITS } from "../topology/limits.ts";
import { requireAgent } from "./caller.ts";

/** What the service needs. */
export interface TopologyDependencies {
  readonly registry: Registry;
  readonly edges: EdgeLog;
  readonly counters: Counters;
}

/** Handlers of the whole service; every call needs a registered agent's token. */
export function topologyHandlers(
  on: TopologyDependencies,
): ServiceHandlers<typeof TopologyService> {
  const { registry } = on;
  const caller = (context: CallContext) => requireAgent(context, registry, on.counters);
  return {
    getAgentTree: ({ agentId, maxDepth }, context) => {
      const root = visible(registry, caller(context), "agent_id", agentId);
      if (root.depth !== 0) {
        throw new GrpcError(
          "agent_id: is not a root: ask for the tree of its root",
          Code.FAILED_PRECONDITION,
        );
      }
      const tree = treeOf(registry, root, maxDepth);
      return create(GetAgentTreeResponseSchema, { root: treeMessage(tree) });
    },
    getLineage: ({ agentId }, context) => {
      const agent = visible(registry, caller(context), "agent_id", agentId);
      const ancestors = ancestorsOf(registry, agent);
      return create(GetLineageResponseSchema, { ancestors: ancestors.map(agentMessage) });
    },
    getTeamMembers: ({ teamId }, context) => {
      const asking = caller(context);
      if (teamId === "") throw invalid("team_id: is empty");
      const members = teamOf(registry, asking, teamId);
      return create(GetTeamMembersResponseSchema, { members: members.map(agentMessage) });
    },
    reportEdge: async (request, context) => {
      const agent = caller(context);
      const source = visible(registry, agent, "source_agent_id", request.sourceAgentId);
      const target = visible(registry, agent, "target_agent_id", request.targetAgentId);
      const { edgeType: kind, metadataJson: metadata } = request;
      if (!isEdgeKind(kind)) throw invalidKind("edge_type", kind);
      const by = { kind: "agent", agent } as const;
      const { edge } = await reported(on.edges.report({ source, target, kind, metadata, by }));
      return create(ReportEdgeResponseSchema, { id: BigInt(edge.id) });
    },
  };
}

/**
 * An agent of the caller's own tenant, by registry key. An agent without organisation and team and
 * one with them never see each other.
 *
 * @throws {GrpcError} `INVALID_ARGUMENT`, `NOT_FOUND`, `PERMISSION_DENIED`.
 */
function visible(
  registry: Registry,
  caller: AgentRecord,
  field: string,
  key: string,
): AgentRecord {
  if (!/^[0-9a-fA-F]{32}$/.test(key)) {
    throw invalid(`${field}: is not 32 hex characters: send a registry key`);
  }
  const agent = registry.byKey(key.toLowerCase());
  if (agent === undefined) {
    throw new GrpcError(`${field}: no agent has the key \`${key}\``, Code.NOT_FOUND);
  }
  if (agent.org_id === caller.org_id && agent.team_id === caller.team_id) return agent;
  throw foreign(field);
}

function teamOf(registry: Registry, caller: AgentRecord, team_id: string): AgentRecord[] {
  const { org_id } = caller;
  if (team_id === caller.team_id) return bounded(registry.teamMembers({ org_id, team_id }));
  if (registry.hasTeam(team_id)) throw foreign("team_id");
  throw new GrpcError(
    `team_id: no agent of team \`${team_id.slice(0, 64)}\` is registered`,
    Code.NOT_FOUND,
  );
}

function bounded(agents: readonly AgentRecord[]): AgentRecord[] {
  if (agents.length > TOPOLOGY_LIMITS.nodes) throw tooMany();
  return agents.toSorted((a, b) => a.key < b.key ? -1 : 1);
}

/** @throws {GrpcError} `RESOURCE_EXHAUSTED` when the tree is too large. */
export function treeOf(
  registry: Registry,
  root: AgentRecord,
  max_depth: number,
): Branch<AgentRecord> {
  const childrenOf = ({ key }: AgentRecord) =>
    registry.childrenOf(key).toSorted((a, b) => a.key < b.key ? -1 : 1);
  const bounds = { max_depth, nodes_max: TOPOLOGY_LIMITS.nodes };
  const tree = treeBelow(root, ({ key }) => key, childrenOf, bounds);
  if (tree.ok) return tree.root;
  if (tree.problem === "too_many_nodes") throw tooMany();
  throw new GrpcError("the lineage goes in a circle; restart the gateway", Code.INTERNAL);
}

/** The ancestors of an agent, the root first. */
export function ancestorsOf(registry: Registry, agent: AgentRecord): AgentRecord[] {
  const parentOf = ({ parent_key, orphaned }: AgentRecord) =>
    parent_key === undefined || orphaned ? undefined : registry.byKey(parent_key);
  return lineageOf(agent, parentOf, REGISTRY_LIMITS.lineage_depth);
}

/** A tree is at most as deep as a lineage, so that this ends soon. */
function treeMessage({ node, children }: Branch<AgentRecord>): MessageInitShape<
  typeof TreeNodeSchema
> {
  return { agent: agentMessage(node), children: children.map(treeMessage) };
}

function agentMessage(agent: AgentRecord): MessageInitShape<typeof TopologyAgentSchema> {
  return {
    id: agent.key,
    name: agent.name,
    depth: agent.depth,
    // The reference knows three words; that an agent is stale is shown to operators.
    status: agent.state.status,
    teamId: agent.team_id,
    delegationReason: agent.delegation_reason ?? "",
    spawnedByTool: agent.spawned_by_tool ?? "",
  };
}

const CODES: Readonly<Record<EdgeFailure, Code>> = {
  invalid_metadata: Code.INVALID_ARGUMENT,
  busy: Code.RESOURCE_EXHAUSTED,
  storage_failed: Code.INTERNAL,
};

/** A report, with its refusal as a status. */
export async function reported<T>(report: Promise<T>): Promise<T> {
  try {
    return await report;
  } catch (error) {
    if (error instanceof EdgeError) {
      throw new GrpcError(error.message, CODES[error.code], { cause: error });
    }
    if (error instanceof AuditUnavailableError) {
      throw new GrpcError(`edge not recorded: ${error.message}`, Code.UNAVAILABLE, {
        cause: error,
      });
    }
    throw error;
  }
}

/** The refusal of an unknown kind. */
export function invalidKind(field: string, kind: string): GrpcError {
  return invalid(
    `${field}: is \`${
      kind.slice(0, 32)
    }\`, expected delegates_to, calls, reads, writes, approves ` +
      "or messages",
  );
}

/** The refusal of an answer that would be too large. */
export function tooMany(): GrpcError {
  return new GrpcError(
    `more than ${TOPOLOGY_LIMITS.nodes} agents: narrow the question, e.g. by max_depth`,
    Code.RESOURCE_EXHAUSTED,
  );
}

function foreign(field: string): GrpcError {
  return new GrpcError(`${field}: belongs to another tenant`, Code.PERMISSION_DENIED);
}

function invalid(message: string): GrpcError {
  return new GrpcError(message, Code.INVALID_ARGUMENT);
}
