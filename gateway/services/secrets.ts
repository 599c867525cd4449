/**
 * `assembly.secrets.v1.SecretsService`: puts a tenant's secrets into the arguments of a tool call
 * (contract `wire` §1.7).
 *
 * Beyond the reference: the caller must be active, every dispatch rides on exactly one allowed
 * decision (one of a moment ago for the same bytes, or one made now), and it is in the audit log, by
 * names, before anything leaves (trap 57; contract `wire` §9.21).
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { hash16 } from "../../core/audit/entry.ts";
import { ArgumentsError, type Template, templateOf } from "../../core/secrets/substitute.ts";
import { type CallContext, Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import { CheckActionRequestSchema } from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import {
  type DispatchToolRequest,
  type DispatchToolResponse,
  DispatchToolResponseSchema,
  type SecretsService,
} from "../../proto/gen/assembly/secrets/v1/secrets_pb.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { AuditLog } from "../audit/log.ts";
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters.ts";
import { type DecisionEngine, InvalidRequest } from "../engine/engine.ts";
import { clean } from "../engine/evidence.ts";
import { type OperationsPart, PLAIN_TERMS } from "../engine/parts.ts";
import type { Registry } from "../registry/registry.ts";
import type { AllowedCalls } from "../secrets/allowed_calls.ts";
import { SecretError, type SecretFailure } from "../secrets/failure.ts";
import type { SecretRecord } from "../secrets/record.ts";
import type { Vault } from "../secrets/vault.ts";
import { presentedToken, requireAgent } from "./caller.ts";

/** What the service needs. */
export interface SecretsDependencies {
  readonly vault: Vault;
  readonly allowed: AllowedCalls;
  readonly engine: () => Pick<DecisionEngine, "answer">;
  readonly operations: Pick<OperationsPart, "denial">;
  readonly audit: Pick<AuditLog, "append">;
  readonly registry: Registry;
  readonly counters: Counters;
  readonly clock: Clock;
}

/** Handlers of the whole service. */
export function secretsHandlers(on: SecretsDependencies): ServiceHandlers<typeof SecretsService> {
  return { dispatchTool: (request, context) => dispatchTool(on, request, context) };
}

async function dispatchTool(
  on: SecretsDependencies,
  { tool, argsJson }: DispatchToolRequest,
  context: CallContext,
): Promise<DispatchToolResponse> {
  const caller = requireAgent(context, on.registry, on.counters);
  const template = templateIn(argsJson);
  requireActive(on, caller);
  if (template.names.length === 0) {
    return create(DispatchToolResponseSchema, { resolvedArgsJson: argsJson });
  }
  await requireAllowed(on, caller, tool, argsJson, context);
  try {
    const records = on.vault.check(caller, tool, template.names);
    await record(on, caller, tool, records);
    const resolvedArgsJson = await on.vault.fill(caller, tool, template);
    on.counters.add("secrets.dispatched");
    // The transport owns these bytes now; they cannot be overwritten before they are sent.
    return create(DispatchToolResponseSchema, {
      resolvedArgsJson,
      namesSubstituted: [...template.names],
    });
  } catch (error) {
    throw secretStatus(error);
  }
}

/** The present record may differ from the one that the token was issued for. */
function requireActive(on: SecretsDependencies, caller: AgentRecord): void {
  const principal = on.registry.principalOf(caller, on.clock.now_ms());
  const reason = principal.status === "active"
    ? on.operations.denial(principal, "", "")
    : `agent ${principal.status}`;
  if (reason === undefined) return;
  on.counters.add("secrets.refused");
  throw new GrpcError(`no secret is dispatched: ${reason}`, Code.PERMISSION_DENIED);
}

