/**
 * Operator control, put together: orders, the list, and the interval that sweeps it.
 *
 * @module
 */
import type { StateStore } from "../../storage/sqlite/records.ts";
import type { AuditLog } from "../audit/log.ts";
import type { Clock } from "../clock.ts";
import { clean } from "../engine/evidence.ts";
import { governanceEntry } from "../engine/governance.ts";
import { OPERATION_LIMITS } from "../operations/limits.ts";
import { Operations } from "../operations/operations.ts";

/** What the room stands on. */
export interface OperationsRoomOptions {
  readonly store: Pick<StateStore, "commit" | "records">;
  readonly audit: Pick<AuditLog, "append">;
  readonly clock: Clock;
  /** Without it the one who drives the room calls `tick`: the deterministic simulation does. */
  readonly interval?: boolean;
}

/** The room, open. Its part of the engine is {@linkcode Operations} itself. */
export interface OperationsRoom {
  readonly operations: Operations;
  tick(now_ms: number): Promise<void>;
  close(): Promise<void>;
}

/** Loads the standing orders and starts sweeping. */
export async function openOperations(options: OperationsRoomOptions): Promise<OperationsRoom> {
  const { store, audit, clock } = options;
  const operations = await Operations.open({
    store,
    now_ms: clock.now_ms,
    redact: clean,
    record: async (action, facts) =>
      (await audit.append(governanceEntry(action, facts, clock))).seq,
  });
  const timer = options.interval === false ? undefined : setInterval(
    () => void operations.tick(clock.now_ms()),
    OPERATION_LIMITS.sweep_interval_ms,
  );
  return {
    operations,
    tick: (now_ms) => operations.tick(now_ms),
    close: async () => {
      clearInterval(timer);
      await operations.close();
    },
  };
}
