/**
 * The room of alerts: the list, its interval, and the failures of the record it tells of.
 *
 * @module
 */
import type { Raise } from "../alerts/alert.ts";
import { AlertBook } from "../alerts/book.ts";
import { ALERT_LIMITS } from "../alerts/limits.ts";
import { AlertRules, growthOf, type Measure, Peaks } from "../alerts/rules.ts";
import type { ApprovalQueue } from "../approvals/queue.ts";
import { governanceEntry } from "../engine/governance.ts";
import type { ComponentState, House, Room } from "./room.ts";

/** What the room needs of the house. */
export type AlertsHouse = Pick<House, "store" | "audit" | "clock" | "counters">;

/** The open room. Other rooms raise their alerts with `alerts.raise`. */
export interface AlertsRoom extends Room {
  readonly alerts: AlertBook;
  readonly rules: AlertRules;
  /** A budget threshold was reached: an alert, and a measure for rules. */
  spent(raise: Raise, threshold_pct: number): void;
  /** Ends silences, looks at rules and at the record, writes what waits. */
  tick(now_ms: number): Promise<void>;
}

/** What a simulation changes. */
export interface AlertsRoomOptions {
  /** 16 random bytes. @default the machine's */
  readonly random?: () => Uint8Array;
  /** `false`: whoever opens the room calls {@linkcode AlertsRoom.tick} itself. @default true */
  readonly timer?: boolean;
}

/**
 * Loads the alerts and starts the interval.
 *
 * @throws {StoreError} when the store cannot be read.
 */
export async function openAlerts(
  house: AlertsHouse,
  options: AlertsRoomOptions = {},
): Promise<AlertsRoom> {
  const { store, audit, clock, counters } = house;
  const needs = {
    store,
    now_ms: clock.now_ms,
    random: options.random ?? (() => crypto.getRandomValues(new Uint8Array(16))),
    record: async (action: string, facts: Readonly<Record<string, unknown>>) => {
      await audit.append(governanceEntry(action, facts, clock));
    },
  };
  const alerts = await AlertBook.open(needs);
  const rules = await AlertRules.open({ ...needs, raise: (raise) => alerts.raise(raise) });
  const refusals = () => Number(counters.snapshot()["decisions.deny"] ?? 0n);
  rules.sources.set("policy_violation_count", growthOf(refusals));
  const thresholds = new Peaks();
  rules.sources.set("budget_spent_pct", thresholds.measure);
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
    rules.tick(now_ms);
    await alerts.tick(now_ms);
  };
  const timer = options.timer === false ? undefined : setInterval(() => {
    tick(clock.now_ms()).catch(() => counters.add("alerts.tick_failed"));
  }, ALERT_LIMITS.tick_interval_ms);
  if (timer !== undefined) Deno.unrefTimer(timer);
  return {
    alerts,
    rules,
    spent: (raise, threshold_pct) => {
      thresholds.tell(threshold_pct, clock.now_ms());
      alerts.raise(raise);
    },
    tick,
    serve: () => [],
    components: () => [componentOf(alerts, rules)],
    hush: () => alerts.watchers.stop(),
    close: async () => {
      clearInterval(timer);
      await alerts.close();
    },
  };
}

/** Age of the oldest request that waits for a person, in seconds; the window does not matter. */
export function pendingAge(queue: Pick<ApprovalQueue, "book">): Measure {
  return (_window_ms, now_ms) => {
    const { book } = queue;
    if ("ok" in book) return undefined;
    let oldest_ms = now_ms;
    for (const { state, submitted_at_ms } of book.liveRequests()) {
      if (state.status === "pending") oldest_ms = Math.min(oldest_ms, submitted_at_ms);
    }
    return (now_ms - oldest_ms) / 1_000;
  };
}

function componentOf(alerts: AlertBook, rules: AlertRules): ComponentState {
  const name = "alerts";
  const { open, kept, dropped, unsaved, failures } = alerts.status();
  if (rules.damaged.size > 0) {
    const [id = ""] = rules.damaged.keys();
    const detail = `${rules.damaged.size} stored alert rule(s) cannot be read, the first is ` +
      `\`${id}\`: ${rules.damaged.get(id)}`;
    return { name, state: "degraded", detail };
  }
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
