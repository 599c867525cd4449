/**
 * `assembly.admin.v1.RuntimeService`: what lets a runtime decide without a round trip.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { type CallContext, Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  type FollowEvent,
  FollowEventSchema,
  type FollowRequest,
  LeaseResponseSchema,
  ListRuntimesResponseSchema,
  ReportResponseSchema,
  type RuntimeService,
} from "../../proto/gen/assembly/admin/v1/runtime_pb.ts";
import type { LeaseRequest, LeaseResponse } from "../../proto/gen/assembly/admin/v1/runtime_pb.ts";
import { contains } from "../../core/iam/permits.ts";
import { actionFromWire } from "../../proto/mapping.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import { effectiveEnforcement } from "../registry/enforcement.ts";
import { type Registry, registryKeyOf } from "../registry/registry.ts";
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters.ts";
import type { Operators } from "../identity/operators.ts";
import type { OperationsPart } from "../engine/parts.ts";
import type { Follower, FollowNews } from "../runtimes/follower.ts";
import type { Leases } from "../runtimes/leases.ts";
import { RUNTIME_ROOM_LIMITS } from "../runtimes/limits.ts";
import { ReportError, type Reports } from "../runtimes/reports.ts";
import { type Runtimes, TooManyRuntimes } from "../runtimes/runtimes.ts";
import { presentedToken, requireAgent } from "./caller.ts";
import { requirePermission } from "./operator.ts";

/** What the service needs. */
export interface RuntimeServiceDependencies {
  readonly runtimes: Runtimes;
  readonly leases: Leases;
  readonly reports: Reports;
  readonly operations: OperationsPart;
  readonly registry: Registry;
  readonly operators: Operators;
  readonly counters: Counters;
  readonly clock: Clock;
}

/** Handlers of the whole service. */
export function runtimeHandlers(
  on: RuntimeServiceDependencies,
): ServiceHandlers<typeof RuntimeService> {
  return {
    follow: (requests, context) => follow(on, requests, context),
    lease: (request, context) => lease(on, request, context),
    report: async (request, context) => {
      const agent = requireAgent(context, on.registry, on.counters);
      try {
        const through = await on.reports.take(request, agent);
        return create(ReportResponseSchema, { durableThrough: BigInt(through) });
      } catch (error) {
        throw error instanceof ReportError ? reportStatus(error) : error;
      }
    },
    listRuntimes: (_request, context) => {
      const operator = requirePermission(context, on.operators, on.counters, "agent.read");
      const { runtimes, leases, registry } = on;
      const shown = ({ who }: Follower) => {
        const record = registry.byKey(who.agent_key);
        return record !== undefined && contains(operator, record);
      };
      return create(ListRuntimesResponseSchema, {
        gatewayId: runtimes.gateway_id,
        epoch: BigInt(runtimes.epoch),
        allAcknowledged: runtimes.all_acknowledged,
        runtimes: runtimes.all().filter(shown).toArray().map((
          { who, epoch_sent, epoch_acknowledged },
        ) => ({
          runtimeId: who.runtime_id,
          agentKey: who.agent_key,
          agentId: who.agent_id,
          version: who.version,
          attachedAtUnixMs: BigInt(who.attached_ms),
          epochSent: BigInt(epoch_sent),
          epochAcknowledged: BigInt(epoch_acknowledged),
          leasesOut: leases.ofRuntime(who.agent_key, who.runtime_id),
        })),
      });
    },
  };
}

async function* follow(
  on: RuntimeServiceDependencies,
  requests: AsyncIterable<FollowRequest>,
  context: CallContext,
): AsyncGenerator<FollowEvent> {
  const record = requireAgent(context, on.registry, on.counters);
  const reader = requests[Symbol.asyncIterator]();
  const first = await reader.next();
  const follower = attached(on, first.done === true ? undefined : first.value, record, context);
  context.sendHeaders();
  const reading = readPings(on, follower, reader);
  try {
    for await (const news of follower) yield wireEvent(on, news);
  } finally {
    reading.catch(() => {});
  }
  const status = endStatus(follower);
  if (status !== undefined) throw status;
}

function attached(
  on: RuntimeServiceDependencies,
  first: FollowRequest | undefined,
  record: AgentRecord,
  context: CallContext,
): Follower {
  if (first?.kind.case !== "hello") throw invalid("hello: the first request must be it");
  const { agentId, runtimeId: runtime_id, version } = first.kind.value;
  if (agentId === undefined) throw invalid("hello.agent_id: is missing");
  const { orgId: org_id, teamId: team_id, agentId: agent_id } = agentId;
  if (
    registryKeyOf({ org_id, team_id, agent_id }) !== record.key || agent_id !== record.agent_id
  ) {
    throw new GrpcError(
      "hello.agent_id: is not the agent that the credential token belongs to",
      Code.PERMISSION_DENIED,
    );
  }
  const { name_chars } = RUNTIME_ROOM_LIMITS;
  if (runtime_id === "" || runtime_id.length > name_chars) {
    throw invalid(`hello.runtime_id: must have 1 to ${name_chars} characters`);
  }
  if (version.length > name_chars) {
    throw invalid(`hello.version: is longer than ${name_chars} characters`);
  }
  const who = {
    agent_key: record.key,
    agent_id,
    runtime_id,
    version,
    token: presentedToken(context.metadata),
    attached_ms: Math.max(0, on.clock.now_ms()),
  };
  try {
    return on.runtimes.attach(who, record, context.signal);
  } catch (error) {
    if (!(error instanceof TooManyRuntimes)) throw error;
    throw new GrpcError(error.message, Code.RESOURCE_EXHAUSTED, { cause: error });
  }
}

