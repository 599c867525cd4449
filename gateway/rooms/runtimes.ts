/**
 * The room of runtimes: who follows, what is leased to them, what they report.
 *
 * @module
 */
import { RuntimeService } from "../../proto/gen/assembly/admin/v1/runtime_pb.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { AnomaliesPart } from "../engine/parts.ts";
import type { Operations } from "../operations/operations.ts";
import { Cursors } from "../runtimes/cursors.ts";
import { Leases } from "../runtimes/leases.ts";
import { RUNTIME_ROOM_LIMITS } from "../runtimes/limits.ts";
import { RememberedPolicies } from "../runtimes/policies.ts";
import { Reports, type ReportsOptions } from "../runtimes/reports.ts";
import { Runtimes } from "../runtimes/runtimes.ts";
import { runtimeHandlers } from "../services/runtime.ts";
import type { ComponentState, House, Room } from "./room.ts";

/** What the room needs of the house. */
export type RuntimesHouse = Pick<
  House,
  | "policy"
  | "registry"
  | "operators"
  | "counters"
  | "clock"
  | "store"
  | "audit"
  | "buckets"
>;

/** Rooms that it stands on. */
export interface RuntimesNeighbours {
  readonly ledger: Ledger | undefined;
  readonly operations: Operations;
  readonly anomalies?: AnomaliesPart;
  readonly raise: ReportsOptions["raise"];
}

/** The open room. */
export interface RuntimesRoom extends Room {
  readonly runtimes: Runtimes;
  readonly leases: Leases;
  readonly reports: Reports;
  /** Forgets what is over. */
  tick(): void;
}

/**
 * Loads the cursors of spools and listens for what runtimes must hear of.
 *
 * @throws {StoreError} when the store cannot be read.
 */
export async function openRuntimes(
  house: RuntimesHouse,
  { ledger, operations, anomalies, raise }: RuntimesNeighbours,
): Promise<RuntimesRoom> {
  const { policy, registry, counters, clock, store, audit, buckets } = house;
  const monotonic_ms = () => clock.monotonic_us() / 1_000;
  const newId = () => crypto.randomUUID();
  const policies = new RememberedPolicies();
  const note = () => policies.note(policy.digest, policy.current);
  note();
  const runtimes = new Runtimes({
    gateway_id: newId(),
    registry,
    policy: () => policy,
    orders: (agent) => operations.standing(agent),
    now_ms: clock.now_ms,
    monotonic_ms,
  });
  const leases = new Leases({
    ledger,
    buckets,
    policy: () => policy.current,
    now_ms: clock.now_ms,
    newId,
  });
  const cursors = await Cursors.open({ store });
  const reports = new Reports({
    ...{ cursors, audit, registry, policies, leases, raise, operations, counters, clock },
    ...(anomalies === undefined ? {} : { anomalies }),
  });
  const deaf = [
    policy.onReplaced(() => {
      note();
      runtimes.policyReplaced();
    }),
    registry.onApplied((change) => runtimes.recordChanged(change)),
    operations.onOrdered((agent) => runtimes.ordered(agent)),
  ];
  const tick = () => leases.tick(clock.now_ms());
  const timer = setInterval(tick, RUNTIME_ROOM_LIMITS.sweep_interval_ms);
  Deno.unrefTimer(timer);
  return {
    runtimes,
    leases,
    reports,
    tick,
    serve: (server) => {
      server.addService(
        RuntimeService,
        runtimeHandlers({ ...house, runtimes, leases, reports, operations }),
      );
      return [];
    },
    components: () => [componentOf(runtimes, leases, cursors)],
    hush: () => runtimes.stop(),
    close: () => {
      clearInterval(timer);
      for (const stop of deaf) stop();
      runtimes.stop();
      return Promise.resolve();
    },
  };
}

function componentOf(runtimes: Runtimes, leases: Leases, cursors: Cursors): ComponentState {
  const name = "runtimes";
  if (cursors.damaged.length > 0) {
    const detail = `how far ${cursors.damaged.length} spool(s) were taken cannot be read, the ` +
      `first is \`${
        cursors.damaged[0]
      }\`: their reports are refused; restore a backup of registry.db`;
    return { name, state: "degraded", detail };
  }
  let oldest = runtimes.epoch;
  for (const { epoch_acknowledged } of runtimes.all()) {
    oldest = Math.min(oldest, epoch_acknowledged);
  }
  const detail = `${runtimes.size} attached, oldest epoch acknowledged ${oldest} of ` +
    `${runtimes.epoch}, ${leases.size} lease(s) out, ${cursors.size} spool(s) known`;
  return { name, state: "enforcing", detail };
}
