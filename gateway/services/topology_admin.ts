/**
 * `assembly.admin.v1.TopologyAdminService`: lineage and relations as operators see them. Not part of
 * the reference. Every answer holds what lies in the operator's own tenant.
 *
 * @module
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { permits } from "../../core/iam/permits.ts";
import { findCycles } from "../../core/topology/cycles.ts";
import {
  crossesTeams,
  type EdgeEnd,
  type EdgeKind,
  isEdgeKind,
  type TopologyEdge,
} from "../../core/topology/edge.ts";
import type { Branch } from "../../core/topology/tree.ts";
import { type CallContext, Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  CrossTeamResponseSchema,
  CyclesResponseSchema,
  DeclareEdgeResponseSchema,
  type GetTopologyRequest,
  GetTopologyResponseSchema,
  ListEdgesResponseSchema,
  type TeamPairSchema,
  type TopologyAdminService,
  type TopologyEdgeSchema,
  type TopologyNodeSchema,
} from "../../proto/gen/assembly/admin/v1/topology_pb.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters.ts";
import type { AuthenticatedOperator, Operators } from "../identity/operators.ts";
import type { Registry } from "../registry/registry.ts";
import type { EdgeLog } from "../topology/edge_log.ts";
import { TOPOLOGY_LIMITS } from "../topology/limits.ts";
import { findAgent } from "./admin_agents.ts";
import { assertPermitted, requirePermission } from "./operator.ts";
import { ancestorsOf, invalidKind, reported, tooMany, treeOf } from "./topology.ts";

/** What the service needs. */
export interface TopologyAdminDependencies {
  readonly registry: Registry;
  readonly edges: EdgeLog;
  readonly operators: Operators;
  readonly counters: Counters;
  readonly clock: Clock;
}

/** Handlers of the whole service. */
export function topologyAdminHandlers(
  on: TopologyAdminDependencies,
): ServiceHandlers<typeof TopologyAdminService> {
  const reader = (context: CallContext) =>
    requirePermission(context, on.operators, on.counters, "topology.read");
  return {
    getTopology: (request, context) => {
      const nodes = selected(on, reader(context), request);
      if (nodes.length > TOPOLOGY_LIMITS.nodes) throw tooMany();
      return create(GetTopologyResponseSchema, {
        nodes: nodes.map((record) => nodeMessage(on, record)),
      });
    },
    listEdges: ({ agent, direction, kind, beforeId, limit }, context) => {
      const operator = reader(context);
      const size = pageSize(limit);
      const found = on.edges.list({
        ...(agent === "" ? {} : { agent: owned(on, operator, agent).key }),
        direction: directionOf(direction),
        ...(kind === "" ? {} : { kind: kindOf("kind", kind) }),
        ...(beforeId === 0n ? {} : { before_id: Number(beforeId) }),
        visible: visibleTo(operator),
      }, size + 1);
      const edges = found.slice(0, size);
      return create(ListEdgesResponseSchema, {
        edges: edges.map(edgeMessage),
        nextBeforeId: found.length > size ? BigInt(edges.at(-1)?.id ?? 0) : 0n,
      });
    },
    cycles: ({ kinds }, context) => {
      const operator = reader(context);
      const wanted = new Set(kinds.map((kind) => kindOf("kinds", kind)));
      const visible = visibleTo(operator);
      const edges = on.edges.all().filter((edge) =>
        visible(edge) && (wanted.size === 0 || wanted.has(edge.kind))
      );
      const { cycles, more } = findCycles(edges, TOPOLOGY_LIMITS.cycles);
      return create(CyclesResponseSchema, {
        cycles: cycles.map(({ members, kinds, example }) => ({
          // A ring through everybody is as long as everybody: its first members stand for it.
          memberKeys: members.slice(0, TOPOLOGY_LIMITS.list_edges),
          kinds: [...kinds],
          example: example.slice(0, TOPOLOGY_LIMITS.list_edges).map(edgeMessage),
        })),
        more,
      });
    },
    crossTeam: ({ limit }, context) => {
      const visible = visibleTo(reader(context));
      const edges = on.edges.list({ cross_team: true, visible }, pageSize(limit));
      const all = on.edges.all().filter((edge) => crossesTeams(edge) && visible(edge));
      return create(CrossTeamResponseSchema, {
        edges: edges.map(edgeMessage),
        pairs: teamPairs(all),
      });
    },
    declareEdge: async ({ source, target, kind, metadataJson }, context) => {
      const operator = requirePermission(context, on.operators, on.counters, "topology.write");
      const ends = [source, target].map((name) => owned(on, operator, name, "topology.write"));
      const [from, to] = ends;
      if (from === undefined || to === undefined) throw invalid("source: is missing");
      const { edge, audit_index } = await reported(on.edges.report({
        source: from,
        target: to,
        kind: kindOf("kind", kind),
        metadata: metadataJson,
        by: { kind: "operator", name: operator.name },
      }));
      return create(DeclareEdgeResponseSchema, {
        edge: edgeMessage(edge),
        auditIndex: audit_index,
      });
    },
  };
}

