/** Days and months in time zones, at the changes of their clocks. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { dayOf, daysBefore, monthSpan } from "./calendar.ts";

const HOUR_MS = 3_600_000;

/** Zones that change at midnight, skip a day, or lie off the hour. */
const ZONES = [
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "America/Sao_Paulo",
  "Africa/Cairo",
  "Asia/Kathmandu",
  "Australia/Lord_Howe",
  "Pacific/Apia",
  "Pacific/Chatham",
  "America/Havana",
];

Deno.test("a day has 23 hours in spring and 25 in autumn", () => {
  const hours = (at: number) => {
    const day = dayOf("Europe/Berlin", at);
    return [day.date, (day.end_ms - day.start_ms) / HOUR_MS];
  };
  assert.deepEqual(hours(Date.UTC(2026, 2, 29, 10)), ["2026-03-29", 23]);
  assert.deepEqual(hours(Date.UTC(2026, 9, 25, 10)), ["2026-10-25", 25]);
  assert.deepEqual(hours(Date.UTC(2026, 6, 1, 10)), ["2026-07-01", 24]);
});

Deno.test("a midnight that does not exist begins the day later", () => {
  // 2018-11-04 00:00 to 01:00 was skipped in São Paulo.
  const day = dayOf("America/Sao_Paulo", Date.UTC(2018, 10, 4, 12));
  assert.equal(day.date, "2018-11-04");
  assert.equal(day.start_ms, Date.UTC(2018, 10, 4, 3));
  assert.equal(dayOf("America/Sao_Paulo", day.start_ms - 1).date, "2018-11-03");
});

Deno.test("days lie end to end: every moment belongs to exactly one", () => {
  const moment = fc.integer({ min: Date.UTC(2000, 0), max: Date.UTC(2040, 0) });
  fc.assert(fc.property(fc.constantFrom(...ZONES), moment, (zone, at_ms) => {
    const day = dayOf(zone, at_ms);
    assert.ok(day.start_ms <= at_ms && at_ms < day.end_ms);
    assert.equal(dayOf(zone, day.start_ms).date, day.date);
    assert.equal(dayOf(zone, day.end_ms - 1).date, day.date);
    const next = dayOf(zone, day.end_ms);
    assert.ok(next.date > day.date);
    assert.equal(next.start_ms, day.end_ms);
    assert.ok(dayOf(zone, day.start_ms - 1).date < day.date);
  }));
});

Deno.test("around every change of clocks a local date is one stretch of time", () => {
  for (const zone of ZONES) {
    let before = "";
    for (let at = Date.UTC(2018, 0); at < Date.UTC(2020, 0); at += 6 * HOUR_MS) {
      const { date } = dayOf(zone, at);
      assert.ok(date >= before, `${zone} goes back at ${new Date(at).toISOString()}`);
      before = date;
    }
  }
});

Deno.test("a month spans from its first local midnight to the next one's", () => {
  const { start_ms, end_ms } = monthSpan("Europe/Berlin", Date.UTC(2026, 2, 15));
  assert.equal(start_ms, Date.UTC(2026, 1, 28, 23));
  assert.equal(end_ms, Date.UTC(2026, 2, 31, 22));
});

Deno.test("an unknown zone and a moment that is no time are refused", () => {
  assert.throws(() => dayOf("Europe/Nowhere", 0), RangeError);
  assert.throws(() => dayOf("UTC", NaN), RangeError);
});

Deno.test("days are counted back over the end of a month", () => {
  assert.equal(daysBefore("2026-03-01", 1), "2026-02-28");
});
