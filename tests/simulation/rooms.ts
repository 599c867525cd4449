/**
 * The ledger and the approval queue of a simulated gateway.
 *
 * @module
 */
import type { ApprovalsPart, LedgerPart } from "../../gateway/engine/parts.ts";
import type { AuditLog } from "../../gateway/audit/log.ts";
import type { Registry } from "../../gateway/registry/registry.ts";
import type { StateStore } from "../../storage/sqlite/records.ts";
import { ZONE } from "./policies.ts";
import { PlainApprovals, PlainLedger } from "./stand_ins.ts";
import type { World } from "./world.ts";

/** What rooms are opened with. */
export interface RoomParts {
  readonly store: StateStore;
  readonly audit: AuditLog;
  readonly registry: Registry;
}

/** The rooms, and what operators do in them. */
export interface Rooms {
  readonly ledger: LedgerPart;
  readonly approvals: ApprovalsPart;
  /** Requests that wait for a person. */
  pendingApprovals(): readonly string[];
  /** A person answers; resolves once it is acknowledged. */
  decide(request_id: string, approve: boolean): Promise<void>;
}

/** Opens the rooms over the state of the run. */
export async function openRooms(_world: World, { store }: RoomParts): Promise<Rooms> {
  const ledger = await PlainLedger.open(
    store,
    (at_ms) =>
      Temporal.Instant.fromEpochMilliseconds(at_ms).toZonedDateTimeISO(ZONE).toPlainDate()
        .toString(),
  );
  const approvals = await PlainApprovals.open(store);
  return {
    ledger,
    approvals,
    pendingApprovals: () => approvals.pending(),
    decide: (request_id, approve) => approvals.decide(request_id, approve),
  };
}
