/**
 * What the gateway pushed, checked and compiled. Anything that contradicts itself is refused whole:
 * half a policy is none.
 *
 * @module
 */
import { hash } from "node:crypto";
import { compilePolicySet, type PolicySet } from "../../core/policy/compile.ts";
import type { PolicyDocument } from "../../core/policy/document.ts";
import { loadPolicy } from "../../core/policy/load.ts";
import {
  type AgentStatus,
  type GovernanceLevel,
  RISK_TIERS,
  type RiskTier,
} from "../../core/principal.ts";
import type { runtime } from "../../proto/mod.ts";
import { DECISION_LIMITS } from "./limits.ts";

/** An agent as it names itself. */
export interface AgentName {
  readonly org_id: string;
  readonly team_id: string;
  readonly agent_id: string;
}

/** An operator's order as it stands. */
export interface StandingOrder {
  /** `*`, `agent:<id>` or `<trace>:<span>`. */
  readonly op_id: string;
  readonly signal: "pause" | "terminate";
}

/** The agent's record, as far as policies may speak of it without asking about other agents. */
export interface KnownAgent {
  readonly name: AgentName;
  /** Key of `agent:<uuid>` scopes, 32 lower-case hex. */
  readonly engine_key: string;
  readonly registry_key: string;
  readonly status: AgentStatus;
  readonly governance_level: GovernanceLevel;
  readonly risk_tier: RiskTier | undefined;
  readonly depth: number;
  readonly parent_agent_id: string | undefined;
  /** SHA-256 of the live credential token, 64 lower-case hex. */
  readonly token_sha256: string;
  /** By the gateway's clock; 0: never. */
  readonly token_expires_at_ms: number;
  readonly observed: boolean;
}

/** Everything that local decisions are made from. Immutable. */
export interface Snapshot {
  readonly gateway_id: string;
  readonly epoch: number;
  readonly policy: PolicySet;
  readonly policy_digest: string;
  readonly agent: KnownAgent;
  readonly orders: readonly StandingOrder[];
  /** Why nothing may be decided here; empty when it may. */
  readonly suspended: string;
}

/** A snapshot, or what is wrong with it. */
export type ReadSnapshot =
  | { readonly ok: true; readonly snapshot: Snapshot }
  | { readonly ok: false; readonly why: string };

