/**
 * `assembly.admin.v1.AdminService`: what operators see and do. Not part of the reference.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import type { CallContext, ServerStats, ServiceHandlers } from "../../grpc/mod.ts";
import { Code, GrpcError } from "../../grpc/mod.ts";
import { mayGrant, type Target, type Tenant } from "../../core/iam/permits.ts";
import { OPERATOR_SCOPES, roleOfScope } from "../../core/iam/role.ts";
import type { Permission } from "../../core/iam/table.ts";
import { capabilityMatrix } from "../../core/policy/matrix.ts";
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
import {
  type AuthenticatedOperator,
  OperatorError,
  type Operators,
} from "../identity/operators.ts";
import type { ComponentState } from "../rooms/room.ts";
import type { TransportStatus } from "../transport/workers.ts";
import type { Registry } from "../registry/registry.ts";
import { agentAdministration, findAgent } from "./admin_agents.ts";
import { auditAdministration } from "./admin_audit.ts";
import { statusMessage } from "./admin_status.ts";
import { assertPermitted, requirePermission } from "./operator.ts";

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
  /** How the rooms are. */
  readonly rooms: () => readonly ComponentState[];
}

/**
 * Checks the caller and returns it; every handler starts with it. What belongs to a tenant is asked
 * for again, with its owner, once it is known whose it is.
 */
export interface Authorise {
  (context: CallContext, permission: Permission, target?: Target): AuthenticatedOperator;
  /** @throws {GrpcError} `PERMISSION_DENIED` */
  readonly owns: (operator: AuthenticatedOperator, permission: Permission, tenant: Tenant) => void;
}

/** Handlers; every one needs an operator token. */
export function adminHandlers(
  on: AdminDependencies,
): Partial<ServiceHandlers<typeof AdminService>> {
  const authorise = authoriser(on);
  return {
    ...agentAdministration(on, authorise),
    ...auditAdministration(on, authorise),
    getStatus: (_request, context) => {
      authorise(context, "status.read");
      return statusMessage(on);
    },
    explainAction: ({ request }, context) => {
      authorise(context, "policy.read");
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
      const operator = authorise(context, "agent.read");
      const record = findAgent(on.registry, agent);
      authorise.owns(operator, "agent.read", record);
      const principal = on.registry.principalOf(record, on.clock.now_ms());
      const matrix = capabilityMatrix(on.policy.current, principal);
      return create(GetCapabilityMatrixResponseSchema, {
        state: matrix.state,
        cells: matrix.state === "configured" ? matrix.cells.map((cell) => ({ ...cell })) : [],
      });
    },
    createOperatorToken: async ({ name, scope }, context) => {
      const operator = authorise(context, "iam.manage");
      const known = OPERATOR_SCOPES.find((word) => word === scope);
      if (known === undefined) {
        throw invalid(`scope: cannot be \`${scope.slice(0, 32)}\`: expected read, write or admin`);
      }
      const role = roleOfScope(known);
      const created_by = `operator:${operator.name}`;
      const { org_id } = operator;
      const wanted = { name, role, ...(org_id === undefined ? {} : { org_id }), created_by };
      if (!mayGrant(operator, wanted)) {
        throw new GrpcError(
          `operator \`${operator.name}\` cannot hand out the role \`${role}\`: it ranks above its own`,
          Code.PERMISSION_DENIED,
        );
      }
      try {
        on.operators.check(wanted);
        await on.audit.append(governanceEntry("operator_created", {
          actor: created_by,
          after: { name, role, org_id },
        }, on.clock));
        const token = await on.operators.create(wanted);
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

function authoriser(on: AdminDependencies): Authorise {
  return Object.assign(
    (context: CallContext, permission: Permission, target?: Target) =>
      requirePermission(context, on.operators, on.counters, permission, target),
    {
      owns: (operator: AuthenticatedOperator, permission: Permission, owner: Tenant) => {
        const { org_id, team_id } = owner;
        assertPermitted(operator, on.counters, permission, { kind: "tenant", org_id, team_id });
      },
    },
  );
}

/** An operator's failure as the gRPC error of the operator surface. */
export function operatorFailure(error: OperatorError): GrpcError {
  const codes = {
    invalid_name: Code.INVALID_ARGUMENT,
    invalid_field: Code.INVALID_ARGUMENT,
    last_owner: Code.FAILED_PRECONDITION,
    already_exists: Code.ALREADY_EXISTS,
    not_found: Code.NOT_FOUND,
    limit_reached: Code.RESOURCE_EXHAUSTED,
  } as const;
  return new GrpcError(error.message, codes[error.code], { cause: error });
}
