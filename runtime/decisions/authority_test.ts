import assert from "node:assert/strict";
import { Authority } from "./authority.ts";

const HOUR_MS = 3_600_000;

function granted(authority_ms = 1_500): Authority {
  const authority = new Authority();
  const number = authority.ping(0, HOUR_MS);
  assert.ok(authority.answered(number, authority_ms, 0, 10_000));
  return authority;
}

Deno.test("an authority ends by the monotonic clock, whatever the wall clock says", () => {
  const authority = granted();
  assert.ok(authority.holds(1_349_000, HOUR_MS + 1_349));
  assert.ok(!authority.holds(1_350_000, HOUR_MS + 1_350));
  assert.ok(!authority.holds(1_350_000, 0), "a wall clock that was set back lengthens nothing");
});

Deno.test("a machine that slept decides nothing by what it knew before", () => {
  const authority = granted();
  assert.ok(authority.holds(100_000, HOUR_MS + 100));
  assert.ok(!authority.holds(100_000, 2 * HOUR_MS), "the monotonic clock stood still meanwhile");
});

Deno.test("no gateway grants more than the bound, nor by an answer to nothing", () => {
  const authority = granted(10 * HOUR_MS);
  assert.ok(!authority.holds(5_000_000, HOUR_MS + 5_000));
  assert.equal(authority.answered(7n, 1_500, 0, 0), false);
});
