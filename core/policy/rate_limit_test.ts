import assert from "node:assert/strict";
import fc from "fast-check";
import { RateBuckets } from "./rate_limit.ts";

const HOUR_MS = 3_600_000;

function charge(limit: number, bucket = "search", scope = "team:t1") {
  return { scope, bucket, limit, window_ms: HOUR_MS };
}

Deno.test("a bucket starts full, empties call by call and refills evenly", () => {
  const buckets = new RateBuckets();
  const three = charge(3);
  for (const _ of [1, 2, 3]) assert.equal(buckets.take([three], 0), true);
  assert.equal(buckets.tokens(three, 0), 0);
  assert.equal(buckets.take([three], HOUR_MS / 3 - 1), false);
  assert.equal(buckets.tokens(three, HOUR_MS / 3), 1);
  assert.equal(buckets.take([three], HOUR_MS / 3), true);
  assert.equal(buckets.tokens(three, HOUR_MS * 100), 3);
});

Deno.test("a limit of zero, or no number, has no tokens", () => {
  const buckets = new RateBuckets();
  for (const limit of [0, -1, NaN]) {
    assert.equal(buckets.tokens(charge(limit), 0), 0);
    assert.equal(buckets.take([charge(limit)], 0), false);
  }
  assert.equal(buckets.size, 0);
});

Deno.test("looking takes nothing and keeps nothing", () => {
  const buckets = new RateBuckets();
  assert.equal(buckets.tokens(charge(1), 0), 1);
  assert.equal(buckets.tokens(charge(1), 0), 1);
  assert.equal(buckets.size, 0);
});

Deno.test("a clock that steps back refills nothing", () => {
  const buckets = new RateBuckets();
  assert.equal(buckets.take([charge(1)], HOUR_MS), true);
  assert.equal(buckets.tokens(charge(1), 0), 0);
  assert.equal(buckets.tokens(charge(1), HOUR_MS), 0);
  assert.equal(buckets.tokens(charge(1), 2 * HOUR_MS), 1);
});

Deno.test("no hour ever sees more calls than one full bucket and one refill", () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 50 }),
    fc.array(fc.integer({ min: 0, max: HOUR_MS / 8 }), { maxLength: 200 }),
    (limit, steps) => {
      const buckets = new RateBuckets();
      const taken: number[] = [];
      let now_ms = 0;
      for (const step of steps) {
        now_ms += step;
        const tokens = buckets.tokens(charge(limit), now_ms);
        const took = buckets.take([charge(limit)], now_ms);
        assert.equal(took, tokens >= 1);
        if (took) taken.push(now_ms);
      }
      for (const start of taken) {
        const inside = taken.filter((at) => at >= start && at < start + HOUR_MS).length;
        assert.ok(inside <= 2 * limit);
      }
    },
  ));
});

Deno.test("changing the limit back and forth never adds tokens", () => {
  fc.assert(fc.property(
    fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 50 }),
    (limits) => {
      const buckets = new RateBuckets();
      let share = 1;
      for (const limit of limits) {
        if (buckets.take([charge(limit)], 0)) share -= 1 / limit;
        assert.ok(share > -1e-6);
        assert.ok(buckets.tokens(charge(limit), 0) <= share * limit + 1e-6);
      }
    },
  ));
});

Deno.test("at the bound full buckets make room, and drained ones are never forgotten", () => {
  const buckets = new RateBuckets({ max_buckets: 2 });
  assert.equal(buckets.take([charge(1, "a")], 0), true);
  assert.equal(buckets.take([charge(3_600, "b")], 0), true);
  assert.equal(buckets.tokens(charge(1, "c"), 0), 0);
  assert.equal(buckets.take([charge(1, "c")], 0), false);
  assert.equal(buckets.take([charge(1, "a")], 0), false);
  // A second later `b` is full again and equals no bucket.
  assert.equal(buckets.take([charge(1, "c")], 1_000), true);
  assert.equal(buckets.size, 2);
  assert.equal(buckets.take([charge(1, "a")], 1_000), false);
});

