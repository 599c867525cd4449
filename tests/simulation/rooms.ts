/**
 * The ledger and the approval queue of a simulated gateway: the shipped rooms on simulated time, and
 * what operators do in them.
 *
 * @module
 */
import type { ApprovalRequest, Approver } from "../../core/approval/mod.ts";
import type { PolicySet } from "../../core/policy/compile.ts";
import { Counters } from "../../gateway/counters.ts";
import type { ApprovalsPart, LedgerPart } from "../../gateway/engine/parts.ts";
import type { Ledger } from "../../gateway/ledger/ledger.ts";
import {
  release,
  settle,
  type Settlement,
  type Settler,
  type Usage,
} from "../../gateway/ledger/settlement.ts";
import { type LedgerHouse, openLedger } from "../../gateway/rooms/ledger.ts";
import type { AuditLog } from "../../gateway/audit/log.ts";
import type { Registry } from "../../gateway/registry/registry.ts";
import { type ApprovalsHouse, openApprovals } from "../../gateway/rooms/approvals.ts";
import type { StateStore } from "../../storage/sqlite/records.ts";
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
  /** The ledger's books; absent when its records could not be read. */
  readonly books: Ledger | undefined;
  /** Ends a reservation; without usage it is given back. Resolves once that is acknowledged. */
  end(id: string, settler: Settler, usage: Usage | undefined): Promise<Settlement>;
  /** Agents above a registered one, parent first. */
  above(registry_key: string): readonly string[];
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
  const { registry } = parts;
  const { clock, money, verdict } = world;
  const house = { ...parts, clock, counters: new Counters(), config: {} };
  const accounts = await openLedger(house as unknown as LedgerHouse, { interval: false });
  const books = accounts.ledger;
  if (books === undefined) {
    verdict.violated("recovery", accounts.components()[0]?.detail ?? "the ledger cannot be read");
  }
  // Services are not opened: nothing here asks for operators or for the store of policies.
  const { queue, part, tick } = await openApprovals(house as unknown as ApprovalsHouse, {
    timer: false,
  });
  return {
    ledger: accounts.parts.ledger,
    books,
    end: async (id, settler, usage) => {
      if (books === undefined) throw new Error("the ledger cannot be read");
      const now_ms = clock.now_ms();
      const ended = usage === undefined
        ? release(books, id, settler, now_ms)
        : settle(books, id, settler, usage, now_ms);
      money.ended(id, ended, now_ms);
      if (ended.ok) await ended.durable;
      return ended;
    },
    above: (registry_key) => {
      const keys: string[] = [];
      let record = registry.byKey(registry_key);
      while (record?.parent_key !== undefined && !record.orphaned) {
        record = registry.byKey(record.parent_key);
        if (record !== undefined) keys.push(record.key);
      }
      return keys;
    },
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
    tick: async () => {
      await Promise.all([tick(), accounts.tick(clock.now_ms())]);
    },
  };
}