/** What a snapshot is held against. */
export interface ReadingTerms {
  /** The agent this runtime is for. */
  readonly name: AgentName;
  /** SHA-256 of the token that the stream was opened with, 64 lower-case hex. */
  readonly token_sha256: string;
  /** The one before on this stream: an absent policy means its policy. */
  readonly before: Snapshot | undefined;
  /** The newest epoch ever seen of each start of a gateway. */
  readonly newest: { readonly gateway_id: string; readonly epoch: number } | undefined;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const KEY = /^[0-9a-f]{32}$/;

/** Reads one. Never throws. */
export function readSnapshot(message: runtime.RuntimeSnapshot, terms: ReadingTerms): ReadSnapshot {
  const { gatewayId: gateway_id } = message;
  const epoch = Number(message.epoch);
  if (!UUID.test(gateway_id)) return refused("its gateway has no id");
  if (!Number.isSafeInteger(epoch) || epoch < 1) return refused("its epoch is none");
  const { newest, before } = terms;
  if (newest?.gateway_id === gateway_id && epoch <= newest.epoch) {
    return refused(`its epoch went back from ${newest.epoch} to ${epoch}`);
  }
  if (before !== undefined && before.gateway_id !== gateway_id) {
    return refused("its gateway became another on one stream");
  }
  const agent = agentOf(message.principal, terms);
  if (typeof agent === "string") return refused(agent);
  const orders = ordersOf(message.orders);
  if (orders === undefined) return refused("one of its orders is none");
  const { suspended } = message;
  const policy = policyOf(message.policy, before, suspended !== "");
  if (typeof policy === "string") return refused(policy);
  return { ok: true, snapshot: { gateway_id, epoch, ...policy, agent, orders, suspended } };
}

type CompiledPolicy = Pick<Snapshot, "policy" | "policy_digest">;

const NOTHING: CompiledPolicy = { policy: compilePolicySet([]), policy_digest: "" };

function policyOf(
  message: runtime.RuntimePolicy | undefined,
  before: Snapshot | undefined,
  suspended: boolean,
): CompiledPolicy | string {
  if (message === undefined) {
    if (before !== undefined) {
      // Field by field: everything else of it, its epoch above all, is no longer true.
      return { policy: before.policy, policy_digest: before.policy_digest };
    }
    // Nothing is decided by it; everything is forwarded.
    return suspended ? NOTHING : "it has no policy";
  }
  const { digest: policy_digest, mode, documents } = message;
  if (mode !== "single_file" && mode !== "directory") return "the mode of its policy is unknown";
  if (documents.length > DECISION_LIMITS.snapshot_documents) return "it has too many documents";
  const loaded: PolicyDocument[] = [];
  for (const { file, source, digest } of documents) {
    const read = loadPolicy(file, source);
    if (!read.ok) return `document \`${file.slice(0, 128)}\` does not compile`;
    if (read.document.digest !== digest) {
      return `document \`${file.slice(0, 128)}\` is not the one its digest names`;
    }
    loaded.push(read.document);
  }
  try {
    return { policy: compilePolicySet(loaded, { mode }), policy_digest };
  } catch {
    return "its documents do not compile together";
  }
}

const STATUSES: readonly AgentStatus[] = ["active", "suspended", "deregistered", "stale"];

function agentOf(
  message: runtime.RuntimePrincipal | undefined,
  terms: ReadingTerms,
): KnownAgent | string {
  const id = message?.agentId;
  if (message === undefined || id === undefined) return "it names no agent";
  const name = { org_id: id.orgId, team_id: id.teamId, agent_id: id.agentId };
  if (!sameName(name, terms.name)) return "it is about another agent";
  const token_sha256 = message.tokenSha256.toHex();
  if (!sameDigest(token_sha256, terms.token_sha256)) return "it is about another credential";
  const status = STATUSES.find((each) => each === message.status);
  if (status === undefined) return "the status of its agent is unknown";
  const { governanceLevel, riskTier, registryKey, depth, parentAgentId } = message;
  if (![0, 1, 2, 3].includes(governanceLevel)) return "the level of its agent is unknown";
  const risk_tier = RISK_TIERS.find((each) => each === riskTier);
  if (riskTier !== "" && risk_tier === undefined) return "the risk tier of its agent is unknown";
  if (!KEY.test(registryKey)) return "its agent has no key";
  const mode = message.enforcementMode;
  if (mode !== "enforce" && mode !== "observe") return "the mode of its agent is unknown";
  return {
    name,
    engine_key: hash("sha256", name.agent_id, "hex").slice(0, 32),
    registry_key: registryKey,
    status,
    governance_level: governanceLevel as GovernanceLevel,
    risk_tier,
    depth,
    parent_agent_id: parentAgentId,
    token_sha256,
    token_expires_at_ms: Number(message.tokenExpiresAtUnixMs),
    observed: mode === "observe",
  };
}

function ordersOf(messages: readonly runtime.RuntimeOrder[]): StandingOrder[] | undefined {
  const orders: StandingOrder[] = [];
  for (const { opId: op_id, signal } of messages) {
    if (op_id === "" || (signal !== "pause" && signal !== "terminate")) return undefined;
    orders.push({ op_id, signal });
  }
  return orders;
}

/** Whether two names are the same agent's. */
export function sameName(a: AgentName, b: AgentName): boolean {
  return a.org_id === b.org_id && a.team_id === b.team_id && a.agent_id === b.agent_id;
}

/** SHA-256 of a credential token's text, 64 lower-case hex. */
export function tokenDigest(token: string): string {
  return hash("sha256", token, "hex");
}

/** Comparison of two digests that takes the same time wherever they differ. */
export function sameDigest(a: string, b: string): boolean {
  return a.length === 64 && sameText(a, b);
}

/** Takes the same time wherever two texts of one length differ. */
function sameText(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let at = 0; at < a.length; at++) difference |= a.charCodeAt(at) ^ b.charCodeAt(at);
  return difference === 0;
}

/** The token that was last found to be the one of a digest: an agent shows the same every time. */
let proven: { readonly token: string; readonly digest: string } | undefined;

/** Whether a credential token is the one with this SHA-256. */
export function isTokenOf(token: string, token_sha256: string): boolean {
  if (proven?.digest === token_sha256 && sameText(proven.token, token)) return true;
  const digest = tokenDigest(token);
  if (!sameDigest(digest, token_sha256)) return false;
  proven = { token, digest };
  return true;
}

function refused(why: string): ReadSnapshot {
  return { ok: false, why };
}
