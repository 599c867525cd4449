/**
 * The question behind a request: who asks, proven how far, and for what action
 * (contract `wire` §1.3).
 *
 * @module
 */
import type { Action } from "../../core/action.ts";
import type { Principal } from "../../core/principal.ts";
import { actionFromWire, identifierProblem } from "../../proto/mapping.ts";
import type { CheckActionRequest } from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { Registry } from "../registry/registry.ts";

/** A request the contract answers with `INVALID_ARGUMENT`. */
export class InvalidRequest extends Error {
  override readonly name = "InvalidRequest";
}

/** The question after identity. */
export interface Question {
  readonly request: CheckActionRequest;
  readonly action: Action;
  readonly principal: Principal;
  readonly record: AgentRecord | undefined;
  /** Monotonic microseconds at which work on it began. */
  readonly started_us: number;
}

/** A question, or why the claimed identity is not believed. */
export type Understood =
  | { readonly outcome: "question"; readonly question: Question }
  | {
    readonly outcome: "identity_denied";
    readonly action: Action["kind"] | "malformed";
    readonly reason: string;
  };

/**
 * Reads a request. Identity is settled before the action is looked at, so that a forged one is
 * recorded whatever it asked for.
 *
 * @throws {InvalidRequest} naming the field.
 */
export function understand(
  request: CheckActionRequest,
  registry: Registry,
  now_ms: number,
  started_us: number,
): Understood {
  const problem = identifierProblem(request);
  if (problem !== undefined) throw new InvalidRequest(`${problem.field}: ${problem.message}`);
  const identity = identify(request, registry, now_ms);
  const mapped = actionFromWire(request.context);
  if (identity.outcome === "identity_denied") {
    const action = mapped.ok ? mapped.action.kind : "malformed";
    return { outcome: "identity_denied", action, reason: identity.reason };
  }
  if (!mapped.ok) throw new InvalidRequest(`${mapped.field}: ${mapped.message}`);
  const { principal, record } = identity;
  return {
    outcome: "question",
    question: { request, action: mapped.action, principal, record, started_us },
  };
}

/** Who a request is from, by the registry as it is at `now_ms`. */
export function identify(
  request: CheckActionRequest,
  registry: Registry,
  now_ms: number,
): ReturnType<Registry["principalFor"]> {
  const claimed = request.agentId;
  const claim = {
    org_id: claimed?.orgId ?? "",
    team_id: claimed?.teamId ?? "",
    agent_id: claimed?.agentId ?? "",
  };
  return registry.principalFor(claim, request.credentialToken, now_ms);
}
