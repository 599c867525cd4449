/**
 * `assembly.admin.v1.OperationsService`: operators pause, resume and end what agents do.
 *
 * @module
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type CallContext, Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  ListOpsResponseSchema,
  type OperationsService,
  type OpOrderRequest,
  type OpOrderResponse,
  OpOrderResponseSchema,
  type OpOrderSchema,
  type OpSchema,
} from "../../proto/gen/assembly/admin/v1/operations_pb.ts";
import { contains, GATEWAY, isBound, type Target } from "../../core/iam/permits.ts";
import type { Permission } from "../../core/iam/table.ts";
import type { Counters } from "../counters.ts";
import type { AuthenticatedOperator, Operators } from "../identity/operators.ts";
import { OperationError, type OperationFailure } from "../operations/failure.ts";
import { OPERATION_LIMITS } from "../operations/limits.ts";
import type { Op } from "../operations/op_list.ts";
import { OP_STATES } from "../operations/op_state.ts";
import type { Operations, Ordered, Ordering } from "../operations/operations.ts";
import type { Order } from "../operations/order.ts";
import {
  AGENT_PREFIX,
  agentKey,
  FLEET,
  type OrderedAgent,
  type OrderTarget,
  wireOpId,
} from "../operations/target.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { Registry } from "../registry/registry.ts";
import { findAgent } from "./admin_agents.ts";
import { assertPermitted, requirePermission } from "./operator.ts";

/** What the service needs. */
export interface OperationsDependencies {
  readonly operations: Operations;
  readonly registry: Registry;
  readonly operators: Operators;
  readonly counters: Counters;
}

/** Orders shown on the first page of a listing. More are counted in `status`. */
const ORDERS_SHOWN_MAX = 1_000;

/** Handlers of the whole service. */
export function operationsHandlers(
  on: OperationsDependencies,
): ServiceHandlers<typeof OperationsService> {
  const { operations } = on;
  const allowed = (context: CallContext, permission: Permission, target?: Target) =>
    requirePermission(context, on.operators, on.counters, permission, target);
  const order = (
    permission: Permission,
    give: (target: OrderTarget, ordering: Ordering) => Promise<Ordered>,
  ) =>
  async (request: OpOrderRequest, context: CallContext): Promise<OpOrderResponse> => {
    const operator = allowed(context, permission);
    const ordering = orderingOf(operator, request.reason);
    // Only the permission to halt the fleet lets one speak of it.
    const target = targetOf(on, request, permission === "ops.halt_all");
    assertPermitted(operator, on.counters, permission, ownerOf(on, target));
    return await answered(target, give(target, ordering));
  };
  return {
    listOps: (request, context) => listOps(on, allowed(context, "ops.read"), request),
    pause: order("ops.control", (target, ordering) => operations.pause(target, ordering)),
    resume: order("ops.control", (target, ordering) => operations.resume(target, ordering)),
    terminate: order("ops.control", (target, ordering) => operations.terminate(target, ordering)),
    liftHalt: order("ops.halt_all", (target, ordering) => operations.lift(target, ordering)),
    haltAll: async ({ action, reason }, context) => {
      const ordering = orderingOf(allowed(context, "ops.halt_all", GATEWAY), reason);
      if (action !== "pause" && action !== "terminate") {
        throw invalid(`action: cannot be \`${action.slice(0, 32)}\`: expected pause or terminate`);
      }
      const fleet: OrderTarget = { kind: "fleet" };
      return await answered(fleet, operations[action](fleet, ordering));
    },
  };
}

/** Whose a target is. An agent that is registered no more, or never was, belongs to the gateway. */
function ownerOf(on: OperationsDependencies, target: OrderTarget): Target {
  if (target.kind === "fleet") return GATEWAY;
  const record = recordOf(on, target.agent);
  if (record === undefined) return GATEWAY;
  return { kind: "tenant", org_id: record.org_id, team_id: record.team_id };
}

function recordOf(
  { registry }: OperationsDependencies,
  { registry_key }: OrderedAgent,
): AgentRecord | undefined {
  return registry_key === undefined ? undefined : registry.byKey(registry_key);
}

