/**
 * The gateway put together: state, policy, engine, services, listeners. Owns the order in which
 * they start and stop; `main.ts` owns the process around it.
 *
 * @module
 */
import { RateBuckets } from "../core/policy/rate_limit.ts";
import { VERSION } from "../core/version.ts";
import {
  addHealthService,
  type Bounds,
  GrpcServer,
  type HealthControl,
  type ServerEvent,
} from "../grpc/mod.ts";
import { CHECK_ACTION_SERVER_CODEC } from "../proto/check_action_codec.ts";
import { AdminService } from "../proto/gen/assembly/admin/v1/admin_pb.ts";
import { AgentLifecycleService } from "../proto/gen/assembly/agent/v1/agent_pb.ts";
import { AuditService } from "../proto/gen/assembly/audit/v1/audit_pb.ts";
import { PolicyService } from "../proto/gen/assembly/policy/v1/policy_pb.ts";
import type { AuditLog } from "./audit/log.ts";
import { type Clock, SYSTEM_CLOCK } from "./clock.ts";
import type { GatewayConfig } from "./config.ts";
import { Counters } from "./counters.ts";
import { type Answer, DecisionEngine } from "./engine/engine.ts";
import { ControlStreams } from "./registry/control_streams.ts";
import { RegistryError } from "./registry/failure.ts";
import type { PolicyStore } from "./engine/policy_store.ts";
import { openPolicy } from "./policy/open.ts";
import { governanceEntry } from "./engine/governance.ts";
import { type OpenState, openState } from "./state.ts";
import { adminHandlers } from "./services/admin.ts";
import { auditHandlers } from "./services/audit.ts";
import { lifecycleHandlers } from "./services/lifecycle.ts";
import { policyHandlers } from "./services/policy.ts";
import { openRooms } from "./rooms/mod.ts";
import type { Rooms } from "./rooms/room.ts";
import { listenAll } from "./transport/listeners.ts";
import type { TransportWorkers } from "./transport/workers.ts";

/** Full names of the reference services that are no room's. */
export const SERVED = [
  PolicyService.typeName,
  AgentLifecycleService.typeName,
  AuditService.typeName,
] as const;

/**
 * The reference's server lets a client ask for a sign of life as often as it likes, and its clients
 * are used to that; a PING a second is still no load.
 */
const TRANSPORT_BOUNDS: Partial<Bounds> = {
  min_ping_interval_ms: 1000,
  min_ping_interval_without_calls_ms: 1000,
};

/** Our own mistakes, counted by name; what peers do wrong is in the transport's statistics. */
const TRANSPORT_FAULTS: ReadonlySet<ServerEvent["type"]> = new Set([
  "handler_failed",
  "accept_failed",
  "internal_error",
]);

/** A running gateway. */
export interface Gateway {
  /** Where it listens, e.g. `127.0.0.1:50051`, `unix:/run/aasm.sock`. */
  readonly listeners: readonly string[];
  /** What start-up found and mended in the audit log; empty when it was clean. */
  readonly recovery: string;
  readonly policy: PolicyStore;
  readonly audit: AuditLog;
  /** Answers what is in flight, closes the log with a checkpoint, closes the store. */
  stop(reason: string): Promise<void>;
}

/**
 * Starts a gateway; resolves when every listener accepts.
 *
 * @throws {Error} with what failed and what to do, when any part cannot start. Nothing is left open then.
 */
export async function startGateway(
  config: GatewayConfig,
  clock: Clock = SYSTEM_CLOCK,
): Promise<Gateway> {
  // The registry is asked what a team's budget leaves, and the ledger that knows opens after it.
  const made: Made = {};
  const state = await openState(
    config,
    clock,
    (org_id, team_id) => made.rooms?.teamBudgetRemaining(org_id, team_id),
  );
  try {
    return await assemble(config, clock, state, made);
  } catch (error) {
    await state.close();
    throw error;
  }
}

/** What is made after something that asks for it. */
interface Made {
  engine?: DecisionEngine;
  rooms?: Rooms;
}

async function assemble(
  config: GatewayConfig,
  clock: Clock,
  state: OpenState,
  made: Made,
): Promise<Gateway> {
  const { audit, registry } = state;
  const counters = new Counters();
  const { policy, history } = await openPolicy({ config, store: state.store, audit, clock });
  const buckets = new RateBuckets();
  const control_streams = new ControlStreams(registry);
  const rooms = await openRooms({
    config,
    clock,
    store: state.store,
    audit,
    registry,
    operators: state.operators,
    enrolments: state.enrolments,
    challenges: state.challenges,
    control_streams,
    policy,
    policy_history: history,
    buckets,
    counters,
    engine: () => made.engine ?? fail("the engine was asked for before it was made"),
  });
  made.rooms = rooms;
  try {
    const engine = new DecisionEngine({
      registry,
      policy: () => policy.current,
      buckets,
      clock,
      parts: rooms.parts,
    });
    made.engine = engine;
    return await serve({ config, clock, state, counters, policy, engine, rooms, control_streams });
  } catch (error) {
    await rooms.close().catch(() => {
      // What went wrong first is what the operator must hear of.
    });
    throw error;
  }
}

