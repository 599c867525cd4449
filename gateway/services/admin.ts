/**
 * `assembly.admin.v1.AdminService`: what operators see and do. Not part of the reference.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import type { CallContext, ServerStats, ServiceHandlers } from "../../grpc/mod.ts";
import { Code, GrpcError } from "../../grpc/mod.ts";
import { capabilityMatrix } from "../../core/policy/matrix.ts";
import type { OperatorRecord, OperatorScope } from "../../storage/sqlite/records.ts";
import {
  type AdminService,
  CreateOperatorTokenResponseSchema,
  ExplainActionResponseSchema,
  GetCapabilityMatrixResponseSchema,
} from "../../proto/gen/assembly/admin/v1/admin_pb.ts";
import { explanationToWire } from "../../proto/mapping.ts";
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters.ts";
import { type DecisionEngine, InvalidRequest } from "../engine/engine.ts";
import { governanceEntry } from "../engine/governance.ts";
import type { PolicyStore } from "../engine/policy_store.ts";
import type { AuditLog } from "../audit/log.ts";
import { OperatorError, type Operators } from "../identity/operators.ts";
import type { TransportStatus } from "../transport/workers.ts";
import type { Registry } from "../registry/registry.ts";
import { agentAdministration, findAgent } from "./admin_agents.ts";
import { auditAdministration } from "./admin_audit.ts";
import { statusMessage } from "./admin_status.ts";
import { requireOperator } from "./operator.ts";

/** What the service shows and changes. */
export interface AdminDependencies {
  readonly audit: AuditLog;
  readonly registry: Registry;
  readonly operators: Operators;
  readonly engine: DecisionEngine;
  readonly policy: PolicyStore;
  readonly counters: Counters;
  readonly clock: Clock;
  /** Filled when the listeners are bound. */
  readonly listeners: readonly string[];
  readonly started_ms: number;
  readonly recovery: string;
  readonly transport: () => ServerStats;
  /** How the transport workers are; `undefined` when there are none. */
  readonly workers: () => TransportStatus | undefined;
}

/** Checks the caller and returns it; every handler starts with it. */
export type Authorise = (context: CallContext, scope: OperatorScope) => OperatorRecord;

/** Handlers; every one needs an operator token. */
export function adminHandlers(
  on: AdminDependencies,
): Partial<ServiceHandlers<typeof AdminService>> {
  const authorise: Authorise = (context, scope) =>
    requireOperator(context, on.operators, on.counters, scope);
  return {
    ...agentAdministration(on, authorise),
    ...auditAdministration(on, authorise),
    getStatus: (_request, context) => {
      authorise(context, "read");
      return statusMessage(on);
    },
    explainAction: ({ request }, context) => {
      authorise(context, "read");
      if (request === undefined) throw invalid("request: is missing: give the action to explain");
      try {
        const answer = on.engine.simulate(request);
        return create(ExplainActionResponseSchema, {
          response: answer.response,
          explanation: explanationToWire(answer.explain()),
        });
      } catch (error) {
        if (error instanceof InvalidRequest) throw invalid(error.message);
        throw error;
      }
    },
    getCapabilityMatrix: ({ agent }, context) => {
      authorise(context, "read");
      const record = findAgent(on.registry, agent);
      const principal = on.registry.principalOf(record, on.clock.now_ms());
      const matrix = capabilityMatrix(on.policy.current, principal);
      return create(GetCapabilityMatrixResponseSchema, {
        state: matrix.state,
        cells: matrix.state === "configured" ? matrix.cells.map((cell) => ({ ...cell })) : [],
      });
    },
    createOperatorToken: async ({ name, scope }, context) => {
      const operator = authorise(context, "admin");
      if (scope !== "read" && scope !== "write" && scope !== "admin") {
        throw invalid(`scope: cannot be \`${scope.slice(0, 32)}\`: expected read, write or admin`);
      }
      await on.audit.append(governanceEntry("operator_created", {
        actor: `operator:${operator.name}`,
        after: { name: name.slice(0, 128), scope },
      }, on.clock));
      try {
        const token = await on.operators.create(name, scope);
        return create(CreateOperatorTokenResponseSchema, { token });
      } catch (error) {
        if (error instanceof OperatorError) throw operatorFailure(error);
        throw error;
      }
    },
  };
}

/** `INVALID_ARGUMENT` with a text that starts with the field. */
export function invalid(message: string): GrpcError {
  return new GrpcError(message, Code.INVALID_ARGUMENT);
}

function operatorFailure(error: OperatorError): GrpcError {
  const codes = {
    invalid_name: Code.INVALID_ARGUMENT,
    already_exists: Code.ALREADY_EXISTS,
    not_found: Code.NOT_FOUND,
    limit_reached: Code.RESOURCE_EXHAUSTED,
  } as const;
  return new GrpcError(error.message, codes[error.code], { cause: error });
}
