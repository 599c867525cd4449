import assert from "node:assert/strict";
import { MemoryStore } from "../../storage/memory/store.ts";
import type { Raise } from "./alert.ts";
import { ALERT_LIMITS } from "./limits.ts";
import type { AlertRuleWords } from "./rule.ts";
import { AlertRuleError, AlertRules, growthOf, Peaks } from "./rules.ts";

const MINUTE_MS = 60_000;

const WORDS: AlertRuleWords = {
  name: "many refusals",
  description: "",
  enabled: true,
  metric: "policy_violation_count",
  operator: ">=",
  threshold: 10,
  severity: "HIGH",
  window_s: 300,
};

async function fixture(store = new MemoryStore()) {
  const raised: Raise[] = [];
  const recorded: string[] = [];
  let random = 0;
  const rules = await AlertRules.open({
    store,
    now_ms: () => 1_000,
    random: () => new Uint8Array(16).fill(Math.floor(++random / 32)).fill(random % 32, 8),
    record: (action) => {
      recorded.push(action);
      return Promise.resolve();
    },
    raise: (raise) => raised.push(raise),
  });
  return { store, rules, raised, recorded };
}

Deno.test("a rule speaks when its measure says so, once a minute at most", async () => {
  const on = await fixture();
  await on.rules.put(undefined, WORDS, "operator:ann");
  let count = 0;
  on.rules.sources.set("policy_violation_count", growthOf(() => count));
  on.rules.tick(0);
  count = 9;
  on.rules.tick(MINUTE_MS);
  assert.equal(on.raised.length, 0);
  count = 12;
  on.rules.tick(2 * MINUTE_MS);
  on.rules.tick(2 * MINUTE_MS + 1_000);
  assert.deepEqual(on.raised.map(({ severity, message }) => `${severity}: ${message}`), [
    "critical: policy_violation_count is 12 over 300 s, the rule says >= 10",
  ]);
  // Ten minutes later nothing new was refused.
  on.rules.tick(12 * MINUTE_MS);
  assert.equal(on.raised.length, 1);
});

Deno.test("a rule that is disabled, or has no source, never speaks", async () => {
  const on = await fixture();
  await on.rules.put(undefined, { ...WORDS, enabled: false, threshold: 0 }, "operator:ann");
  await on.rules.put(
    undefined,
    { ...WORDS, name: "b", metric: "anomaly_score", threshold: 0 },
    "operator:ann",
  );
  on.rules.sources.set("policy_violation_count", () => 99);
  on.rules.tick(0);
  assert.deepEqual(on.raised, []);
});

Deno.test("rules survive a restart, can be changed and deleted, each on record", async () => {
  const on = await fixture();
  const { id } = await on.rules.put(undefined, WORDS, "operator:ann");
  await on.rules.put(id, { ...WORDS, threshold: 5 }, "operator:ann");
  const again = await fixture(on.store);
  assert.deepEqual(again.rules.list().map(({ threshold }) => threshold), [5]);
  await again.rules.remove(id, "operator:ann");
  assert.deepEqual((await fixture(on.store)).rules.list(), []);
  assert.deepEqual([...on.recorded, ...again.recorded], [
    "alert_rule_set",
    "alert_rule_set",
    "alert_rule_deleted",
  ]);
});

Deno.test("what is wrong with a rule has the contract's code", async () => {
  const { rules } = await fixture();
  const codeOf = async (words: Partial<AlertRuleWords>, id?: string): Promise<string> => {
    try {
      await rules.put(id, { ...WORDS, ...words }, "operator:ann");
      return "";
    } catch (error) {
      assert.ok(error instanceof AlertRuleError);
      return error.code;
    }
  };
  assert.equal(await codeOf({ metric: "cpu" }), "invalid_metric");
  assert.equal(await codeOf({ operator: "!=" }), "invalid_operator");
  assert.equal(await codeOf({ severity: "high" }), "invalid_severity");
  assert.equal(await codeOf({ name: " " }), "invalid_name");
  assert.equal(await codeOf({ name: "x".repeat(129) }), "invalid_name");
  for (const threshold of [-1, NaN, Infinity]) {
    assert.equal(await codeOf({ threshold }), "invalid_threshold");
  }
  assert.equal(await codeOf({ metric: "budget_spent_pct", threshold: 101 }), "invalid_threshold");
  assert.equal(await codeOf({ window_s: 60 }), "invalid_evaluation_window");
  assert.equal(await codeOf({}, "nobody"), "rule_not_found");
  assert.equal(await codeOf({}), "");
  assert.equal(await codeOf({}), "rule_name_conflict");
  assert.equal(rules.list().length, 1);
});

Deno.test("there are only so many rules, and a damaged one is named and can be deleted", async () => {
  const on = await fixture();
  for (let at = 0; at < ALERT_LIMITS.rules; at++) {
    await on.rules.put(undefined, { ...WORDS, name: `r${at}` }, "operator:ann");
  }
  await assert.rejects(on.rules.put(undefined, WORDS, "operator:ann"), /200 rules exist/);
  const key = "00BAD";
  const value = '{"id":"00BAD","metric":"cpu"}';
  await on.store.commit([{ kind: "put_record", collection: "alert_rules", key, value }]);
  const again = await fixture(on.store);
  assert.deepEqual([...again.rules.damaged.keys()], [key]);
  await again.rules.remove(key, "operator:ann");
  assert.equal((await fixture(on.store)).rules.damaged.size, 0);
});

Deno.test("a measure looks at its window alone, also when the clock is set back", () => {
  let count = 0;
  const measure = growthOf(() => count);
  for (let at = 0; at <= 10; at++) {
    count = at * 10;
    assert.equal(measure(5 * MINUTE_MS, at * MINUTE_MS), Math.min(at, 5) * 10);
  }
  assert.equal(measure(5 * MINUTE_MS, MINUTE_MS), 0);
  const peaks = new Peaks();
  peaks.tell(80, 0);
  peaks.tell(95, 10 * MINUTE_MS);
  assert.equal(peaks.measure(5 * MINUTE_MS, 11 * MINUTE_MS), 95);
  assert.equal(peaks.measure(5 * MINUTE_MS, 30 * MINUTE_MS), 0);
});
