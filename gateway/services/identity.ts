/**
 * `assembly.admin.v1.IdentityService`: credentials of agents, enrolments, and what operators do to an
 * agent beyond suspending it. Not part of the reference.
 *
 * @module
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { permits } from "../../core/iam/permits.ts";
import type { Permission } from "../../core/iam/table.ts";
import type { GovernanceLevel, RiskTier } from "../../core/principal.ts";
import { type CallContext, Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  ChangeAgentResponseSchema,
  CreateEnrolmentResponseSchema,
  type EnrolmentSchema,
  type IdentityService,
  ListEnrolmentsResponseSchema,
  RevokeEnrolmentResponseSchema,
  type RotateAgentTokenRequest,
  type RotateAgentTokenResponse,
  RotateAgentTokenResponseSchema,
} from "../../proto/gen/assembly/admin/v1/identity_pb.ts";
import { riskTierFromWire, riskTierToWire } from "../../proto/mapping.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { Clock } from "../clock.ts";
import { ORPHAN_MODES } from "../config.ts";
import type { Counters } from "../counters.ts";
import { clean } from "../engine/evidence.ts";
import type { Challenges } from "../identity/challenges.ts";
import type { AuthenticatedOperator, Operators } from "../identity/operators.ts";
import {
  type Enrolment,
  type EnrolmentState,
  enrolmentState,
} from "../registry/enrolment_record.ts";
import { EnrolmentError, type Enrolments } from "../registry/enrolments.ts";
import { RegistryError } from "../registry/failure.ts";
import { REGISTRY_LIMITS } from "../registry/limits.ts";
import type { ChangeResult, Registry } from "../registry/registry.ts";
import { invalid } from "./admin.ts";
import { agentMessage, findAgent } from "./admin_agents.ts";
import { enrolmentStatus } from "./admission.ts";
import { presentedToken } from "./caller.ts";
import { publicKeyBytes, requirePossession, tripleOf } from "./key_proof.ts";
import { registryStatus } from "./lifecycle.ts";
import { assertPermitted, requirePermission } from "./operator.ts";

/** What the service needs. */
export interface IdentityDependencies {
  readonly registry: Registry;
  readonly enrolments: Enrolments;
  readonly challenges: Challenges;
  readonly operators: Operators;
  readonly counters: Counters;
  readonly clock: Clock;
}

type Handlers = ServiceHandlers<typeof IdentityService>;

/** Handlers of the whole service. */
export function identityHandlers(on: IdentityDependencies): Handlers {
  return {
    rotateAgentToken: (request, context) => rotateAgentToken(on, request, context),
    ...agentChanges(on),
    ...enrolmentHandlers(on),
  };
}

/** Operator and agent of one change, both checked; permission first, so that refusal tells nothing. */
function authorised(
  on: IdentityDependencies,
  context: CallContext,
  permission: Permission,
  name: string,
): { readonly actor: { kind: "operator"; name: string }; readonly record: AgentRecord } {
  const operator = requirePermission(context, on.operators, on.counters, permission);
  const record = findAgent(on.registry, name);
  const { org_id, team_id } = record;
  assertPermitted(operator, on.counters, permission, { kind: "tenant", org_id, team_id });
  return { actor: { kind: "operator", name: operator.name }, record };
}

function agentChanges(on: IdentityDependencies): Pick<
  Handlers,
  | "revokeAgentToken"
  | "killAgent"
  | "deregisterAgent"
  | "setGovernanceLevel"
  | "setRiskTier"
  | "reparentAgent"