/** A runtime that stops asking ends its stream: without pings it may decide nothing anyway. */
async function readPings(
  on: RuntimeServiceDependencies,
  follower: Follower,
  reader: AsyncIterator<FollowRequest>,
): Promise<void> {
  try {
    while (true) {
      const next = await reader.next();
      if (next.done === true) break;
      const { kind } = next.value;
      if (kind.case === "ping") on.runtimes.ping(follower, kind.value.number, kind.value.epoch);
    }
  } catch {
    // The call ended; its signal ends the stream.
  }
  follower.end("cancelled");
}

function wireEvent(on: RuntimeServiceDependencies, news: FollowNews): FollowEvent {
  if (news.kind === "pong") {
    return create(FollowEventSchema, {
      kind: {
        case: "pong",
        value: {
          number: news.number,
          authorityMs: RUNTIME_ROOM_LIMITS.authority_ms,
          nowUnixMs: BigInt(Math.max(0, news.now_ms)),
        },
      },
    });
  }
  const { policy, principal, orders, suspended } = news.state;
  return create(FollowEventSchema, {
    kind: {
      case: "snapshot",
      value: {
        gatewayId: on.runtimes.gateway_id,
        epoch: BigInt(news.epoch),
        ...(policy === undefined ? {} : { policy }),
        principal,
        orders: orders.map(({ op_id, signal }) => ({ opId: op_id, signal })),
        suspended,
      },
    },
  });
}

function endStatus({ ended }: Follower): GrpcError | undefined {
  switch (ended) {
    case "lagging":
      return new GrpcError("events are waiting unread: follow again", Code.RESOURCE_EXHAUSTED);
    case "replaced":
      return new GrpcError("a newer stream took its place", Code.ABORTED);
    case "credential":
      return new GrpcError("credential token is no longer valid", Code.UNAUTHENTICATED);
    case "stopped":
      return new GrpcError("the gateway stops: follow again", Code.UNAVAILABLE);
    default:
      return undefined;
  }
}

async function lease(
  on: RuntimeServiceDependencies,
  request: LeaseRequest,
  context: CallContext,
): Promise<LeaseResponse> {
  const agent = requireAgent(context, on.registry, on.counters);
  const { asks, returns, runtimeId: runtime_id } = request;
  const { lease_asks, name_chars } = RUNTIME_ROOM_LIMITS;
  if (asks.length > lease_asks || returns.length > lease_asks) {
    throw invalid(`asks, returns: at most ${lease_asks} of each in one call`);
  }
  const durable: Promise<void>[] = [];
  for (const { leaseId, callsUsed } of returns) {
    const ended = on.leases.giveBack(agent.key, leaseId, callsUsed);
    if (ended !== undefined) durable.push(ended);
  }
  const refusal = leaseRefusal(on, request, agent);
  const now_ms = on.clock.now_ms();
  const grants = asks.map(({ classId, sample, calls }) => {
    if (classId.length > name_chars) throw invalid("asks.class_id: is too long");
    if (refusal !== undefined) return { classId, refusal };
    const mapped = actionFromWire(sample);
    if (!mapped.ok) return { classId, refusal: `sample.${mapped.field}: ${mapped.message}` };
    if (calls < 1) return { classId, refusal: "calls: must be at least 1" };
    const granted = on.leases.grant({
      principal: on.registry.principalOf(agent, now_ms),
      agent_key: agent.key,
      runtime_id,
      action: mapped.action,
      calls,
    });
    if (granted.outcome === "refused") return { classId, refusal: granted.reason };
    durable.push(granted.durable);
    const lastsMs = RUNTIME_ROOM_LIMITS.lease_lasts_ms;
    return { classId, leaseId: granted.lease_id, calls: granted.calls, lastsMs };
  });
  // A lease that a crash of this gateway would forget is none.
  await Promise.all(durable);
  return create(LeaseResponseSchema, { grants });
}

/** Why nothing is leased to this runtime at all. */
function leaseRefusal(
  on: RuntimeServiceDependencies,
  { gatewayId, runtimeId, epoch }: LeaseRequest,
  agent: AgentRecord,
): string | undefined {
  if (gatewayId !== on.runtimes.gateway_id) {
    return "the gateway has been started anew: follow again";
  }
  const follower = on.runtimes.find(agent.key, runtimeId);
  if (follower === undefined) return "this runtime does not follow";
  if (epoch !== BigInt(follower.epoch_sent)) return "another snapshot is on its way";
  const now_ms = on.clock.now_ms();
  if (effectiveEnforcement(agent.enforcement, now_ms).mode === "observe") {
    return "the agent is observed only";
  }
  return on.operations.denial(on.registry.principalOf(agent, now_ms), "", "");
}

function reportStatus(error: ReportError): GrpcError {
  const codes = {
    invalid: Code.INVALID_ARGUMENT,
    gap: Code.FAILED_PRECONDITION,
    diverged: Code.FAILED_PRECONDITION,
    unknown_spool: Code.NOT_FOUND,
    not_yours: Code.PERMISSION_DENIED,
    busy: Code.RESOURCE_EXHAUSTED,
    unavailable: Code.UNAVAILABLE,
  };
  return new GrpcError(error.message, codes[error.code], { cause: error });
}

function invalid(message: string): GrpcError {
  return new GrpcError(message, Code.INVALID_ARGUMENT);
}
