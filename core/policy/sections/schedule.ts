/**
 * `schedule`: the daily opening window (contract `policy-and-gateway` §1.5, §5.4).
 *
 * @module
 */
import type { ActiveHours, PolicyDocument } from "../document.ts";
import type { BODY } from "../language.ts";
import type { Problems } from "../problems.ts";
import type { Read, ReadText } from "../read.ts";
import { received } from "../suggest.ts";
import { isTimeZone, nearestTimeZone } from "../timezone.ts";

type Section = Read<typeof BODY.keys.schedule>;
type Hours = NonNullable<Section["value"]["active_hours"]>;

const DAY_MINUTES = 24 * 60;

/** The schedule of a document. `schedule: {}` restricts nothing, but was stated. */
export function readSchedule(
  section: Section,
  problems: Problems,
): NonNullable<PolicyDocument["schedule"]> {
  const hours = section.value.active_hours;
  const active_hours = hours === undefined ? undefined : readHours(hours, problems);
  return active_hours === undefined ? { at: section.key_at } : { at: section.key_at, active_hours };
}

function readHours(hours: Hours, problems: Problems): ActiveHours | undefined {
  const { start, end, timezone } = hours.value;
  for (const key of ["start", "end", "timezone"] as const) {
    if (hours.value[key] === undefined && !reported(problems, `${hours.path}.${key}`)) {
      problems.error(`${hours.path}.${key}`, "is required: add it", hours.key_at);
    }
  }
  const start_minute = start === undefined ? undefined : readClock(start, false, problems);
  const end_minute = end === undefined ? undefined : readClock(end, true, problems);
  const zone_known = timezone !== undefined && checkTimeZone(timezone, problems);
  if (start === undefined || end === undefined || timezone === undefined) return undefined;
  if (start_minute === undefined || end_minute === undefined) return undefined;
  if (start_minute >= end_minute) {
    problems.error(
      hours.path,
      `start must be earlier than end, received \`${start.value}\`-\`${end.value}\`: ` +
        "a window cannot cross midnight; choose a `timezone` in which it lies within one day " +
        "(`24:00` is the end of the day)",
      hours.key_at,
    );
    return undefined;
  }
  if (!zone_known) return undefined;
  return {
    at: hours.key_at,
    start: start.value,
    end: end.value,
    start_minute,
    end_minute,
    timezone: timezone.value,
  };
}

/** Minutes since midnight of a zero-padded `HH:MM`; `24:00` only where a window may end. */
function readClock(text: ReadText, is_end: boolean, problems: Problems): number | undefined {
  if (is_end && text.value === "24:00") return DAY_MINUTES;
  const match = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(text.value);
  if (match !== null) return Number(match[1]) * 60 + Number(match[2]);
  problems.error(
    text.path,
    `must be HH:MM with leading zeros, 00:00 to ${is_end ? "24:00" : "23:59"}, received ${
      received(text.value)
    }`,
    text,
  );
  return undefined;
}

/** Reports a zone the database does not know. */
export function checkTimeZone(text: ReadText, problems: Problems): boolean {
  if (isTimeZone(text.value)) return true;
  const suggestion = nearestTimeZone(text.value);
  const hint = suggestion === undefined ? "" : `: did you mean \`${suggestion}\`?`;
  problems.error(
    text.path,
    `must be an IANA time zone name, received ${received(text.value)}${hint}`,
    text,
  );
  return false;
}

/** Whether the reader already said something about this very field. */
function reported(problems: Problems, field: string): boolean {
  return problems.errors.some((problem) => problem.field === field);
}