> {
  const { registry } = on;
  const done = async (change: Promise<ChangeResult>) => changeMessage(on, await applied(change));
  return {
    revokeAgentToken: ({ agent, reason }, context) => {
      const { actor, record } = authorised(on, context, "agent.control", agent);
      return done(registry.revokeToken(record.key, required(reason), actor));
    },
    killAgent: ({ agent, reason, cascade }, context) => {
      const { actor, record } = authorised(on, context, "agent.control", agent);
      return done(registry.kill(record.key, required(reason), actor, cascade));
    },
    deregisterAgent: ({ agent, reason, orphanMode }, context) => {
      const { actor, record } = authorised(on, context, "agent.control", agent);
      const mode = orphanModeOf(orphanMode);
      return done(registry.deregister(record.key, required(reason), actor, mode));
    },
    setGovernanceLevel: ({ agent, level, reason }, context) => {
      const { actor, record } = authorised(on, context, "agent.weaken", agent);
      const wanted = governanceLevel(level);
      return done(registry.setGovernanceLevel(record.key, wanted, required(reason), actor));
    },
    setRiskTier: ({ agent, tier, reason }, context) => {
      const { actor, record } = authorised(on, context, "agent.weaken", agent);
      return done(registry.setRiskTier(record.key, riskTier(tier), required(reason), actor));
    },
    reparentAgent: ({ agent, parent, reason }, context) => {
      const { actor, record } = authorised(on, context, "agent.control", agent);
      const above = parent === "" ? undefined : parentKey(registry, record, parent);
      return done(registry.reparent(record.key, above, required(reason), actor));
    },
  };
}

/** A parent named by its own id is looked for in the agent's organisation and team. */
function parentKey(registry: Registry, { org_id, team_id }: AgentRecord, name: string): string {
  return registry.byTriple({ org_id, team_id, agent_id: name })?.key ?? name;
}

async function rotateAgentToken(
  on: IdentityDependencies,
  request: RotateAgentTokenRequest,
  context: CallContext,
): Promise<RotateAgentTokenResponse> {
  const { key, proof } = rotationProof(on, request, context);
  const change = await applied(on.registry.rotateToken(key, proof));
  return create(RotateAgentTokenResponseSchema, {
    credentialToken: change.credential_token,
    expiresAtUnixMs: BigInt(change.agent.token_expires_at_ms ?? 0),
    auditIndex: change.audit_index ?? 0n,
  });
}

/** An unknown agent and a wrong token look alike. */
function rotationProof(
  on: IdentityDependencies,
  request: RotateAgentTokenRequest,
  { metadata }: CallContext,
): { readonly key: string; readonly proof: { readonly token: string } | "key_proven" } {
  if (request.agentId === undefined) throw invalid("agent_id: is missing");
  const triple = tripleOf(request.agentId);
  const token = presentedToken(metadata);
  const by_key = request.possessionProof.length > 0 || request.registrationNonce.length > 0;
  const record = by_key ? on.registry.byTriple(triple) : on.registry.authenticate(triple, token);
  if (record === undefined) {
    on.counters.add(`grpc_auth_rejected.${!by_key && token === "" ? "missing" : "invalid"}`);
    throw new GrpcError(
      "unknown agent or wrong credential token: send the live token in metadata, or sign a " +
        "challenge with the agent's key",
      Code.UNAUTHENTICATED,
    );
  }
  if (!by_key) return { key: record.key, proof: { token } };
  const { public_key } = record;
  requirePossession(on, {
    agent_id: triple.agent_id,
    public_key,
    nonce: request.registrationNonce,
    proof: request.possessionProof,
    key: publicKeyBytes(public_key),
  });
  return { key: record.key, proof: "key_proven" };
}

function enrolmentHandlers(on: IdentityDependencies): Pick<
  Handlers,
  "createEnrolment" | "listEnrolments" | "revokeEnrolment"
