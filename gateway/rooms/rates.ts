/**
 * The room of rate windows: puts them back at the start, keeps them while the gateway runs.
 *
 * @module
 */
import { clean } from "../engine/evidence.ts";
import { RATE_ROOM_LIMITS } from "../rates/limits.ts";
import { RateWindows } from "../rates/windows.ts";
import type { ComponentState, House, Room } from "./room.ts";

/** What the room needs of the house. */
export type RatesHouse = Pick<House, "store" | "buckets" | "clock" | "counters">;

/** The open room. */
export interface RatesRoom extends Room {
  readonly windows: RateWindows;
  /** Writes what changed. */
  tick(): Promise<void>;
}

/**
 * Puts the windows back and starts the interval.
 *
 * @param options `timer: false`: whoever opens the room calls {@linkcode RatesRoom.tick} itself.
 * @throws {StoreError} when the store cannot be read.
 */
export async function openRates(
  house: RatesHouse,
  options: { readonly timer?: boolean } = {},
): Promise<RatesRoom> {
  const { store, buckets, clock, counters } = house;
  const windows = await RateWindows.open({ store, buckets, now_ms: clock.now_ms, redact: clean });
  const tick = () => windows.tick();
  const timer = options.timer === false ? undefined : setInterval(() => {
    tick().catch(() => counters.add("rates.tick_failed"));
  }, RATE_ROOM_LIMITS.write_interval_ms);
  if (timer !== undefined) Deno.unrefTimer(timer);
  return {
    windows,
    tick,
    serve: () => [],
    components: () => [componentOf(windows)],
    close: async () => {
      clearInterval(timer);
      await windows.close();
    },
  };
}

function componentOf(windows: RateWindows): ComponentState {
  const name = "rate limits";
  const { stored, failures, damaged } = windows.status();
  if (damaged.size > 0) {
    const detail = `${damaged.size} stored window(s) could not be read: they count as used up ` +
      "and fill again within an hour";
    return { name, state: "degraded", detail };
  }
  const troubles = failures === 0 ? "" : `, ${failures} failed write(s), tried again`;
  return { name, state: "enforcing", detail: `${stored} windows kept over a restart${troubles}` };
}
