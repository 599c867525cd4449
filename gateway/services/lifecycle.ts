/**
 * `assembly.agent.v1.AgentLifecycleService`: how an agent proves its key, registers, shows that it
 * lives, listens, and leaves (contract `wire` §1.2; the order of the checks is part of it).
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import type { RiskTier } from "../../core/principal.ts";
import { type CallContext, Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  type AgentLifecycleService,
  type ChallengeRequest,
  type ChallengeResponse,
  ChallengeResponseSchema,
  type ControlCommand as WireCommand,
  ControlCommandSchema,
  type ControlStreamRequest,
  type DeregisterRequest,
  type DeregisterResponse,
  DeregisterResponseSchema,
  type HeartbeatRequest,
  type HeartbeatResponse,
  HeartbeatResponseSchema,
  type RegisterRequest,
  type RegisterResponse,
  RegisterResponseSchema,
} from "../../proto/gen/assembly/agent/v1/agent_pb.ts";
import type { AgentId } from "../../proto/gen/assembly/common/v1/common_pb.ts";
import { riskTierFromWire } from "../../proto/mapping.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { Challenges } from "../identity/challenges.ts";
import {
  type ControlCommand,
  ControlOverflow,
  type ControlStreams,
} from "../registry/control_streams.ts";
import { RegistryError, type RegistryFailure } from "../registry/failure.ts";
import type { Enrolments } from "../registry/enrolments.ts";
import { REGISTRY_LIMITS } from "../registry/limits.ts";
import type { Registration } from "../registry/registration.ts";
import type { Registry } from "../registry/registry.ts";
import { admitted } from "./admission.ts";
import {
  claimOf,
  publicKeyBytes,
  requirePossession,
  requireSameKey,
  tripleOf,
} from "./key_proof.ts";

/** What the service needs. Changes are recorded by the registry itself, before they are made. */
export interface LifecycleDependencies {
  readonly registry: Registry;
  readonly challenges: Challenges;
  readonly control_streams: ControlStreams;
  readonly clock: { readonly now_ms: () => number };
  /** `tenanted`: registration needs a team. */
  readonly tenancy: "open" | "tenanted";
  readonly enrolments: Enrolments;
  /** Registration needs an enrolment: nobody says organisation and team of itself. */
  readonly require_enrolment: boolean;
  /**
   * Whether an agent that was suspended for its budget is within it again; a heartbeat then lifts
   * the suspension. Without a ledger nothing is known, and the suspension stays.
   */
  readonly withinBudget?: (agent: AgentRecord) => boolean;
}

/** Handlers of the whole service. */
export function lifecycleHandlers(
  on: LifecycleDependencies,
): ServiceHandlers<typeof AgentLifecycleService> {
  return {
    requestChallenge: (request) => requestChallenge(on, request),
    register: (request, context) => register(on, request, context),
    heartbeat: (request) => heartbeat(on, request),
    deregister: (request) => deregister(on, request),
    controlStream: (request, context) => controlStream(on, request, context),
  };
}

function requestChallenge(
  on: LifecycleDependencies,
  { agentId, publicKey }: ChallengeRequest,
): ChallengeResponse {
  const claim = claimOf(agentId);
  requireSameKey(claim, publicKeyBytes(publicKey));
  const binding = { agent_id: agentId?.agentId ?? "", public_key: publicKey };
  const { nonce, expires_at_ms } = on.challenges.issue(binding, on.clock.now_ms());
  return create(ChallengeResponseSchema, { nonce, expiresAtUnixMs: BigInt(expires_at_ms) });
}

async function register(
  on: LifecycleDependencies,
  request: RegisterRequest,
  context: CallContext,
): Promise<RegisterResponse> {
  const claim = claimOf(request.agentId);
  const triple = tripleOf(request.agentId);
  if (on.tenancy === "tenanted" && triple.team_id === "") {
    throw new GrpcError(
      "agent_id.team_id: is empty: this gateway registers agents of a team only",
      Code.FAILED_PRECONDITION,
    );
  }
  const key = publicKeyBytes(request.publicKey);
  requireSameKey(claim, key);
  requirePossession(on, {
    agent_id: triple.agent_id,
    public_key: request.publicKey,
    nonce: request.registrationNonce,
    proof: request.possessionProof,
    key,
  });
  const registration: Registration = {
    ...triple,
    public_key: request.publicKey,
    name: request.name,
    framework: request.framework,
    version: request.version,
    ...riskTier(request.riskTier),
    tool_names: request.toolNames,
    metadata: request.metadata,
    ...present("parent_agent_id", request.parentAgentId),
    ...present("delegation_reason", request.delegationReason),
    ...present("spawned_by_tool", request.spawnedByTool),
  };
  const { agent, credential_token } = await admitted(
    on,
    registration,
    context,
    (admission) => applied(on.registry.register(registration, admission)),
  );
  return create(RegisterResponseSchema, {
    credentialToken: credential_token,
    heartbeatIntervalSec: BigInt(REGISTRY_LIMITS.heartbeat_interval_s),
    ...present("parentAgentId", request.parentAgentId),
    ...(agent.team_id === "" ? {} : { teamId: agent.team_id }),
    rootAgentId: Uint8Array.fromHex(agent.root_key),
  });
}

