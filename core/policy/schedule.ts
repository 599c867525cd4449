/**
 * Opening hours: the daily window of a policy document in its time zone (contract
 * `policy-and-gateway` §5.4). Time is an argument; nothing here reads a clock.
 *
 * @module
 */
import type { ActiveHours } from "./document.ts";

const MINUTE_MS = 60_000;
const DAY_MINUTES = 1_440;

/** Zones remembered; more than the IANA database has names. */
const ZONES_MAX = 2_048;

/** One zone and the last minute asked of it: a window is asked about "now", over and over. */
interface Zone {
  readonly format: Intl.DateTimeFormat | undefined;
  minute: number;
  minute_of_day: number;
}

const zones = new Map<string, Zone>();

function zoneOf(timezone: string): Zone {
  const known = zones.get(timezone);
  if (known !== undefined) return known;
  let format: Intl.DateTimeFormat | undefined;
  try {
    format = new Intl.DateTimeFormat("en-US", {
      timeZone: timezone,
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
    });
  } catch {
    format = undefined;
  }
  if (zones.size >= ZONES_MAX) zones.clear();
  const zone: Zone = { format, minute: NaN, minute_of_day: 0 };
  zones.set(timezone, zone);
  return zone;
}

/**
 * Minutes since local midnight, 0 to 1439; `undefined` for a zone the time zone database lacks.
 *
 * @param now_ms Milliseconds since the Unix epoch.
 * @throws {RangeError} When `now_ms` is not a time; the caller denies.
 */
export function minuteOfDay(now_ms: number, timezone: string): number | undefined {
  if (!Number.isFinite(now_ms)) throw new RangeError("the time is not a number");
  const minute = Math.floor(now_ms / MINUTE_MS);
  if (timezone === "UTC") return ((minute % DAY_MINUTES) + DAY_MINUTES) % DAY_MINUTES;
  const zone = zoneOf(timezone);
  if (zone.format === undefined) return undefined;
  if (zone.minute !== minute) {
    const text = zone.format.format(now_ms);
    zone.minute_of_day = Number(text.slice(0, 2)) * 60 + Number(text.slice(3, 5));
    zone.minute = minute;
  }
  return zone.minute_of_day;
}

/** Whether a window is open: start inclusive, end exclusive, overnight when end is before start. */
export function scheduleState(
  hours: ActiveHours,
  now_ms: number,
): "open" | "closed" | "unknown_zone" {
  const minute = minuteOfDay(now_ms, hours.timezone);
  if (minute === undefined) return "unknown_zone";
  const { start_minute, end_minute } = hours;
  const open = start_minute <= end_minute
    ? minute >= start_minute && minute < end_minute
    : minute >= start_minute || minute < end_minute;
  return open ? "open" : "closed";
}

/**
 * The next instants at which a window opens, earliest first: today's or tomorrow's, and the two
 * after. Empty for an unknown zone or a window that never opens.
 */
export function nextOpenings(hours: ActiveHours, now_ms: number): readonly number[] {
  const openings: number[] = [];
  const minute = minuteOfDay(now_ms, hours.timezone);
  if (minute === undefined) return openings;
  const until = (hours.start_minute - minute + DAY_MINUTES) % DAY_MINUTES;
  const first = Math.floor(now_ms / MINUTE_MS) + (until === 0 ? DAY_MINUTES : until);
  for (let day = 0; day < 3; day++) {
    // A clock change on the way shifts local time by up to two hours: look around the guess.
    const guess = first + day * DAY_MINUTES;
    for (const shift of [0, -60, 60, -30, 30, -120, 120]) {
      const at_ms = (guess + shift) * MINUTE_MS;
      if (at_ms <= now_ms || minuteOfDay(at_ms, hours.timezone) !== hours.start_minute) continue;
      if (scheduleState(hours, at_ms) === "open") openings.push(at_ms);
      break;
    }
  }
  return openings;
}
