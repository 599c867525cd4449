import assert from "node:assert/strict";
import fc from "fast-check";
import { backoffWaitMs } from "./backoff.ts";

Deno.test("each wait is 1.6 times the one before, up to the greatest, 20 % more or less", () => {
  const waits = (random: number) =>
    [0, 1, 2, 3, 100].map((failures) =>
      Math.round(backoffWaitMs({ initial_ms: 1000, max_ms: 3000 }, failures, () => random))
    );
  assert.deepEqual(waits(0.5), [1000, 1600, 2560, 3000, 3000]);
  assert.deepEqual(waits(0), [800, 1280, 2048, 2400, 2400]);
  assert.deepEqual(waits(1), [1200, 1920, 3072, 3600, 3600]);
});

Deno.test("no number of failures makes a wait infinite or negative", () => {
  fc.assert(fc.property(
    fc.nat(),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.integer({ min: 0, max: 10_000 }),
    (failures, random, initial_ms) => {
      const wait_ms = backoffWaitMs({ initial_ms, max_ms: 60_000 }, failures, () => random);
      assert.ok(wait_ms >= 0 && wait_ms <= 72_000, `${wait_ms}`);
    },
  ));
});
