/**
 * `assembly.admin.v1.SecretAdminService`: operators register secrets, carriers of calls redeem
 * one-call credentials and have outbound bytes scanned.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { contains, GATEWAY, type Target } from "../../core/iam/permits.ts";
import type { Permission } from "../../core/iam/table.ts";
import { viewsOf } from "../../core/secrets/forms.ts";
import { SECRET_LIMITS } from "../../core/secrets/limits.ts";
import { type CallContext, Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  DeleteSecretResponseSchema,
  type IssueForActionRequest,
  IssueForActionResponseSchema,
  ListSecretsResponseSchema,
  type RedeemForActionRequest,
  RedeemForActionResponseSchema,
  RegisterSecretResponseSchema,
  RotateSecretsKeyResponseSchema,
  type ScanOutboundResponse,
  ScanOutboundResponseSchema,
  type SecretAdminService,
} from "../../proto/gen/assembly/admin/v1/secrets_pb.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { AuditLog } from "../audit/log.ts";
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters.ts";
import { clean } from "../engine/evidence.ts";
import type { OperationsPart } from "../engine/parts.ts";
import type { AuthenticatedOperator, Operators } from "../identity/operators.ts";
import type { Registry } from "../registry/registry.ts";
import type { OneCallCredentials } from "../secrets/one_call.ts";
import type { SecretTenant } from "../secrets/record.ts";
import type { Vault } from "../secrets/vault.ts";
import { findAgent } from "./admin_agents.ts";
import { requirePermission } from "./operator.ts";
import { secretStatus } from "./secrets.ts";

/** What the service needs. */
export interface SecretAdminDependencies {
  readonly vault: Vault;
  readonly one_call: OneCallCredentials;
  readonly operations: Pick<OperationsPart, "denial">;
  readonly audit: Pick<AuditLog, "list">;
  readonly registry: Registry;
  readonly operators: Operators;
  readonly counters: Counters;
  readonly clock: Clock;
}

/** Handlers of the whole service. */
export function secretAdminHandlers(
  on: SecretAdminDependencies,
): ServiceHandlers<typeof SecretAdminService> {
  const { vault, one_call } = on;
  const allowed = (context: CallContext, permission: Permission, target?: Target) =>
    requirePermission(context, on.operators, on.counters, permission, target);
  return {
    registerSecret: async ({ value, ...request }, context) => {
      const tenant = tenantIn(request);
      try {
        const operator = allowed(context, "secret.write", { kind: "tenant", ...tenant });
        const { name, tools, replace } = request;
        const asked = { ...tenant, name, tools, replace, actor: actorOf(operator) };
        const { version, scanned, audit_index: auditIndex } = await settled(
          vault.register(asked, value),
        );
        return create(RegisterSecretResponseSchema, { version, scanned, auditIndex });
      } finally {
        value.fill(0);
      }
    },
    listSecrets: (request, context) => {
      const tenant = tenantIn(request);
      const operator = allowed(
        context,
        "secret.read",
        request.allTenants ? undefined : { kind: "tenant", ...tenant },
      );
      const records = vault.list(request.allTenants ? undefined : tenant)
        .filter((record) => contains(operator, record));
      return create(ListSecretsResponseSchema, {
        ...vault.state,
        secrets: records.map((record) => ({
          orgId: record.org_id,
          teamId: record.team_id,
          name: record.name,
          version: record.version,
          tools: [...record.tools],
          scanned: record.scanned,
          createdAtUnixMs: BigInt(record.created_at_ms),
          createdBy: record.created_by,
          keyId: record.sealed.key_id,
        })),
      });
    },
    deleteSecret: async (request, context) => {
      const tenant = tenantIn(request);
      const operator = allowed(context, "secret.write", { kind: "tenant", ...tenant });
      const auditIndex = await settled(vault.delete(tenant, request.name, actorOf(operator)));
      return create(DeleteSecretResponseSchema, { auditIndex });
    },
    rotateKey: async (_request, context) => {
      const operator = allowed(context, "secret.write", GATEWAY);
      const { key_id: keyId, records } = await settled(vault.rotateKey(actorOf(operator)));
      return create(RotateSecretsKeyResponseSchema, { keyId, records });
    },
    issueForAction: async (request, context) => {
      const operator = allowed(context, "secret.use");
      const agent = findAgent(on.registry, request.agent);
      const { org_id, team_id } = agent;
      allowed(context, "secret.use", { kind: "tenant", org_id, team_id });
      return await issueForAction(on, operator, agent, request);
    },
    redeemForAction: async (request, context) => {
      const operator = allowed(context, "secret.use", GATEWAY);
      const agent = findAgent(on.registry, request.agent);
      return await redeemForAction(on, operator, agent, request);
    },
    scanOutbound: ({ outbound }, context) => {
      allowed(context, "secret.use", GATEWAY);
      if (outbound.length > SECRET_LIMITS.outbound_bytes) {
        throw invalid(
          `outbound: is ${outbound.length} bytes, at most ${SECRET_LIMITS.outbound_bytes} in one ` +
            "scan: send parts that overlap by the longest secret",
        );
      }
      return scanned(vault, one_call, outbound);
    },
  };
}

