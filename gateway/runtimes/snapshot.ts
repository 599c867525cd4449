/**
 * What a runtime is told of its agent: the documents that may govern it, its record, the orders for
 * it. Never more than the agent's own cascade can need.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import type { PolicySet } from "../../core/policy/compile.ts";
import type { Scope } from "../../core/policy/document.ts";
import type { Principal } from "../../core/principal.ts";
import { isLookupFailure } from "../../core/principal.ts";
import { AgentIdSchema } from "../../proto/gen/assembly/common/v1/common_pb.ts";
import {
  type RuntimePolicy,
  RuntimePolicySchema,
  type RuntimePrincipal,
  RuntimePrincipalSchema,
} from "../../proto/gen/assembly/admin/v1/runtime_pb.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { LoadedPolicy } from "../engine/policy_files.ts";
import { effectiveEnforcement } from "../registry/enforcement.ts";
import { RUNTIME_ROOM_LIMITS } from "./limits.ts";

/** The policy in force, as the store holds it. */
export interface PolicyInForce {
  readonly current: PolicySet;
  readonly loaded: LoadedPolicy;
  readonly digest: string;
}

/**
 * The documents that can govern an action of a principal, in their order; `undefined` when they are
 * too many for one message.
 */
export function policyMessage(
  policy: PolicyInForce,
  principal: Principal,
): RuntimePolicy | undefined {
  const { current, loaded, digest } = policy;
  const documents: { file: string; source: Uint8Array; digest: string }[] = [];
  let bytes = 0;
  for (const [at, { document }] of current.documents.entries()) {
    if (current.mode === "directory" && !mayGovern(document.scope, principal)) continue;
    const source = loaded.texts[at]?.content;
    if (source === undefined) return undefined;
    bytes += source.length;
    if (bytes > RUNTIME_ROOM_LIMITS.snapshot_policy_bytes) return undefined;
    documents.push({ file: document.file, source, digest: document.digest });
  }
  return create(RuntimePolicySchema, { digest, mode: current.mode, documents });
}

function mayGovern(scope: Scope, principal: Principal): boolean {
  switch (scope.tier) {
    case "global":
    case "tool":
      return true;
    case "org":
      return scope.id === principal.org_id;
    case "team":
      return scope.id === principal.team_id;
    case "agent": {
      const key = scope.id.replaceAll("-", "").toLowerCase();
      return key === principal.engine_key || key === principal.registry_key;
    }
  }
}

/** The agent's record, as far as policies may speak of it without asking about other agents. */
export function principalMessage(
  principal: Principal,
  record: AgentRecord,
  now_ms: number,
): RuntimePrincipal {
  const { risk_tier, parent_agent_id } = principal.context ?? {};
  return create(RuntimePrincipalSchema, {
    agentId: create(AgentIdSchema, {
      orgId: record.org_id,
      teamId: record.team_id,
      agentId: record.agent_id,
    }),
    registryKey: record.key,
    status: principal.status,
    governanceLevel: record.governance_level,
    riskTier: isLookupFailure(risk_tier) ? "" : risk_tier ?? "",
    depth: record.depth,
    ...(typeof parent_agent_id === "string" ? { parentAgentId: parent_agent_id } : {}),
    tokenSha256: Uint8Array.fromHex(record.token_hash ?? ""),
    tokenExpiresAtUnixMs: BigInt(record.token_expires_at_ms ?? 0),
    enforcementMode: effectiveEnforcement(record.enforcement, now_ms).mode,
  });
}
