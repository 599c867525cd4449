/**
 * The room of anomaly detection: baselines, detectors, and the service over them and the alerts.
 *
 * @module
 */
import { AlertService } from "../../proto/gen/assembly/admin/v1/alerts_pb.ts";
import { Anomalies } from "../anomalies/anomalies.ts";
import { ANOMALY_ROOM_LIMITS } from "../anomalies/limits.ts";
import type { AlertBook } from "../alerts/book.ts";
import { alertHandlers } from "../services/alerts.ts";
import type { ComponentState, House, Room } from "./room.ts";

/** What the room needs of the house. */
export type AnomaliesHouse = Pick<
  House,
  "store" | "audit" | "clock" | "counters" | "registry" | "operators" | "policy"
>;

/** The open room. */
export interface AnomaliesRoom extends Room {
  readonly anomalies: Anomalies;
  /** Writes what was learned. */
  tick(): Promise<void>;
}

/** Opens the room; baselines are read when their agents act. */
export function openAnomalies(house: AnomaliesHouse, alerts: AlertBook): AnomaliesRoom {
  const { store, counters } = house;
  const anomalies = new Anomalies({
    store,
    seed: () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
    raise: (raise) => {
      counters.add(`anomalies.${raise.source}`);
      alerts.raise(raise);
    },
  });
  const tick = () => anomalies.baselines.tick();
  const timer = setInterval(() => {
    tick().catch(() => counters.add("anomalies.tick_failed"));
  }, ANOMALY_ROOM_LIMITS.write_interval_ms);
  Deno.unrefTimer(timer);
  return {
    anomalies,
    tick,
    parts: { anomalies },
    serve: (server) => {
      server.addService(AlertService, alertHandlers({ ...house, alerts, anomalies }));
      return [];
    },
    components: () => [componentOf(anomalies)],
    close: async () => {
      clearInterval(timer);
      await anomalies.baselines.close();
    },
  };
}

function componentOf(anomalies: Anomalies): ComponentState {
  const name = "anomaly detection";
  const { resident, unwatched, skipped, failures, damaged } = anomalies.baselines.status();
  if (damaged.size > 0) {
    const [key = ""] = damaged.keys();
    const detail = `${damaged.size} baseline(s) cannot be read, the first of agent \`${key}\`: ` +
      `${damaged.get(key)}; \`aasm alerts reset-baseline\` starts it anew`;
    return { name, state: "degraded", detail };
  }
  if (unwatched > 0) {
    const detail = `${unwatched} action(s) were not watched: more agents at once than ` +
      `${ANOMALY_ROOM_LIMITS.resident_baselines_hard}, or the store does not keep up`;
    return { name, state: "degraded", detail };
  }
  const troubles = failures === 0 ? "" : `, ${failures} failed write(s), tried again`;
  const late = skipped === 0 ? "" : `, ${skipped} action(s) not learned from`;
  return { name, state: "enforcing", detail: `${resident} agents watched${troubles}${late}` };
}