function listOps(
  on: OperationsDependencies,
  operator: AuthenticatedOperator,
  request: {
    readonly agent: string;
    readonly state: string;
    readonly pageSize: number;
    readonly pageToken: string;
  },
) {
  const state = OP_STATES.find((word) => word === request.state);
  if (request.state !== "" && state === undefined) {
    throw invalid(
      `state: cannot be \`${request.state.slice(0, 32)}\`: expected ${OP_STATES.join(", ")}`,
    );
  }
  if (!/^\d{0,15}$/.test(request.pageToken)) {
    throw invalid("page_token: is not one that a listing returned");
  }
  const after = Number(request.pageToken);
  const size = request.pageSize === 0
    ? OPERATION_LIMITS.page_default_ops
    : Math.min(request.pageSize, OPERATION_LIMITS.page_ops);
  const wanted = request.agent === "" ? undefined : agentKey(agentNamed(on, request.agent, true));
  const shown = (agent: OrderedAgent) => {
    if (wanted !== undefined && agentKey(agent) !== wanted) return false;
    if (!isBound(operator)) return true;
    const record = recordOf(on, agent);
    return record !== undefined && contains(operator, record);
  };
  const matching = on.operations.ops().filter((op) =>
    op.number > after && (state === undefined || op.state === state) && shown(op.agent)
  );
  const page = matching.slice(0, size);
  const status = on.operations.status();
  return create(ListOpsResponseSchema, {
    fleet: status.fleet,
    orders: after === 0
      ? on.operations.orders().filter(({ target }) =>
        target.kind === "fleet" ? wanted === undefined : shown(target.agent)
      ).slice(0, ORDERS_SHOWN_MAX).map(orderMessage)
      : [],
    ops: page.map(opMessage),
    nextPageToken: matching.length > size ? String(page.at(-1)?.number ?? "") : "",
    subscribers: status.subscribers,
    unsavedOrders: status.unsaved,
  });
}

function targetOf(
  on: OperationsDependencies,
  request: OpOrderRequest,
  fleet_allowed: boolean,
): OrderTarget {
  const { target } = request;
  if (fleet_allowed && (target === "" || target === FLEET)) return { kind: "fleet" };
  if (target === FLEET) {
    throw invalid("target: `*` is the whole fleet: use HaltAll and LiftHalt (`aasm ops halt-all`)");
  }
  if (target.startsWith(AGENT_PREFIX)) {
    const name = target.slice(AGENT_PREFIX.length);
    if (name === "") throw invalid("target: expected `agent:<id>`, the id is empty");
    return { kind: "agent", agent: agentNamed(on, name, request.unregistered) };
  }
  if (!target.includes(":") || target.length > OPERATION_LIMITS.op_id_chars) {
    throw invalid("target: expected `agent:<id>` or `<trace>:<span>`");
  }
  const agent = request.agent === ""
    ? named(() => on.operations.agentOfOp(target))
    : agentNamed(on, request.agent, request.unregistered);
  return { kind: "op", agent, op_id: target };
}

function agentNamed(
  on: OperationsDependencies,
  name: string,
  unregistered_allowed: boolean,
): OrderedAgent {
  if (unregistered_allowed && on.registry.find(name).outcome === "unknown") {
    return { agent_id: name };
  }
  const record = findAgent(on.registry, name);
  return { registry_key: record.key, agent_id: record.agent_id };
}

function orderingOf(operator: { readonly name: string }, reason: string): Ordering {
  if (reason.trim() === "") throw invalid("reason: is missing: say why");
  return { actor: `operator:${operator.name}`, reason };
}

async function answered(target: OrderTarget, change: Promise<Ordered>): Promise<OpOrderResponse> {
  let done: Ordered;
  try {
    done = await change;
  } catch (error) {
    throw statusOf(error);
  }
  return create(OpOrderResponseSchema, {
    target: wireOpId(target),
    agentKey: target.kind === "fleet" ? "" : target.agent.registry_key ?? "",
    stateBefore: done.before,
    stateNow: done.now,
    auditIndex: done.audit_index ?? 0n,
    subscribersTold: done.told,
  });
}

const CODES: Readonly<Record<OperationFailure, Code>> = {
  not_found: Code.NOT_FOUND,
  invalid_transition: Code.FAILED_PRECONDITION,
  ambiguous: Code.FAILED_PRECONDITION,
  limit_reached: Code.RESOURCE_EXHAUSTED,
  busy: Code.ABORTED,
  audit_unavailable: Code.UNAVAILABLE,
  storage_failed: Code.UNAVAILABLE,
};

function statusOf(error: unknown): unknown {
  if (!(error instanceof OperationError)) return error;
  return new GrpcError(error.message, CODES[error.code], { cause: error });
}

function named<T>(look: () => T): T {
  try {
    return look();
  } catch (error) {
    throw statusOf(error);
  }
}

function opMessage(op: Op): MessageInitShape<typeof OpSchema> {
  return {
    opId: op.op_id,
    agentId: op.agent.agent_id,
    agentKey: op.agent.registry_key ?? "",
    state: op.state,
    detail: op.detail,
    startedAtUnixMs: BigInt(op.started_ms),
    touchedAtUnixMs: BigInt(op.touched_ms),
  };
}

function orderMessage(order: Order): MessageInitShape<typeof OpOrderSchema> {
  const agent = order.target.kind === "fleet" ? undefined : order.target.agent;
  return {
    target: wireOpId(order.target),
    agentId: agent?.agent_id ?? "",
    agentKey: agent?.registry_key ?? "",
    state: order.signal === "pause" ? "paused" : "terminated",
    reason: order.reason,
    actor: order.actor,
    sinceUnixMs: BigInt(order.since_ms),
  };
}

function invalid(message: string): GrpcError {
  return new GrpcError(message, Code.INVALID_ARGUMENT);
}
