/**
 * The room of operator control: orders, the list, and the interval that sweeps it.
 *
 * @module
 */
import { OperationsService } from "../../proto/gen/assembly/admin/v1/operations_pb.ts";
import { clean } from "../engine/evidence.ts";
import { governanceEntry } from "../engine/governance.ts";
import { OPERATION_LIMITS } from "../operations/limits.ts";
import { Operations, ORDERS_UNREADABLE } from "../operations/operations.ts";
import { opControlHandlers } from "../services/op_control.ts";
import { operationsHandlers } from "../services/operations.ts";
import type { ComponentState, House, Room } from "./room.ts";

/** What the room needs of the house. */
export type OperationsHouse =
  & Pick<
    House,
    "store" | "audit" | "registry" | "operators" | "counters" | "clock"
  >
  & { readonly config: Pick<House["config"], "op_control_loopback"> };

/** The open room. */
export interface OperationsRoom extends Room {
  readonly operations: Operations;
  /** Sweeps the list when it is time, and stores what could not be stored. */
  tick(now_ms: number): Promise<void>;
}

/**
 * Loads the standing orders and starts sweeping.
 *
 * @throws {StoreError} when the store cannot be read.
 */
export async function openOperations(house: OperationsHouse): Promise<OperationsRoom> {
  const { store, audit, registry, counters, clock } = house;
  const operations = await Operations.open({
    store,
    now_ms: clock.now_ms,
    redact: clean,
    record: async (action, facts) =>
      (await audit.append(governanceEntry(action, facts, clock))).seq,
  });
  const tick = (now_ms: number) => operations.tick(now_ms);
  const timer = setInterval(() => tick(clock.now_ms()), OPERATION_LIMITS.sweep_interval_ms);
  Deno.unrefTimer(timer);
  return {
    operations,
    tick,
    parts: { operations },
    policy_methods: opControlHandlers({
      operations,
      registry,
      counters,
      loopback_without_token: house.config.op_control_loopback,
    }),
    serve: (server) => {
      server.addService(OperationsService, operationsHandlers({ ...house, operations }));
      return [];
    },
    components: () => [componentOf(operations)],
    hush: () => operations.stopTelling(),
    close: async () => {
      clearInterval(timer);
      await operations.close();
    },
  };
}

function componentOf(operations: Operations): ComponentState {
  const { fleet, agent_orders, op_orders, unsaved, damaged } = operations.status();
  const name = "operator control";
  if (fleet === "damaged") {
    const detail = `${ORDERS_UNREADABLE}: ${damaged.length} stored order(s); ` +
      "review the agents, then `aasm ops lift`";
    return { name, state: "degraded", detail };
  }
  if (unsaved > 0) {
    const detail = `${unsaved} order(s) are in force but not on disk: they are tried again`;
    return { name, state: "degraded", detail };
  }
  const detail = fleet === "running"
    ? `orders stand for ${agent_orders} agent(s) and ${op_orders} operation(s)`
    : `all operations are ${fleet}: \`aasm ops lift\` ends it`;
  return { name, state: "enforcing", detail };
}
