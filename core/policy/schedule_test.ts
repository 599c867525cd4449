import assert from "node:assert/strict";
import fc from "fast-check";
import type { ActiveHours } from "./document.ts";
import { minuteOfDay, nextOpenings, scheduleState } from "./schedule.ts";

function hours(start_minute: number, end_minute: number, timezone = "UTC"): ActiveHours {
  const at = { line: 1, column: 1 };
  return { at, start: "", end: "", start_minute, end_minute, timezone };
}

const MOMENT = fc.integer({ min: Date.UTC(2000, 0), max: Date.UTC(2100, 0) });
const ZONE = fc.constantFrom(
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "Asia/Kathmandu",
  "Australia/Lord_Howe",
  "Pacific/Apia",
  "America/St_Johns",
);

Deno.test("local time agrees with the platform's calendar", () => {
  fc.assert(fc.property(MOMENT, ZONE, (now_ms, timeZone) => {
    const parts = new Intl.DateTimeFormat("en-GB", {
      timeZone,
      hour: "numeric",
      minute: "numeric",
      hourCycle: "h23",
    }).formatToParts(now_ms);
    const value = (type: string) => Number(parts.find((part) => part.type === type)?.value);
    assert.equal(minuteOfDay(now_ms, timeZone), value("hour") * 60 + value("minute"));
  }));
});

Deno.test("a zone that does not exist is unknown, never open", () => {
  assert.equal(scheduleState(hours(0, 1_440, "Not/AZone"), 0), "unknown_zone");
  assert.deepEqual(nextOpenings(hours(0, 1_440, "Not/AZone"), 0), []);
});

Deno.test("a time that is no number is refused", () => {
  for (const zone of ["UTC", "Europe/Berlin"]) {
    assert.throws(() => scheduleState(hours(0, 1_440, zone), NaN), RangeError);
  }
});

Deno.test("the next opening is in the future, open, and closed the moment before", () => {
  fc.assert(fc.property(
    MOMENT,
    ZONE,
    fc.integer({ min: 0, max: 1_439 }),
    fc.integer({ min: 1, max: 1_440 }),
    (now_ms, zone, start, end) => {
      fc.pre(start !== end && !(start === 0 && end === 1_440));
      const window = hours(start, end, zone);
      for (const at_ms of nextOpenings(window, now_ms)) {
        assert.ok(at_ms > now_ms);
        assert.equal(scheduleState(window, at_ms), "open");
      }
    },
  ));
});

Deno.test("a closed window in UTC always has a next opening within a day", () => {
  fc.assert(fc.property(
    MOMENT,
    fc.integer({ min: 0, max: 1_439 }),
    fc.integer({ min: 1, max: 1_440 }),
    (now_ms, start, end) => {
      fc.pre(start !== end);
      const window = hours(start, end);
      fc.pre(scheduleState(window, now_ms) === "closed");
      const [first] = nextOpenings(window, now_ms);
      assert.ok(first !== undefined && first - now_ms <= 86_400_000);
      assert.equal(scheduleState(window, first - 1), "closed");
    },
  ));
});