> {
  const message = (enrolment: Enrolment) =>
    enrolmentMessage(enrolment, enrolmentState(enrolment, on.clock.now_ms()));
  const owns = (operator: AuthenticatedOperator, { org_id, team_id }: Enrolment) =>
    assertPermitted(operator, on.counters, "agent.enrol", { kind: "tenant", org_id, team_id });
  return {
    createEnrolment: async (request, context) => {
      const { orgId: org_id, teamId: team_id } = request;
      const target = { kind: "tenant", org_id, team_id } as const;
      const operator = requirePermission(
        context,
        on.operators,
        on.counters,
        "agent.enrol",
        target,
      );
      const made = await applied(on.enrolments.create({
        org_id,
        team_id,
        max_uses: request.maxUses === 0 ? 1 : request.maxUses,
        expires_at_ms: Number(request.expiresAtUnixMs),
        risk_tiers: [...new Set(request.riskTiers.map(riskTier))],
        spiffe: request.spiffe,
        operator: operator.name,
      }));
      return create(CreateEnrolmentResponseSchema, {
        token: made.token,
        enrolment: message(made.enrolment),
        auditIndex: made.audit_index,
      });
    },
    listEnrolments: ({ ended }, context) => {
      const operator = requirePermission(context, on.operators, on.counters, "agent.enrol");
      const shown = on.enrolments.list().filter(({ enrolment: { org_id, team_id }, state }) =>
        (ended || state === "live") &&
        permits(operator, "agent.enrol", { kind: "tenant", org_id, team_id }).ok
      );
      return create(ListEnrolmentsResponseSchema, {
        enrolments: shown.map(({ enrolment, state }) => enrolmentMessage(enrolment, state)),
      });
    },
    revokeEnrolment: async ({ id, reason }, context) => {
      const operator = requirePermission(context, on.operators, on.counters, "agent.enrol");
      const known = on.enrolments.byId(id);
      if (known !== undefined) owns(operator, known);
      const revoked = await applied(
        on.enrolments.revoke(id, bounded(required(reason)), operator.name),
      );
      return create(RevokeEnrolmentResponseSchema, {
        enrolment: message(revoked.enrolment),
        auditIndex: revoked.audit_index,
      });
    },
  };
}

function enrolmentMessage(
  enrolment: Enrolment,
  state: EnrolmentState,
): MessageInitShape<typeof EnrolmentSchema> {
  return {
    id: enrolment.id,
    orgId: enrolment.org_id,
    teamId: enrolment.team_id,
    state,
    maxUses: enrolment.max_uses,
    uses: enrolment.uses,
    createdAtUnixMs: BigInt(enrolment.created_at_ms),
    expiresAtUnixMs: BigInt(enrolment.expires_at_ms),
    createdBy: enrolment.created_by,
    riskTiers: enrolment.risk_tiers.map(riskTierToWire),
    spiffe: [...enrolment.spiffe],
    revokedAtUnixMs: BigInt(enrolment.revoked_at_ms ?? 0),
  };
}

function changeMessage(on: IdentityDependencies, result: ChangeResult) {
  const now_ms = on.clock.now_ms();
  const shown = (record: AgentRecord) => agentMessage(on.registry, record, now_ms);
  return create(ChangeAgentResponseSchema, {
    agent: shown(result.agent),
    previousStatus: result.previous_status,
    ...(result.audit_index === undefined ? {} : { auditIndex: result.audit_index }),
    also: result.also.map(shown),
  });
}

// Words of the wire.

function required(reason: string): string {
  if (reason.trim() === "") throw invalid("reason: is missing: say why");
  return reason;
}

function bounded(reason: string): string {
  return clean(reason.replaceAll(/\p{Cc}/gu, " ")).slice(0, REGISTRY_LIMITS.reason_chars)
    .toWellFormed();
}

function orphanModeOf(word: string): typeof ORPHAN_MODES[keyof typeof ORPHAN_MODES] | undefined {
  if (word === "") return undefined;
  if (word === "suspend" || word === "promote" || word === "cascade") return ORPHAN_MODES[word];
  throw invalid(
    `orphan_mode: cannot be \`${word.slice(0, 32)}\`: expected suspend, promote or cascade`,
  );
}

function governanceLevel(level: number): GovernanceLevel {
  if (level === 0 || level === 1 || level === 2 || level === 3) return level;
  throw invalid(`level: is \`${level}\`, expected 0 to 3`);
}

function riskTier(wire: number): RiskTier {
  const tier = riskTierFromWire(wire);
  if (tier !== undefined) return tier;
  throw invalid(`risk tier: is \`${wire}\`, expected low, medium, high or critical`);
}

async function applied<T>(change: Promise<T>): Promise<T> {
  try {
    return await change;
  } catch (error) {
    if (error instanceof RegistryError) throw registryStatus(error);
    if (error instanceof EnrolmentError) throw enrolmentStatus(error);
    throw error;
  }
}