/** Uses an allowed decision for exactly these bytes up; makes one when there is none. */
async function requireAllowed(
  on: SecretsDependencies,
  caller: AgentRecord,
  tool: string,
  args_json: Uint8Array,
  context: CallContext,
): Promise<void> {
  const args = new TextDecoder("utf-8", { ignoreBOM: true }).decode(args_json);
  const take = () => on.allowed.take(caller.key, tool, args, on.clock.now_ms());
  if (take()) return;
  const reason = await decided(on, caller, tool, args_json, context);
  // People and stores take their time: who may act is asked again.
  requireActive(on, caller);
  if (take()) return;
  on.counters.add("secrets.refused");
  throw new GrpcError(
    `no secret is dispatched: ${
      reason === "" ? "the policy does not allow this call of the tool" : reason
    }`,
    Code.PERMISSION_DENIED,
  );
}

/** Decides the call as CheckAction would, with its evidence. @returns The reason it gave. */
async function decided(
  on: SecretsDependencies,
  caller: AgentRecord,
  tool: string,
  args_json: Uint8Array,
  context: CallContext,
): Promise<string> {
  const request = create(CheckActionRequestSchema, {
    agentId: { orgId: caller.org_id, teamId: caller.team_id, agentId: caller.agent_id },
    credentialToken: presentedToken(context.metadata),
    actionType: 2,
    context: { action: { case: "toolCall", value: { toolName: tool, argsJson: args_json } } },
  });
  try {
    const terms = { ...PLAIN_TERMS, signal: context.signal };
    const answer = await on.engine().answer(request, terms);
    try {
      await Promise.all([on.audit.append(answer.entry), ...answer.durable]);
    } catch (error) {
      answer.abandon();
      throw new GrpcError("nothing was dispatched: it could not be recorded", Code.UNAVAILABLE, {
        cause: error,
      });
    }
    return answer.response.reason;
  } catch (error) {
    if (error instanceof InvalidRequest) throw invalid(error.message);
    throw error;
  }
}

/** Evidence, by names and versions, before the values leave. */
async function record(
  on: SecretsDependencies,
  caller: AgentRecord,
  tool: string,
  records: readonly SecretRecord[],
): Promise<void> {
  const { org_id, team_id } = caller;
  const payload = {
    action: "secrets_dispatched",
    agent_id: clean(caller.agent_id),
    agent_key: caller.key,
    org_id: clean(org_id),
    secrets: records.map(({ name, version }) => ({ name, version })),
    team_id: clean(team_id),
    tool: clean(tool),
  };
  try {
    await on.audit.append({
      event_type: "ToolDispatched",
      timestamp_ns: on.clock.now_ns(),
      agent_id: hash16(caller.agent_id),
      session_id: new Uint8Array(16),
      payload: JSON.stringify(payload),
      ...(org_id === "" ? {} : { org_id }),
      ...(team_id === "" ? {} : { team_id }),
    });
  } catch (error) {
    throw new SecretError("audit_unavailable", "nothing was dispatched: it could not be recorded", {
      cause: error,
    });
  }
}

function templateIn(args_json: Uint8Array): Template {
  try {
    return templateOf(args_json);
  } catch (error) {
    throw error instanceof ArgumentsError ? invalid(error.message) : error;
  }
}

const CODES: Readonly<Record<SecretFailure, Code>> = {
  invalid: Code.INVALID_ARGUMENT,
  already_registered: Code.ALREADY_EXISTS,
  not_found: Code.NOT_FOUND,
  unknown_placeholder: Code.FAILED_PRECONDITION,
  tool_not_allowed: Code.PERMISSION_DENIED,
  unavailable: Code.FAILED_PRECONDITION,
  limit_reached: Code.RESOURCE_EXHAUSTED,
  refused: Code.FAILED_PRECONDITION,
  busy: Code.ABORTED,
  audit_unavailable: Code.UNAVAILABLE,
  storage_failed: Code.UNAVAILABLE,
};

/** A refusal as a status; anything else as it is. */
export function secretStatus(error: unknown): unknown {
  if (error instanceof ArgumentsError) return invalid(error.message);
  if (!(error instanceof SecretError)) return error;
  return new GrpcError(error.message, CODES[error.code], { cause: error });
}

function invalid(message: string): GrpcError {
  return new GrpcError(message, Code.INVALID_ARGUMENT);
}