async function issueForAction(
  on: SecretAdminDependencies,
  operator: AuthenticatedOperator,
  agent: AgentRecord,
  request: IssueForActionRequest,
) {
  const { tool, names, auditIndex, actionDigest } = request;
  if (names.length === 0 || names.length > SECRET_LIMITS.one_call_names) {
    throw invalid(`names: expected 1 to ${SECRET_LIMITS.one_call_names} names of secrets`);
  }
  if (actionDigest.length > 256) throw invalid("action_digest: expected at most 256 characters");
  requireActive(on, agent);
  await requireAllowedDecision(on, agent, tool, auditIndex);
  const scope = {
    ...{ org_id: agent.org_id, team_id: agent.team_id, agent_key: agent.key, tool },
    ...{ names: [...new Set(names)], audit_index: auditIndex, action_digest: actionDigest },
  };
  checked(() => on.vault.check(agent, tool, names));
  const { token, record, audit_index } = await settled(
    on.one_call.issue(scope, request.lifeMs, actorOf(operator)),
  );
  return create(IssueForActionResponseSchema, {
    credential: token,
    id: record.id,
    expiresAtUnixMs: BigInt(record.expires_at_ms),
    auditIndex: audit_index,
  });
}

async function redeemForAction(
  on: SecretAdminDependencies,
  operator: AuthenticatedOperator,
  agent: AgentRecord,
  request: RedeemForActionRequest,
) {
  requireActive(on, agent);
  const { tool, actionDigest: action_digest } = request;
  const call = { agent_key: agent.key, tool, action_digest };
  const record = await settled(on.one_call.redeem(request.credential, call, actorOf(operator)));
  // The transport owns the values from here on.
  const values = await settled(on.vault.values(record, tool, record.names));
  return create(RedeemForActionResponseSchema, { values: Object.fromEntries(values) });
}

/**
 * The entry of the log that allowed this agent this tool a moment ago.
 *
 * @throws {GrpcError} `FAILED_PRECONDITION` when the index names no such decision.
 */
async function requireAllowedDecision(
  on: SecretAdminDependencies,
  agent: AgentRecord,
  tool: string,
  index: bigint,
): Promise<void> {
  const { entries } = await on.audit.list({ before_seq: index + 1n, limit: 1 });
  const [entry] = entries;
  const age_ms = entry === undefined || entry.seq !== index
    ? undefined
    : ageOfAllow(entry.line, agent, tool, on.clock.now_ms());
  if (age_ms !== undefined && age_ms >= 0 && age_ms <= SECRET_LIMITS.one_call_decision_ms) return;
  throw new GrpcError(
    `audit_index: entry ${index} is no decision of the last ` +
      `${SECRET_LIMITS.one_call_decision_ms / 60_000} minutes that allowed this agent this tool`,
    Code.FAILED_PRECONDITION,
  );
}

/** How long ago the entry allowed the call; `undefined` when it did not. A shadowed allow is none. */
function ageOfAllow(
  line: string,
  agent: AgentRecord,
  tool: string,
  now_ms: number,
): number | undefined {
  const entry = JSON.parse(line);
  const payload = JSON.parse(entry.payload);
  const expected: Readonly<Record<string, unknown>> = {
    decision: 1,
    agent_identity_assurance: 3,
    agent_id_claimed: clean(agent.agent_id),
    org_id: clean(agent.org_id),
    team_id: clean(agent.team_id),
    resource: clean(tool),
  };
  const fits = Object.entries(expected).every(([key, value]) => (payload[key] ?? "") === value);
  if (!fits || "dry_run" in payload) return undefined;
  // Above 2^53 a number loses nanoseconds, which do not matter here.
  return now_ms - Number(entry.timestamp_ns) / 1e6;
}

function scanned(
  vault: Vault,
  one_call: OneCallCredentials,
  outbound: Uint8Array,
): ScanOutboundResponse {
  const { hits, complete } = checked(() => vault.scan(outbound));
  const latin1 = new TextDecoder("latin1");
  const credentials = new Set(
    [...viewsOf(outbound)].flatMap((view) => one_call.found(latin1.decode(view))),
  );
  const found = hits.length > 0 || credentials.size > 0;
  return create(ScanOutboundResponseSchema, {
    verdict: found ? "found" : complete ? "clean" : "incomplete",
    hits: [
      ...hits.map(({ label, form }) => ({
        orgId: label.org_id,
        teamId: label.team_id,
        name: label.name,
        version: label.version,
        form,
      })),
      ...[...credentials].map(({ org_id, team_id, id }) => ({
        orgId: org_id,
        teamId: team_id,
        name: `one-call credential ${id}`,
        version: 0,
        form: "raw",
      })),
    ],
  });
}

function requireActive(on: SecretAdminDependencies, agent: AgentRecord): void {
  const principal = on.registry.principalOf(agent, on.clock.now_ms());
  const reason = principal.status === "active"
    ? on.operations.denial(principal, "", "")
    : `agent ${principal.status}`;
  if (reason === undefined) return;
  throw new GrpcError(`no credential for this agent: ${reason}`, Code.FAILED_PRECONDITION);
}

function tenantIn(request: { readonly orgId: string; readonly teamId: string }): SecretTenant {
  const tenant = { org_id: request.orgId, team_id: request.teamId };
  for (const [field, text] of Object.entries(tenant)) {
    // deno-lint-ignore no-control-regex -- no tenant id has control characters
    if (text.length > 1_024 || /[\x00-\x1f\x7f]/.test(text)) {
      throw invalid(`${field}: expected at most 1024 characters, none of them a control character`);
    }
  }
  return tenant;
}

function actorOf(operator: AuthenticatedOperator): string {
  return `operator:${operator.name}`;
}

async function settled<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw secretStatus(error);
  }
}

function checked<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw secretStatus(error);
  }
}

function invalid(message: string): GrpcError {
  return new GrpcError(message, Code.INVALID_ARGUMENT);
}
