/**
 * The room of alerts: the list, its interval, and the failures of the record it tells of.
 *
 * @module
 */
import { AlertBook } from "../alerts/book.ts";
import { ALERT_LIMITS } from "../alerts/limits.ts";
import { governanceEntry } from "../engine/governance.ts";
import type { ComponentState, House, Room } from "./room.ts";

/** What the room needs of the house. */
export type AlertsHouse = Pick<House, "store" | "audit" | "clock" | "counters">;

/** The open room. Other rooms raise their alerts with `alerts.raise`. */
export interface AlertsRoom extends Room {
  readonly alerts: AlertBook;
  /** Ends silences, writes what waits, looks at the record. */
  tick(now_ms: number): Promise<void>;
}

/**
 * Loads the alerts and starts the interval.
 *
 * @throws {StoreError} when the store cannot be read.
 */
export async function openAlerts(house: AlertsHouse): Promise<AlertsRoom> {
  const { store, audit, clock, counters } = house;
  const alerts = await AlertBook.open({
    store,
    now_ms: clock.now_ms,
    random: () => crypto.getRandomValues(new Uint8Array(16)),
    record: async (action, facts) => {
      await audit.append(governanceEntry(action, facts, clock));
    },
  });
  let withheld = 0n;
  const tick = async (now_ms: number) => {
    const now = counters.snapshot()["decisions.withheld"] ?? 0n;
    if (now > withheld) {
      alerts.raise({
        category: "system",
        severity: "critical",
        dedup_key: "system:decisions_withheld",
        source: "audit log",
        message: `${now - withheld} decisions withheld: they could not be recorded; ` +
          "look at `aasm status`",
      });
      withheld = now;
    }
    await alerts.tick(now_ms);
  };
  const timer = setInterval(() => {
    tick(clock.now_ms()).catch(() => counters.add("alerts.tick_failed"));
  }, ALERT_LIMITS.tick_interval_ms);
  Deno.unrefTimer(timer);
  return {
    alerts,
    tick,
    serve: () => [],
    components: () => [componentOf(alerts)],
    hush: () => alerts.watchers.stop(),
    close: async () => {
      clearInterval(timer);
      await alerts.close();
    },
  };
}

function componentOf(alerts: AlertBook): ComponentState {
  const name = "alerts";
  const { open, kept, dropped, unsaved, failures } = alerts.status();
  if (alerts.damaged.size > 0) {
    const [id = ""] = alerts.damaged.keys();
    const detail =
      `${alerts.damaged.size} stored alert(s) cannot be read, the first is \`${id}\`: ` +
      alerts.damaged.get(id);
    return { name, state: "degraded", detail };
  }
  if (failures > 0 && unsaved > 0) {
    const detail = `${unsaved} alert(s) are not on disk: they are tried again`;
    return { name, state: "degraded", detail };
  }
  const more = dropped === 0 ? "" : `, ${dropped} dropped for room`;
  return { name, state: "enforcing", detail: `${open} open of ${kept}${more}` };
}
