/** Forecasts of a month. */
import assert from "node:assert/strict";
import { forecastMonth } from "./forecast.ts";

const DAY_MS = 86_400_000;
const TENTH_DAY = Date.UTC(2026, 3, 11);

Deno.test("ten dollars in ten days of April are thirty at its end", () => {
  const forecast = forecastMonth("UTC", TENTH_DAY, 10_000_000);
  assert.equal(forecast.daily_rate_micro_usd, 1_000_000);
  assert.equal(forecast.projected_micro_usd, 30_000_000);
  assert.equal(forecast.window_ends_at_ms, Date.UTC(2026, 4, 1));
  assert.equal(forecast.limit_reached_at_ms, undefined);
});

Deno.test("the limit is reached when the rate says so, and not at all when it does not", () => {
  const reached = forecastMonth("UTC", TENTH_DAY, 10_000_000, 20_000_000);
  assert.equal(reached.limit_reached_at_ms, TENTH_DAY + 10 * DAY_MS);
  assert.equal(
    forecastMonth("UTC", TENTH_DAY, 10_000_000, 31_000_000).limit_reached_at_ms,
    undefined,
  );
  assert.equal(
    forecastMonth("UTC", TENTH_DAY, 10_000_000, 10_000_000).limit_reached_at_ms,
    TENTH_DAY,
  );
  assert.equal(forecastMonth("UTC", TENTH_DAY, 0, 1).limit_reached_at_ms, undefined);
});

Deno.test("the first hour of a month is not taken for its rate", () => {
  const forecast = forecastMonth("UTC", Date.UTC(2026, 3, 1, 1), 1_000_000);
  assert.equal(forecast.daily_rate_micro_usd, 1_000_000);
});
