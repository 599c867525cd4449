/**
 * Registers an agent: a challenge, a signature over it, and a token that stays in memory
 * (contract `wire` §1.2).
 *
 * @module
 */
import { AgentLifecycleService } from "@agent-assembly/proto/agent";
import { IdentityService } from "@agent-assembly/proto/admin_identity";
import { EnforcementMode as WireMode, RiskTier } from "@agent-assembly/proto/common";
import type { AgentTriple } from "../../act.ts";
import type { EnforcementMode } from "../../enforcement_mode.ts";
import { GatewayUnavailableError, RegistrationError } from "../../errors.ts";
import type { AgentKey } from "../../identity/agent_key.ts";
import { type GatewayRpc, RpcError, type RpcTerms } from "./rpc.ts";

/** Who registers, and what it says of itself. */
export interface RegistrationOptions {
  /** The key that is registered. */
  readonly key: AgentKey;
  /** Tenant organisation; believed only with an enrolment. @default "" */
  readonly org_id?: string;
  /** Team; believed only with an enrolment. @default "" */
  readonly team_id?: string;
  /** Shown to people. */
  readonly name: string;
  /** e.g. `langgraph`. @default "agent-assembly-deno" */
  readonly framework?: string;
  /** Version of the client. */
  readonly sdk_version: string;
  /** Risk it declares. */
  readonly risk_tier?: "low" | "medium" | "high" | "critical";
  /** Tools it declares. */
  readonly tool_names?: readonly string[];
  /** Id of the agent that started it. */
  readonly parent_agent_id?: string;
  /** Why it was started. */
  readonly delegation_reason?: string;
  /** Tool that started it. */
  readonly spawned_by_tool?: string;
  /** A claim; only `enforce` has effect. */
  readonly enforcement_mode?: EnforcementMode;
  /** Token of an operator's enrolment, where the gateway asks for one. */
  readonly enrolment?: string;
}

/** What a registration gives. */
export interface Registration {
  /** The agent by the id it is registered under: its did:key. */
  readonly agent: AgentTriple;
  /** Secret. Never stored. */
  readonly token: string;
  /** How often the gateway expects a sign of life, milliseconds. */
  readonly heartbeat_interval_ms: number;
}

const RISK_TIERS: Readonly<Record<NonNullable<RegistrationOptions["risk_tier"]>, RiskTier>> = {
  low: RiskTier.LOW,
  medium: RiskTier.MEDIUM,
  high: RiskTier.HIGH,
  critical: RiskTier.CRITICAL,
};
const MODES: Readonly<Record<EnforcementMode, WireMode>> = {
  enforce: WireMode.ENFORCE,
  observe: WireMode.OBSERVE,
  disabled: WireMode.DISABLED,
};

/** Interval when the gateway names none, and its bounds, milliseconds. */
const HEARTBEAT_MS = { fallback: 30_000, min: 1_000, max: 600_000 } as const;

/**
 * Registers, or, when this key is registered already and its token was lost with an earlier
 * process, takes a new token for it; the old one is dead then.
 *
 * @throws {RegistrationError} in the gateway's words.
 * @throws {GatewayUnavailableError} when it gives no answer.
 */
export async function registerAgent(
  rpc: GatewayRpc,
  options: RegistrationOptions,
  terms: Omit<RpcTerms, "metadata">,
): Promise<Registration> {
  const { key } = options;
  const agent = {
    org_id: options.org_id ?? "",
    team_id: options.team_id ?? "",
    agent_id: key.did,
  };
  try {
    return await register(rpc, options, agent, terms);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    if (error.code !== "already_exists") throw refused(error);
    try {
      return { agent, ...await takeNewToken(rpc, key, agent, terms) };
    } catch (second) {
      throw second instanceof RpcError ? refused(second) : second;
    }
  }
}

function wireId({ org_id, team_id, agent_id }: AgentTriple) {
  return { orgId: org_id, teamId: team_id, agentId: agent_id };
}

