/**
 * The room of the ledger: loads it, books, expires, tells, and answers who asks. A ledger that
 * cannot be read does not stop the gateway: what has a price is then denied by name.
 *
 * @module
 */
import type { Pricing } from "../../core/ledger/mod.ts";
import { LedgerService } from "../../proto/gen/assembly/admin/v1/ledger_pb.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { LedgerPart } from "../engine/parts.ts";
import { BudgetAlerts } from "../ledger/alerts.ts";
import { Bindings } from "../ledger/bindings.ts";
import { expireReservations } from "../ledger/expiry.ts";
import { Journal } from "../ledger/journal.ts";
import { Ledger } from "../ledger/ledger.ts";
import { LEDGER_ROOM_LIMITS } from "../ledger/limits.ts";
import { type LoadedLedger, loadLedger } from "../ledger/load.ts";
import { loadPricing } from "../ledger/pricing_source.ts";
import { Statements } from "../ledger/statement.ts";
import { UnavailableLedger } from "../ledger/unavailable.ts";
import { ledgerHandlers, type OpenLedger } from "../services/ledger.ts";
import type { ComponentState, House, Room } from "./room.ts";

/** What the room needs of the house. */
export interface LedgerHouse
  extends Pick<House, "clock" | "store" | "audit" | "registry" | "operators" | "counters"> {
  readonly policy: Pick<House["policy"], "current">;
  readonly config: Pick<House["config"], "pricing">;
}

/** What a simulation changes. */
export interface LedgerRoomOptions {
  /** Makes ids of reservations. @default random UUIDs */
  readonly newId?: () => string;
  /** `false`: whoever opens the room calls {@linkcode LedgerRoom.tick} itself. @default true */
  readonly interval?: boolean;
}

/** The open room. */
export interface LedgerRoom extends Room {
  readonly parts: { readonly ledger: LedgerPart };
  /** Told of limits that fill up; absent while the ledger is unavailable. */
  readonly alerts: BudgetAlerts | undefined;
  /** The ledger itself; absent while it is unavailable. */
  readonly ledger: Ledger | undefined;
  /** Whether an agent that was suspended for its budget is within it again. */
  withinBudget(agent: AgentRecord): boolean;
  /** What a team's monthly limit leaves, in micro-dollars; `undefined` when nobody knows. */
  teamBudgetRemaining(org_id: string, team_id: string): number | undefined;
  /** Charges what has expired, and tries again to write what could not be written. */
  tick(now_ms: number): Promise<void>;
}

/**
 * Loads the ledger.
 *
 * @throws {Error} only when the pricing file is not good.
 */
export async function openLedger(
  house: LedgerHouse,
  options: LedgerRoomOptions = {},
): Promise<LedgerRoom> {
  const pricing = await loadPricing(house.config.pricing);
  let loaded: LoadedLedger;
  try {
    loaded = await loadLedger(house.store);
  } catch (error) {
    return closedRoom(house, pricing, error instanceof Error ? error.message : String(error));
  }
  return openRoom(house, pricing, loaded, options);
}

function openRoom(
  house: LedgerHouse,
  pricing: Pricing,
  loaded: LoadedLedger,
  options: LedgerRoomOptions,
): LedgerRoom {
  const { store, registry, audit, clock, counters } = house;
  const journal = new Journal({ store, ...loaded });
  const bindings = new Bindings(registry, () => house.policy.current);
  const alerts = new BudgetAlerts({
    ledger: () => ledger,
    record: (entry) => audit.append(entry),
    clock,
    onLost: () => counters.add("ledger.alerts_lost"),
  });
  const ledger = new Ledger({
    state: loaded.state,
    journal,
    pricing,
    newId: options.newId ?? (() => crypto.randomUUID()),
    ancestors: (key, action) => bindings.ancestors(key, action, clock.now_ms()),
    onCharge: (limits, asked) => alerts.charged(limits, asked),
    onBreach: (breach, asked) => alerts.breached(breach, asked),
  });
  const statements = new Statements(ledger, bindings, registry);
  const settled = (agent_key: string, now_ms: number) => {
    const record = registry.byKey(agent_key);
    if (record === undefined) return;
    const principal = registry.principalOf(record, now_ms);
    alerts.charged(bindings.limitsOf(record, now_ms), { principal, now_ms });
  };
  const tick = async (now_ms: number) => {
    for (const agent_key of expireReservations(ledger, now_ms)) settled(agent_key, now_ms);
    await journal.retry();
  };
  const timer = options.interval === false
    ? undefined
    : setInterval(() => tick(clock.now_ms()), LEDGER_ROOM_LIMITS.tick_ms);
  if (timer !== undefined) Deno.unrefTimer(timer);
  const open: OpenLedger = { ledger, statements, settled };
  return {
    parts: { ledger },
    alerts,
    ledger,
    serve: (server) => {
      const unavailable = () => ledger.unavailable;
      server.addService(LedgerService, ledgerHandlers({ ...house, open, unavailable, pricing }));
      return [];
    },
    components: () => [componentOf(ledger)],
    withinBudget: (agent) => {
      const now_ms = clock.now_ms();
      return statements.withinBudget(agent, registry.principalOf(agent, now_ms), now_ms);
    },
    teamBudgetRemaining: (org_id, team_id) =>
      statements.teamRemaining(org_id, team_id, clock.now_ms()),
    tick,
    close: async () => {
      clearInterval(timer);
      await journal.close();
    },
  };
}

function componentOf(ledger: Ledger): ComponentState {
  const { unavailable, state, pricing } = ledger;
  return {
    name: "budget ledger",
    state: unavailable === undefined ? "enforcing" : "unavailable",
    detail: unavailable === undefined
      ? `${state.accounts.size} accounts, ${state.open.size} open reservations, ` +
        `prices \`${pricing.version}\``
      : `every priced call is denied: ${unavailable}`,
  };
}

/** The refused state: records that cannot be trusted are not touched, and deny (trap 35). */
function closedRoom(house: LedgerHouse, pricing: Pricing, problem: string): LedgerRoom {
  const detail = `its records cannot be read: ${problem}; restore a backup of registry.db`;
  const part = new UnavailableLedger(pricing, detail);
  return {
    parts: { ledger: part },
    alerts: undefined,
    ledger: undefined,
    serve: (server) => {
      const unavailable = () => detail;
      server.addService(
        LedgerService,
        ledgerHandlers({ ...house, open: undefined, unavailable, pricing }),
      );
      return [];
    },
    components: () => [{
      name: "budget ledger",
      state: "unavailable",
      detail: `every priced call is denied: ${detail}`,
    }],
    withinBudget: () => false,
    teamBudgetRemaining: () => undefined,
    tick: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}