async function heartbeat(
  on: LifecycleDependencies,
  request: HeartbeatRequest,
): Promise<HeartbeatResponse> {
  const { key } = requireAgent(on.registry, request);
  const agent = on.registry.heartbeat(key);
  if (agent === undefined) throw vanished();
  const suspended = agent.state.status === "suspended" && !(await lifted(on, agent));
  return create(HeartbeatResponseSchema, { policyUpdated: false, shouldSuspend: suspended });
}

/** Lifts a suspension whose budget has room again; one that cannot be lifted stays. */
async function lifted(on: LifecycleDependencies, agent: AgentRecord): Promise<boolean> {
  const { state } = agent;
  if (state.status !== "suspended" || state.cause !== "budget_exceeded") return false;
  if (on.withinBudget?.(agent) !== true) return false;
  try {
    await on.registry.resume(agent.key, "within budget again");
    return true;
  } catch (error) {
    if (error instanceof RegistryError) return false;
    throw error;
  }
}

async function deregister(
  on: LifecycleDependencies,
  request: DeregisterRequest,
): Promise<DeregisterResponse> {
  const { key, agent_id } = requireAgent(on.registry, request);
  await applied(on.registry.deregister(key, request.reason, { kind: "agent", agent_id }));
  return create(DeregisterResponseSchema, { success: true, agentId: agent_id });
}

async function* controlStream(
  on: LifecycleDependencies,
  request: ControlStreamRequest,
  context: CallContext,
): AsyncGenerator<WireCommand> {
  const { key, state } = requireAgent(on.registry, request);
  // An agent that connects late, or again, must not have missed its own suspension.
  const first: ControlCommand[] = state.status === "suspended"
    ? [{ kind: "suspend", reason: state.reason }]
    : [];
  try {
    for await (const command of on.control_streams.open(key, first, context.signal)) {
      yield wireCommand(command);
    }
  } catch (error) {
    if (!(error instanceof ControlOverflow)) throw error;
    throw new GrpcError(error.message, Code.RESOURCE_EXHAUSTED, { cause: error });
  }
}

function wireCommand(command: ControlCommand): WireCommand {
  switch (command.kind) {
    case "suspend":
      return create(ControlCommandSchema, {
        command: { case: "suspend", value: { reason: command.reason } },
      });
    case "resume":
      return create(ControlCommandSchema, {
        command: { case: "resume", value: { note: command.note } },
      });
    case "kill":
      return create(ControlCommandSchema, {
        command: { case: "kill", value: { reason: command.reason } },
      });
    case "policy_update": {
      const { new_policy_id: newPolicyId, policy_bytes: policyBytes } = command;
      return create(ControlCommandSchema, {
        command: { case: "policyUpdate", value: { newPolicyId, policyBytes } },
      });
    }
  }
}

// Who asks.

/** The registered agent whose token was sent. Unknown agent and wrong token look alike. */
function requireAgent(
  registry: Registry,
  request: { readonly agentId?: AgentId | undefined; readonly credentialToken: string },
): AgentRecord {
  if (request.agentId === undefined) throw invalid("agent_id: is missing");
  const record = registry.authenticate(tripleOf(request.agentId), request.credentialToken);
  if (record !== undefined) return record;
  throw new GrpcError(
    "unknown agent or wrong credential token: register first, and send the token that " +
      "registration returned",
    Code.UNAUTHENTICATED,
  );
}

// Words of the wire.

/** A tier this version does not know is taken for the highest: it must not pass as none. */
function riskTier(wire: number): { risk_tier?: RiskTier } {
  return wire === 0 ? {} : { risk_tier: riskTierFromWire(wire) ?? "critical" };
}

/** A field that is absent stays absent. */
function present<K extends string, V>(name: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : { [name]: value } as { [P in K]: V };
}

function invalid(message: string): GrpcError {
  return new GrpcError(message, Code.INVALID_ARGUMENT);
}

function vanished(): GrpcError {
  return new GrpcError("the agent was deregistered meanwhile: register again", Code.NOT_FOUND);
}

const CODES: Readonly<Record<RegistryFailure, Code>> = {
  invalid_field: Code.INVALID_ARGUMENT,
  parent_not_registered: Code.INVALID_ARGUMENT,
  // Kept as the reference answers it (contract `wire` §1.2, Register 8).
  control_character: Code.INTERNAL,
  depth_exceeded: Code.INVALID_ARGUMENT,
  lineage_loop: Code.INVALID_ARGUMENT,
  already_exists: Code.ALREADY_EXISTS,
  not_found: Code.NOT_FOUND,
  wrong_status: Code.FAILED_PRECONDITION,
  token_refused: Code.UNAUTHENTICATED,
  limit_reached: Code.RESOURCE_EXHAUSTED,
  busy: Code.UNAVAILABLE,
  audit_unavailable: Code.UNAVAILABLE,
  storage_failed: Code.INTERNAL,
  inconsistent: Code.INTERNAL,
};

/** A change of the registry, with its refusal as a status. */
async function applied<T>(change: Promise<T>): Promise<T> {
  try {
    return await change;
  } catch (error) {
    throw error instanceof RegistryError ? registryStatus(error) : error;
  }
}

/** The status of a refused change; for every service that changes agents. */
export function registryStatus(error: RegistryError): GrpcError {
  return new GrpcError(error.message, CODES[error.code], { cause: error });
}