Deno.test("one scope's invented tool names do not use up the room of another", () => {
  const buckets = new RateBuckets({ max_buckets: 100, max_buckets_per_scope: 3 });
  for (let at = 0; at < 50; at++) buckets.take([charge(1, `tool-${at}`, "team:flood")], 0);
  assert.equal(buckets.size, 3);
  assert.equal(buckets.tokens(charge(1, "tool-49", "team:flood"), 0), 0);
  assert.equal(buckets.take([charge(1, "search", "team:quiet")], 0), true);
});

Deno.test("a call that needs two tokens takes both or none", () => {
  const buckets = new RateBuckets();
  const [wide, narrow] = [charge(5, "wide"), charge(1, "narrow")];
  assert.equal(buckets.take([wide, narrow], 0), true);
  assert.equal(buckets.take([wide, narrow], 0), false);
  assert.equal(buckets.tokens(wide, 0), 4);
  assert.equal(buckets.tokens(narrow, 0), 0);
});

Deno.test("a refund gives a token back, and never more than the bucket holds", () => {
  const buckets = new RateBuckets();
  const two = charge(2);
  assert.equal(buckets.take([two], 0), true);
  buckets.refund([two], 0);
  assert.equal(buckets.tokens(two, 0), 2);
  buckets.refund([two, charge(3, "never used")], 0);
  assert.equal(buckets.tokens(two, 0), 2);
});

Deno.test("a refund after the limit changed is no gift", () => {
  for (const [before, after] of [[1, 100], [100, 1]] as const) {
    const buckets = new RateBuckets();
    assert.equal(buckets.take([charge(before)], 0), true);
    // The new limit comes into force and is used up.
    while (buckets.take([charge(after)], 2 * HOUR_MS));
    buckets.refund([charge(before)], 2 * HOUR_MS);
    assert.ok(buckets.tokens(charge(after), 2 * HOUR_MS) < 2, `${before} to ${after}`);
  }
});

Deno.test("with refunds, too, no window sees more standing calls than a bucket and a refill", () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 20 }),
    fc.array(
      fc.record({ step: fc.integer({ min: -HOUR_MS / 8, max: HOUR_MS / 8 }), back: fc.boolean() }),
      { maxLength: 150 },
    ),
    (limit, steps) => {
      const buckets = new RateBuckets();
      const standing: number[] = [];
      let now_ms = HOUR_MS;
      let latest_ms = now_ms;
      for (const { step, back } of steps) {
        now_ms = Math.max(0, now_ms + step);
        latest_ms = Math.max(latest_ms, now_ms);
        if (!buckets.take([charge(limit)], now_ms)) continue;
        if (back) buckets.refund([charge(limit)], now_ms);
        else standing.push(latest_ms);
      }
      for (const start of standing) {
        const inside = standing.filter((at) => at >= start && at < start + HOUR_MS).length;
        assert.ok(inside <= 2 * limit, `${inside} in an hour of at most ${limit}`);
      }
    },
  ));
});

Deno.test("a clock that was a year ahead holds a bucket up for one window, not for a year", () => {
  const buckets = new RateBuckets();
  const year_ms = 365 * 24 * HOUR_MS;
  assert.equal(buckets.take([charge(1)], year_ms), true);
  assert.equal(buckets.tokens(charge(1), 0), 0);
  assert.equal(buckets.tokens(charge(1), HOUR_MS), 0);
  assert.equal(buckets.tokens(charge(1), 2 * HOUR_MS), 1);
});

Deno.test("buckets kept over a restart are as empty as before, full ones are not kept", () => {
  const before = new RateBuckets();
  assert.equal(before.take([charge(2), charge(3_600, "fast")], 0), true);
  const after = new RateBuckets();
  for (const state of before.states(1_000)) after.restore(state);
  assert.equal(after.size, 1);
  assert.equal(after.tokens(charge(2), 1_000), before.tokens(charge(2), 1_000));
});

Deno.test("a stored bucket that no bucket can be is refused", () => {
  const good = { scope: "team:t1", bucket: "x", limit: 2, window_ms: HOUR_MS, units: 0, at_ms: 0 };
  const buckets = new RateBuckets();
  for (
    const wrong of [
      { units: -1 },
      { units: 2 * HOUR_MS + 1 },
      { limit: 0 },
      { window_ms: 0.5 },
      { at_ms: NaN },
    ]
  ) {
    assert.throws(() => buckets.restore({ ...good, ...wrong }), RangeError);
  }
  assert.equal(buckets.size, 0);
});