function fail(message: string): never {
  throw new Error(message);
}

/** What is served, put together. */
interface Assembled {
  readonly config: GatewayConfig;
  readonly clock: Clock;
  readonly state: OpenState;
  readonly counters: Counters;
  readonly policy: PolicyStore;
  readonly engine: DecisionEngine;
  readonly rooms: Rooms;
  readonly control_streams: ControlStreams;
}

async function serve(assembled: Assembled): Promise<Gateway> {
  const { config, clock, state, counters, policy, engine, rooms, control_streams } = assembled;
  const { audit, registry } = state;
  const server = new GrpcServer({
    bounds: TRANSPORT_BOUNDS,
    onEvent: ({ type }) => {
      if (TRANSPORT_FAULTS.has(type)) counters.add(`grpc.${type}`);
    },
  });
  const started_ms = clock.now_ms();
  const suspend = ({ key, cause }: NonNullable<Answer["suspend"]>) => {
    const made = cause === "budget"
      ? registry.suspend(key, "budget limit exceeded", { cause: "budget_exceeded" })
      : registry.suspend(key, "quarantined: anomaly detected", { cause: "policy" });
    made.catch((error) => {
      // Already suspended is the usual race of two denials; anything else is counted and shown.
      if (!(error instanceof RegistryError && error.code === "wrong_status")) {
        counters.add("suspensions_failed");
      }
    });
  };
  const lifecycle = lifecycleHandlers({
    registry,
    challenges: state.challenges,
    clock,
    tenancy: config.tenancy,
    control_streams,
    enrolments: state.enrolments,
    require_enrolment: config.require_enrolment,
    withinBudget: (agent) => rooms.withinBudget(agent),
  });
  server.addService(
    PolicyService,
    {
      ...policyHandlers({ engine, audit, counters, monotonic_us: clock.monotonic_us, suspend }),
      ...rooms.policy_methods,
    },
    { codecs: { checkAction: CHECK_ACTION_SERVER_CODEC } },
  );
  server.addService(AgentLifecycleService, lifecycle);
  server.addService(AuditService, auditHandlers({ audit, registry, counters, clock }));
  const addresses: string[] = [];
  const transport: { workers?: TransportWorkers | undefined } = {};
  server.addService(
    AdminService,
    adminHandlers({
      audit,
      registry,
      engine,
      policy,
      counters,
      clock,
      operators: state.operators,
      listeners: addresses,
      started_ms,
      recovery: state.recovery,
      transport: () => server.stats,
      workers: () => transport.workers?.status(),
      rooms: () => rooms.components(),
    }),
  );
  const served = [...SERVED, ...rooms.serve(server)];
  const health = addHealthService(server, served);
  await audit.append(governanceEntry("gateway_started", {
    version: VERSION,
    policy_state: policy.status().state,
    policy_source: policy.status().source,
    policy_doc_ids: policy.status().document_ids,
    recovery: state.recovery,
  }, clock));
  const listening = await listenAll(server, config, TRANSPORT_BOUNDS);
  transport.workers = listening.workers;
  addresses.push(...listening.addresses);
  policy.watch();
  return {
    listeners: addresses,
    recovery: state.recovery,
    policy,
    audit,
    stop: (reason) =>
      stopGateway({
        config,
        clock,
        state,
        server,
        workers: listening.workers,
        health,
        served,
        policy,
        rooms,
        control_streams,
        reason,
      }),
  };
}

interface Stopping {
  readonly config: GatewayConfig;
  readonly clock: Clock;
  readonly state: OpenState;
  readonly server: GrpcServer;
  readonly workers: TransportWorkers | undefined;
  readonly health: HealthControl;
  readonly served: readonly string[];
  readonly rooms: Rooms;
  readonly policy: PolicyStore;
  readonly control_streams: ControlStreams;
  readonly reason: string;
}

async function stopGateway(stopping: Stopping): Promise<void> {
  const { config, clock, state, server, workers, health, policy, rooms } = stopping;
  for (const service of ["", ...stopping.served]) health.set(service, "NOT_SERVING");
  stopping.control_streams.stop();
  rooms.hush();
  await policy.close();
  workers?.stop();
  await server.shutdown({ grace_ms: config.grace_ms });
  const closed = await Promise.allSettled([rooms.close()]);
  await state.audit.append(governanceEntry("gateway_stopped", { reason: stopping.reason }, clock))
    .catch(() => {
      // A log that has failed cannot record its own end; `status` and the exit code told of it.
    });
  await state.close();
  for (const room of closed) if (room.status === "rejected") throw room.reason;
}
