/**
 * The ledger and the approval queue of a simulated gateway: the shipped approvals room on simulated
 * time, and what operators do in it.
 *
 * @module
 */
import type { ApprovalRequest, Approver } from "../../core/approval/mod.ts";
import type { PolicySet } from "../../core/policy/compile.ts";
import { Counters } from "../../gateway/counters.ts";
import type { ApprovalsPart, LedgerPart } from "../../gateway/engine/parts.ts";
import type { AuditLog } from "../../gateway/audit/log.ts";
import type { Registry } from "../../gateway/registry/registry.ts";
import { type ApprovalsHouse, openApprovals } from "../../gateway/rooms/approvals.ts";
import type { StateStore } from "../../storage/sqlite/records.ts";
import { ZONE } from "./policies.ts";
import { PlainLedger } from "./stand_ins.ts";
import type { World } from "./world.ts";

/** What rooms are opened with. */
export interface RoomParts {
  readonly store: StateStore;
  readonly audit: AuditLog;
  readonly registry: Registry;
  readonly policy: { readonly current: PolicySet };
}

/** A person's answer, or an agent's attempt to give one. */
export interface Answered {
  readonly request_id: string;
  readonly approver: Approver;
  readonly approve: boolean;
  readonly conditions: readonly string[];
}

/** The rooms, and what operators do in them. */
export interface Rooms {
  readonly ledger: LedgerPart;
  readonly approvals: ApprovalsPart;
  /** Requests that wait for a person. */
  pendingApprovals(): readonly ApprovalRequest[];
  /** Somebody answers; resolves with why it was refused, or nothing once it is acknowledged. */
  answer(answered: Answered): Promise<string | undefined>;
  /** Time passes: what is due happens. */
  tick(): Promise<void>;
}

/** Opens the rooms over the state of the run. */
export async function openRooms(world: World, parts: RoomParts): Promise<Rooms> {
  const { store } = parts;
  const ledger = await PlainLedger.open(
    store,
    (at_ms) =>
      Temporal.Instant.fromEpochMilliseconds(at_ms).toZonedDateTimeISO(ZONE).toPlainDate()
        .toString(),
  );
  const house = { ...parts, clock: world.clock, counters: new Counters() };
  // Services are not opened: nothing here asks for operators or for the store of policies.
  const { queue, part, tick } = await openApprovals(house as unknown as ApprovalsHouse, {
    timer: false,
  });
  return {
    ledger,
    approvals: part,
    pendingApprovals: () => {
      const { book } = queue;
      if ("ok" in book) {
        world.verdict.violated("recovery", book.message);
        return [];
      }
      return [...book.liveRequests()].filter(({ state }) => state.status === "pending");
    },
    answer: async ({ request_id, approver, approve, conditions }) => {
      const { book } = queue;
      const digest = "ok" in book ? undefined : book.get(request_id)?.call.digest;
      const changed = await queue.answer(request_id, approver, {
        verdict: approve ? "approve" : "reject",
        reason: approve ? "" : "not today",
        conditions,
        ...(digest === undefined ? {} : { expected_digest: digest }),
      });
      return changed.ok ? undefined : changed.code;
    },
    tick,
  };
}