async function challenged(
  rpc: GatewayRpc,
  key: AgentKey,
  agent: AgentTriple,
  terms: Omit<RpcTerms, "metadata">,
): Promise<{ readonly nonce: Uint8Array; readonly proof: Uint8Array }> {
  const { message } = await rpc.unary(AgentLifecycleService.method.requestChallenge, {
    agentId: wireId(agent),
    publicKey: key.public_key_hex,
  }, { ...terms, metadata: {} });
  return { nonce: message.nonce, proof: key.sign(message.nonce) };
}

async function register(
  rpc: GatewayRpc,
  options: RegistrationOptions,
  agent: AgentTriple,
  terms: Omit<RpcTerms, "metadata">,
): Promise<Registration> {
  const { key, risk_tier, enforcement_mode, parent_agent_id } = options;
  const { delegation_reason, spawned_by_tool, enrolment } = options;
  const { nonce, proof } = await challenged(rpc, key, agent, terms);
  const { message } = await rpc.unary(AgentLifecycleService.method.register, {
    agentId: wireId(agent),
    name: options.name,
    framework: options.framework ?? "agent-assembly-deno",
    version: options.sdk_version,
    toolNames: [...options.tool_names ?? []],
    publicKey: key.public_key_hex,
    registrationNonce: nonce,
    possessionProof: proof,
    ...(risk_tier === undefined ? {} : { riskTier: RISK_TIERS[risk_tier] }),
    ...(enforcement_mode === undefined ? {} : { enforcementMode: MODES[enforcement_mode] }),
    ...(parent_agent_id === undefined ? {} : { parentAgentId: parent_agent_id }),
    ...(delegation_reason === undefined ? {} : { delegationReason: delegation_reason }),
    ...(spawned_by_tool === undefined ? {} : { spawnedByTool: spawned_by_tool }),
  }, { ...terms, metadata: enrolment === undefined ? {} : { "x-aa-enrolment": enrolment } });
  if (message.credentialToken === "") {
    throw new RegistrationError("the gateway registered the agent without a token", {
      retryable: false,
    });
  }
  const asked_ms = Number(message.heartbeatIntervalSec) * 1_000 || HEARTBEAT_MS.fallback;
  return {
    agent,
    token: message.credentialToken,
    heartbeat_interval_ms: Math.min(HEARTBEAT_MS.max, Math.max(HEARTBEAT_MS.min, asked_ms)),
  };
}

async function takeNewToken(
  rpc: GatewayRpc,
  key: AgentKey,
  agent: AgentTriple,
  terms: Omit<RpcTerms, "metadata">,
): Promise<{ readonly token: string; readonly heartbeat_interval_ms: number }> {
  const { nonce, proof } = await challenged(rpc, key, agent, terms);
  const { message } = await rpc.unary(IdentityService.method.rotateAgentToken, {
    agentId: wireId(agent),
    registrationNonce: nonce,
    possessionProof: proof,
  }, { ...terms, metadata: {} });
  return { token: message.credentialToken, heartbeat_interval_ms: HEARTBEAT_MS.fallback };
}

function refused(error: RpcError): RegistrationError | GatewayUnavailableError {
  if (error.code === "unavailable" || error.code === "deadline_exceeded") {
    return new GatewayUnavailableError(
      `the agent is not registered, because no gateway answers: ${error.message}; see that it is up ` +
        "and listens there: `http` needs its `--web-listen`, `grpc` its `--listen`",
      error,
    );
  }
  // What answers is no gateway, or its other listener.
  const other = error.code === "unknown" || error.code === "unimplemented"
    ? "; is this the gateway's `--web-listen` for `http`, its `--listen` for `grpc`?"
    : "";
  return new RegistrationError(
    `the gateway did not register this agent (${error.code}): ${error.message}${other}`,
    { retryable: error.code === "resource_exhausted", cause: error },
  );
}
