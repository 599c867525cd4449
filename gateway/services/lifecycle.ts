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
import { ed25519KeyOf, parseDidKey } from "../identity/did_key.ts";
import { isPublicKey, verifyStrict } from "../identity/ed25519.ts";
import type { AgentTriple } from "../identity/keys.ts";
import {
  type ControlCommand,
  ControlOverflow,
  type ControlStreams,
} from "../registry/control_streams.ts";
import { RegistryError, type RegistryFailure } from "../registry/failure.ts";
import { REGISTRY_LIMITS } from "../registry/limits.ts";
import type { Registry } from "../registry/registry.ts";

/** What the service needs. Changes are recorded by the registry itself, before they are made. */
export interface LifecycleDependencies {
  readonly registry: Registry;
  readonly challenges: Challenges;
  readonly control_streams: ControlStreams;
  readonly clock: { readonly now_ms: () => number };
  /** `tenanted`: registration needs a team. */
  readonly tenancy: "open" | "tenanted";
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
    register: (request) => register(on, request),
    heartbeat: (request) => heartbeat(on, request),
    deregister: (request) => deregister(on, request),
    controlStream: (request, context) => controlStream(on, request, context),
  };
}

function requestChallenge(
  on: LifecycleDependencies,
  { agentId, publicKey }: ChallengeRequest,
): ChallengeResponse {
  const did = didKeyBytes(agentId);
  const key = publicKeyBytes(publicKey);
  requireSameKey(did, key);
  const binding = { agent_id: agentId?.agentId ?? "", public_key: publicKey };
  const { nonce, expires_at_ms } = on.challenges.issue(binding, on.clock.now_ms());
  return create(ChallengeResponseSchema, { nonce, expiresAtUnixMs: BigInt(expires_at_ms) });
}

async function register(
  on: LifecycleDependencies,
  request: RegisterRequest,
): Promise<RegisterResponse> {
  const did = didKeyBytes(request.agentId);
  const triple = tripleOf(request.agentId);
  if (on.tenancy === "tenanted" && triple.team_id === "") {
    throw new GrpcError(
      "agent_id.team_id: is empty: this gateway registers agents of a team only",
      Code.FAILED_PRECONDITION,
    );
  }
  const key = publicKeyBytes(request.publicKey);
  requireSameKey(did, key);
  requirePossession(on, request, triple.agent_id, key);
  const { agent, credential_token } = await applied(on.registry.register({
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
  }));
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

function tripleOf(id: AgentId | undefined): AgentTriple {
  return { org_id: id?.orgId ?? "", team_id: id?.teamId ?? "", agent_id: id?.agentId ?? "" };
}

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

/** Bytes of the did:key, whatever kind of key it holds. */
function didKeyBytes(id: AgentId | undefined): Uint8Array {
  if (id === undefined) throw invalid("agent_id: is missing");
  const did = parseDidKey(id.agentId);
  if (did.ok) return did.bytes;
  throw invalid(`agent_id.agent_id: ${did.message}`);
}

function publicKeyBytes(text: string): Uint8Array {
  if (text === "") throw invalid("public_key: is empty: send 64 hex characters");
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]+$/.test(text)) {
    throw invalid("public_key: is not hex: send 64 hex characters");
  }
  if (text.length !== 64) {
    throw invalid(`public_key: is ${text.length / 2} bytes, an Ed25519 key is 32`);
  }
  const key = Uint8Array.fromHex(text);
  if (isPublicKey(key)) return key;
  throw invalid("public_key: is no Ed25519 public key: its 32 bytes are no point of the curve");
}

function requireSameKey(did: Uint8Array, key: Uint8Array): void {
  const named = ed25519KeyOf(did);
  if (named === undefined) {
    throw invalid("agent_id.agent_id: the did:key holds no Ed25519 key of 32 bytes");
  }
  if (named.every((byte, index) => byte === key[index])) return;
  throw new GrpcError(
    "public_key: is not the key that agent_id.agent_id names",
    Code.UNAUTHENTICATED,
  );
}

/** The nonce is used up first: a wrong proof costs a new challenge. */
function requirePossession(
  on: LifecycleDependencies,
  request: RegisterRequest,
  agent_id: string,
  key: Uint8Array,
): void {
  const nonce = request.registrationNonce;
  const binding = { agent_id, public_key: request.publicKey };
  const { outcome } = on.challenges.consume(nonce, binding, on.clock.now_ms());
  if (outcome !== "accepted") {
    throw new GrpcError(
      "registration_nonce: is not a challenge that is open for this agent id and key: request a " +
        "new one and use it once, within 30 seconds",
      Code.UNAUTHENTICATED,
    );
  }
  if (verifyStrict(request.possessionProof, nonce, key)) return;
  throw new GrpcError(
    "possession_proof: is not an Ed25519 signature of this key over the nonce: request a new " +
      "challenge and sign its 32 bytes",
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
