import assert from "node:assert/strict";
import { surprise } from "./statistics.ts";
import { replay } from "./testing/replay.ts";
import { Random } from "./testing/random.ts";

Deno.test("benign weeks stay within the budget, and every seeded attack is caught", () => {
  const result = replay({ seed: 1, agents: 5, days: 28 });
  assert.ok(
    result.alerts_per_agent_week <= 1,
    `${result.alerts_per_agent_week} a week: ${result.false_alerts.join("; ")}`,
  );
  for (const { name, tried, caught } of result.attacks) {
    assert.ok(tried > 0, name);
    assert.equal(caught, tried, name);
  }
});

Deno.test("a replay of one seed is the same replay", () => {
  const size = { seed: 9, agents: 2, days: 3 };
  assert.deepEqual(replay(size), replay(size));
});

Deno.test("the bound on surprise holds: a count it calls rarer than 1 in 100 is so rare", () => {
  const random = new Random(5);
  const trials = 20_000;
  for (const mean of [0.5, 4, 40]) {
    let rare = 0;
    for (let trial = 0; trial < trials; trial++) {
      if (surprise(random.poisson(mean), mean) >= Math.log(100)) rare++;
    }
    assert.ok(rare / trials <= 0.012, `${rare} of ${trials} at mean ${mean}`);
  }
});
