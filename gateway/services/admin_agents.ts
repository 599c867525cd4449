/**
 * Agents as operators see and change them.
 *
 * @module
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { AgentStatus } from "../../core/principal.ts";
import { Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  type AdminService,
  type AgentSchema,
  ChangeAgentStatusResponseSchema,
  GetAgentResponseSchema,
  ListAgentsResponseSchema,
  SetEnforcementModeResponseSchema,
} from "../../proto/gen/assembly/admin/v1/admin_pb.ts";
import { EnforcementMode } from "../../proto/gen/assembly/common/v1/common_pb.ts";
import { riskTierToWire } from "../../proto/mapping.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import { isBound } from "../../core/iam/permits.ts";
import { hash16Hex } from "../identity/keys.ts";
import type { AuthenticatedOperator } from "../identity/operators.ts";
import { effectiveEnforcement, validateEnforcementChange } from "../registry/enforcement.ts";
import { tokenExpired } from "../registry/identity_circuit.ts";
import { RegistryError, type RegistryFailure } from "../registry/failure.ts";
import type { ChangeResult, Registry } from "../registry/registry.ts";
import { type AdminDependencies, type Authorise, invalid } from "./admin.ts";

type AgentHandlers = Pick<
  ServiceHandlers<typeof AdminService>,
  "listAgents" | "getAgent" | "suspendAgent" | "resumeAgent" | "setEnforcementMode"
>;

const STATUSES: readonly AgentStatus[] = ["active", "suspended", "deregistered", "stale"];
const MODES: Readonly<Record<number, "enforce" | "observe" | "disabled">> = {
  [EnforcementMode.ENFORCE]: "enforce",
  [EnforcementMode.OBSERVE]: "observe",
  [EnforcementMode.DISABLED]: "disabled",
};
const RECENT_ENTRIES = 20;

/** Handlers that list, show and change agents. */
export function agentAdministration(on: AdminDependencies, authorise: Authorise): AgentHandlers {
  const { registry } = on;
  const shown = (record: AgentRecord) => agentMessage(registry, record, on.clock.now_ms());
  return {
    listAgents: (request, context) => {
      const operator = authorise(context, "agent.read");
      const status = STATUSES.find((word) => word === request.status);
      if (request.status !== "" && status === undefined) {
        throw invalid(
          `status: cannot be \`${request.status.slice(0, 32)}\`: expected ${STATUSES.join(", ")}`,
        );
      }
      const filter = {
        ...(status === undefined ? {} : { status }),
        ...(request.framework === "" ? {} : { framework: request.framework }),
        ...tenantFilter(operator),
      };
      const page = registry.list(filter, request.pageSize, request.pageToken);
      return create(ListAgentsResponseSchema, {
        agents: page.agents.map(shown),
        nextPageToken: page.next_page_token ?? "",
      });
    },
    getAgent: async (request, context) => {
      const operator = authorise(context, "agent.read");
      const agent = findAgent(registry, request.agent);
      authorise.owns(operator, "agent.read", agent);
      const { entries } = await on.audit.list({
        agent_id_hex: hash16Hex(agent.agent_id),
        limit: RECENT_ENTRIES,
      });
      return create(GetAgentResponseSchema, {
        agent: shown(agent),
        recent: entries.map((entry) => ({ seq: entry.seq, json: entry.line })),
      });
    },
    suspendAgent: async (request, context) => {
      const operator = authorise(context, "agent.control");
      const reason = requireReason(request.reason);
      const agent = findAgent(registry, request.agent);
      authorise.owns(operator, "agent.control", agent);
      const { key } = agent;
      const actor = actorOf(operator);
      return changed(on, await applied(registry.suspend(key, reason, { actor })));
    },
    resumeAgent: async (request, context) => {
      const operator = authorise(context, "agent.control");
      const reason = requireReason(request.reason);
      const agent = findAgent(registry, request.agent);
      authorise.owns(operator, "agent.control", agent);
      const { key } = agent;
      return changed(on, await applied(registry.resume(key, reason, actorOf(operator))));
    },
    setEnforcementMode: async (request, context) => {
      const needed = request.mode === EnforcementMode.OBSERVE ? "agent.weaken" : "agent.strengthen";
      const operator = authorise(context, needed);
      const agent = findAgent(registry, request.agent);
      const family = request.cascade ? registry.familyOf(agent.key) : [agent];
      for (const { org_id, team_id } of [agent, ...family]) {
        authorise.owns(operator, needed, { org_id, team_id });
      }
      const affected = family.map(({ key }) => key);
      const check = validateEnforcementChange({
        mode: MODES[request.mode] ?? "unspecified",
        reason: request.reason,
        expires_at_ms: Number(request.expiresAtUnixMs),
        scope: operator.scope,
        cascade: request.cascade,
        affected,
        expected: request.expectedAgents,
        now_ms: on.clock.now_ms(),
      });
      if (!check.ok) throw enforcementFailure(check.problem.code, check.problem.message);
      const result = await applied(
        registry.setEnforcementMode(
          check.agents,
          check.enforcement,
          request.reason,
          actorOf(operator),
        ),
      );
      return create(SetEnforcementModeResponseSchema, {
        agents: [result.agent, ...result.also].map(shown),
        auditIndex: result.audit_index ?? 0n,
      });
    },
  };
}

