/**
 * IANA time zone names, as the schedule and the budget windows need them.
 *
 * @module
 */
import { nearest } from "./suggest.ts";

/**
 * Whether the zone database knows the name. Offsets such as `+01:00` are no zone names: they do
 * not follow daylight saving, and the reference refuses them.
 */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** The zone most likely meant by an unknown name. */
export function nearestTimeZone(name: string): string | undefined {
  const city = Intl.supportedValuesOf("timeZone").find((zone) =>
    zone.slice(zone.lastIndexOf("/") + 1).toLowerCase() === name.toLowerCase().replaceAll(" ", "_")
  );
  return city ?? nearest(name, ["UTC", ...Intl.supportedValuesOf("timeZone")]);
}
