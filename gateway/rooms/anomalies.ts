/**
 * The room of anomaly detection: baselines, detectors, and the service over them and the alerts.
 *
 * @module
 */
import { AlertService } from "../../proto/gen/assembly/admin/v1/alerts_pb.ts";
import { Anomalies } from "../anomalies/anomalies.ts";
import { ANOMALY_ROOM_LIMITS } from "../anomalies/limits.ts";
import { Peaks } from "../alerts/rules.ts";
import type { AlertsRoom } from "./alerts.ts";
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

/** What a simulation changes. */
export interface AnomaliesRoomOptions {
  /** A 32-bit number. @default the machine's randomness */
  readonly seed?: () => number;
  /** `false`: whoever opens the room calls {@linkcode AnomaliesRoom.tick} itself. @default true */
  readonly timer?: boolean;
}

/** Opens the room; baselines are read when their agents act. */
export function openAnomalies(
  house: AnomaliesHouse,
  { alerts, rules }: Pick<AlertsRoom, "alerts" | "rules">,
  options: AnomaliesRoomOptions = {},
): AnomaliesRoom {
  const { store, counters, clock } = house;
  const scores = new Peaks();
  rules.sources.set("anomaly_score", scores.measure);
  const anomalies = new Anomalies({
    store,
    seed: options.seed ?? (() => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0),
    onScore: (score) => scores.tell(score, clock.now_ms()),
    raise: (raise) => {
      counters.add(`anomalies.${raise.source}`);
      alerts.raise(raise);
    },
  });
  const tick = async () => {
    await anomalies.baselines.tick();
    await anomalies.baselines.prune((key) => house.registry.byKey(key) !== undefined);
  };
  const timer = options.timer === false ? undefined : setInterval(() => {
    tick().catch(() => counters.add("anomalies.tick_failed"));
  }, ANOMALY_ROOM_LIMITS.write_interval_ms);
  if (timer !== undefined) Deno.unrefTimer(timer);
  return {
    anomalies,
    tick,
    parts: { anomalies },
    serve: (server) => {
      server.addService(AlertService, alertHandlers({ ...house, alerts, rules, anomalies }));
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
