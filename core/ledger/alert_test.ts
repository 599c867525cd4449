/** When limits are told about. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Latch } from "./account.ts";
import { alertStep, percentOf } from "./alert.ts";

/** The thresholds told while spend moves through some levels of a limit of 100 dollars. */
function told(levels: readonly number[], window = "w"): number[] {
  let latch: Latch | undefined;
  const out: number[] = [];
  for (const level of levels) {
    const step = alertStep(latch, window, Math.round(level * 1e6), 100e6);
    latch = step.latch ?? latch;
    if (step.tell !== undefined) out.push(step.tell);
  }
  return out;
}

Deno.test("B10: 79.5 of 100 rounds to 80 and is told, 95 is told, 100 is exceeded", () => {
  assert.deepEqual(told([79.4]), []);
  assert.deepEqual(told([79.5]), [80]);
  assert.deepEqual(told([80]), [80]);
  assert.deepEqual(told([95]), [95]);
  assert.deepEqual(told([100]), [100]);
  assert.deepEqual(told([99.9]), [95], "what only rounds to 100 is not exceeded");
});

Deno.test("percentages round half to even", () => {
  assert.equal(percentOf(785, 1_000), 78);
  assert.equal(percentOf(795, 1_000), 80);
  assert.equal(percentOf(0, 1_000), 0);
  assert.equal(percentOf(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER), 100);
});

Deno.test("trap 34: each threshold is told once a window, the limit itself too", () => {
  assert.deepEqual(told([80, 81, 94, 95, 96, 100, 101]), [80, 95, 100]);
});

Deno.test("a new window tells again", () => {
  const { latch } = alertStep(undefined, "2026-01-01", 95, 100);
  assert.equal(alertStep(latch, "2026-01-01", 95, 100).tell, undefined);
  assert.equal(alertStep(latch, "2026-01-02", 95, 100).tell, 95);
});

Deno.test("spend that wavers around a threshold tells once; a clear fall arms it again", () => {
  assert.deepEqual(told([80, 79, 80, 78, 80]), [80]);
  assert.deepEqual(told([80, 74, 80]), [80, 80]);
  assert.deepEqual(told([100, 93, 100]), [100, 100]);
  assert.deepEqual(told([100, 89, 96]), [100, 95]);
});

Deno.test("a refusal for want of room tells that the limit is reached, once", () => {
  const first = alertStep(undefined, "w", 10, 100, true);
  assert.equal(first.tell, 100);
  assert.deepEqual(alertStep(first.latch, "w", 10, 100, true), {});
});

Deno.test("rising spend tells each threshold at most once and in order", () => {
  const rises = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 40 });
  fc.assert(fc.property(rises, (steps) => {
    let sum = 0;
    const out = told(steps.map((step) => sum += step));
    assert.deepEqual(out, [...new Set(out)].sort((a, b) => a - b));
  }));
});