/**
 * The agent an operator named by registry key or by its own id.
 *
 * @throws {GrpcError} `NOT_FOUND`, or `FAILED_PRECONDITION` listing the keys when several share the id.
 */
export function findAgent(registry: Registry, name: string): AgentRecord {
  const found = registry.find(name);
  switch (found.outcome) {
    case "found":
      return found.agent;
    case "unknown":
      throw new GrpcError(
        `agent: no agent \`${name.slice(0, 128)}\`: list them with \`aasm agent list\``,
        Code.NOT_FOUND,
      );
    case "ambiguous":
      throw new GrpcError(
        `agent: \`${name.slice(0, 128)}\` names several agents; use a registry key: ${
          found.keys.slice(0, 10).join(", ")
        }`,
        Code.FAILED_PRECONDITION,
      );
  }
}

/** Who is bound to a tenant lists only what lies in it. */
function tenantFilter(operator: AuthenticatedOperator): { org_id?: string; team_id?: string } {
  if (!isBound(operator)) return {};
  const { org_id = "", team_id } = operator;
  return { org_id, ...(team_id === undefined ? {} : { team_id }) };
}

function requireReason(reason: string): string {
  if (reason.trim() === "") throw invalid("reason: is missing: say why");
  return reason;
}

function actorOf(operator: AuthenticatedOperator): { kind: "operator"; name: string } {
  return { kind: "operator", name: operator.name };
}

function changed(on: AdminDependencies, result: ChangeResult) {
  return create(ChangeAgentStatusResponseSchema, {
    agent: agentMessage(on.registry, result.agent, on.clock.now_ms()),
    previousStatus: result.previous_status,
    auditIndex: result.audit_index ?? 0n,
  });
}

const REGISTRY_CODES: Readonly<Partial<Record<RegistryFailure, Code>>> = {
  not_found: Code.NOT_FOUND,
  wrong_status: Code.FAILED_PRECONDITION,
  busy: Code.ABORTED,
  limit_reached: Code.RESOURCE_EXHAUSTED,
  invalid_field: Code.INVALID_ARGUMENT,
  audit_unavailable: Code.UNAVAILABLE,
  storage_failed: Code.UNAVAILABLE,
};

async function applied(change: Promise<ChangeResult>): Promise<ChangeResult> {
  try {
    return await change;
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    const code = REGISTRY_CODES[error.code] ?? Code.INTERNAL;
    throw new GrpcError(error.message, code, { cause: error });
  }
}

/** HTTP 403, 409 and 422 of the contract as gRPC codes. */
function enforcementFailure(code: string, message: string): GrpcError {
  if (code === "permission_denied") return new GrpcError(message, Code.PERMISSION_DENIED);
  if (code === "cascade_preview_mismatch") return new GrpcError(message, Code.ABORTED);
  return invalid(message);
}

/** One agent as operators see it. */
export function agentMessage(
  registry: Registry,
  record: AgentRecord,
  now_ms: number,
): MessageInitShape<typeof AgentSchema> {
  const { state } = record;
  const enforcement = effectiveEnforcement(record.enforcement, now_ms);
  const observing = enforcement.mode === "observe";
  return {
    key: record.key,
    agentId: { orgId: record.org_id, teamId: record.team_id, agentId: record.agent_id },
    name: record.name,
    framework: record.framework,
    version: record.version,
    status: registry.statusOf(record),
    statusReason: state.status === "active" ? "" : state.reason,
    riskTier: riskTierToWire(record.risk_tier),
    governanceLevel: record.governance_level,
    toolNames: [...record.tool_names],
    metadata: { ...record.metadata },
    registeredAtUnixMs: BigInt(record.registered_at_ms),
    lastHeartbeatUnixMs: BigInt(record.last_heartbeat_ms ?? 0),
    parentKey: record.parent_key ?? "",
    rootKey: record.root_key,
    depth: record.depth,
    delegationReason: record.delegation_reason ?? "",
    spawnedByTool: record.spawned_by_tool ?? "",
    enforcementMode: observing ? EnforcementMode.OBSERVE : EnforcementMode.ENFORCE,
    enforcementModeExpiresAtUnixMs: observing ? BigInt(enforcement.expires_at_ms) : 0n,
    children: registry.childCount(record.key),
    tenancy: record.tenancy,
    enrolmentId: record.enrolment_id ?? "",
    credentialLive: record.token_hash !== undefined && !tokenExpired(record, now_ms),
    credentialExpiresAtUnixMs: BigInt(record.token_expires_at_ms ?? 0),
  };
}
