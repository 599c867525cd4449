/**
 * Days and months in a time zone, daylight saving included: a local day has 23 to 25 hours, and
 * some zones skip or repeat midnight. Time is an argument.
 *
 * @module
 */

/** One local day. */
export interface LocalDay {
  /** `YYYY-MM-DD`. */
  readonly date: string;
  /** `YYYY-MM`. */
  readonly month: string;
  /** First millisecond of the day. */
  readonly start_ms: number;
  /** First millisecond of the next one. */
  readonly end_ms: number;
}

/** Days remembered of all zones together; at the bound all are forgotten. */
const REMEMBERED_MAX = 512;
const remembered = new Map<string, LocalDay>();

/**
 * The local day of a moment.
 *
 * @param zone IANA time zone name.
 * @throws {RangeError} for an unknown zone or a moment that is no time.
 */
export function dayOf(zone: string, at_ms: number): LocalDay {
  const known = remembered.get(zone);
  if (known !== undefined && at_ms >= known.start_ms && at_ms < known.end_ms) return known;
  const moment = Temporal.Instant.fromEpochMilliseconds(Math.floor(at_ms))
    .toZonedDateTimeISO(zone);
  const day = dayFrom(moment.toPlainDate(), zone);
  if (remembered.size >= REMEMBERED_MAX) remembered.clear();
  remembered.set(zone, day);
  return day;
}

/** A local day by its date. */
export function dayOn(zone: string, date: string): LocalDay {
  return dayFrom(Temporal.PlainDate.from(date), zone);
}

function dayFrom(date: Temporal.PlainDate, zone: string): LocalDay {
  const text = date.toString();
  return {
    date: text,
    month: text.slice(0, -3),
    start_ms: date.toZonedDateTime(zone).epochMilliseconds,
    end_ms: date.add({ days: 1 }).toZonedDateTime(zone).epochMilliseconds,
  };
}

/** First and one past the last millisecond of the local month of a moment. */
export function monthSpan(zone: string, at_ms: number): { start_ms: number; end_ms: number } {
  const first = Temporal.PlainDate.from(`${dayOf(zone, at_ms).month}-01`);
  return {
    start_ms: first.toZonedDateTime(zone).epochMilliseconds,
    end_ms: first.add({ months: 1 }).toZonedDateTime(zone).epochMilliseconds,
  };
}

/** The date some days before another one. */
export function daysBefore(date: string, days: number): string {
  return Temporal.PlainDate.from(date).subtract({ days }).toString();
}