/** The agents asked for, parents before children. */
function selected(
  on: TopologyAdminDependencies,
  operator: AuthenticatedOperator,
  request: GetTopologyRequest,
): AgentRecord[] {
  const { agent, ancestorsOf: below, teamId: team_id, orgId: org_id, maxDepth } = request;
  const named = [agent, below, team_id].filter((word) => word !== "");
  if (named.length > 1) throw invalid("agent: give one of agent, ancestors_of and team_id");
  if (agent !== "") {
    return flattened(treeOf(on.registry, owned(on, operator, agent), maxDepth));
  }
  if (below !== "") {
    const last = owned(on, operator, below);
    return [...ancestorsOf(on.registry, last), last];
  }
  const fits = (record: AgentRecord) =>
    (org_id === "" || record.org_id === org_id) &&
    (team_id === "" || record.team_id === team_id) &&
    permits(operator, "topology.read", tenant(record)).ok;
  const found = on.registry.registeredAgents().filter(fits);
  return found.toSorted((a, b) => a.depth - b.depth || (a.key < b.key ? -1 : 1));
}

function flattened(root: Branch<AgentRecord>): AgentRecord[] {
  const open = [root];
  for (const { children } of open) open.push(...children);
  return open.map(({ node }) => node);
}

/** An agent that the operator named and may see. */
function owned(
  on: TopologyAdminDependencies,
  operator: AuthenticatedOperator,
  name: string,
  permission: "topology.read" | "topology.write" = "topology.read",
): AgentRecord {
  const record = findAgent(on.registry, name);
  assertPermitted(operator, on.counters, permission, tenant(record));
  return record;
}

function tenant({ org_id, team_id }: { readonly org_id: string; readonly team_id: string }) {
  return { kind: "tenant", org_id, team_id } as const;
}

/** A relation is shown to those who may see one of its ends. */
function visibleTo(operator: AuthenticatedOperator): (edge: TopologyEdge) => boolean {
  const sees = (end: EdgeEnd) => permits(operator, "topology.read", tenant(end)).ok;
  return ({ source, target }) => sees(source) || sees(target);
}

function teamPairs(edges: readonly TopologyEdge[]): MessageInitShape<typeof TeamPairSchema>[] {
  const counted = Map.groupBy(
    edges,
    ({ source, target }) =>
      JSON.stringify([source.org_id, source.team_id, target.org_id, target.team_id]),
  );
  return [...counted.values()]
    .toSorted((a, b) => b.length - a.length)
    .slice(0, TOPOLOGY_LIMITS.team_pairs)
    .flatMap((group) => {
      const [first] = group;
      if (first === undefined) return [];
      const { source, target } = first;
      return [{
        sourceOrgId: source.org_id,
        sourceTeamId: source.team_id,
        targetOrgId: target.org_id,
        targetTeamId: target.team_id,
        edges: group.length,
      }];
    });
}

function nodeMessage(
  { registry, clock }: TopologyAdminDependencies,
  record: AgentRecord,
): MessageInitShape<typeof TopologyNodeSchema> {
  const now_ms = clock.now_ms();
  return {
    key: record.key,
    orgId: record.org_id,
    teamId: record.team_id,
    agentId: record.agent_id,
    name: record.name,
    depth: record.depth,
    status: registry.statusOf(record),
    parentKey: record.orphaned ? "" : record.parent_key ?? "",
    rootKey: record.root_key,
    delegationReason: record.delegation_reason ?? "",
    spawnedByTool: record.spawned_by_tool ?? "",
    orphaned: record.orphaned,
    mode: registry.observes(record, now_ms) ? "observe" : "enforce",
  };
}

function edgeMessage(edge: TopologyEdge): MessageInitShape<typeof TopologyEdgeSchema> {
  return {
    id: BigInt(edge.id),
    sourceKey: edge.source.key,
    sourceOrgId: edge.source.org_id,
    sourceTeamId: edge.source.team_id,
    targetKey: edge.target.key,
    targetOrgId: edge.target.org_id,
    targetTeamId: edge.target.team_id,
    kind: edge.kind,
    metadataJson: edge.metadata ?? "",
    reportedBy: edge.reported_by,
    createdAtUnixMs: BigInt(edge.created_at_ms),
    crossTeam: crossesTeams(edge),
  };
}

// Words of the wire.

function pageSize(limit: number): number {
  if (limit === 0) return TOPOLOGY_LIMITS.list_default_edges;
  return Math.min(limit, TOPOLOGY_LIMITS.list_edges);
}

function directionOf(word: string): "outgoing" | "incoming" | "both" {
  if (word === "") return "outgoing";
  if (word === "outgoing" || word === "incoming" || word === "both") return word;
  throw invalid(
    `direction: cannot be \`${word.slice(0, 32)}\`: expected outgoing, incoming or both`,
  );
}

function kindOf(field: string, word: string): EdgeKind {
  if (isEdgeKind(word)) return word;
  throw invalidKind(field, word);
}

function invalid(message: string): GrpcError {
  return new GrpcError(message, Code.INVALID_ARGUMENT);
}
