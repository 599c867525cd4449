import assert from "node:assert/strict";
import fc from "fast-check";
import type { Action } from "../action.ts";
import { compilePolicySet } from "../policy/compile.ts";
import { agent, call, exec, load, request } from "../policy/policy_fixture.ts";
import { DEFAULT_SCANNER } from "../scanner/mod.ts";
import { Baseline, type Sign } from "./baseline.ts";
import { observationOf, type Sighted } from "./observation.ts";
import { refusedSighting, sighted } from "./testing/benign_fleet.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** Monday, 08:00 UTC. */
const START_MS = Date.UTC(2026, 2, 2, 8);

function see(baseline: Baseline, seen: Sighted): readonly Sign[] {
  return baseline.observe(observationOf(seen, baseline.seed));
}

/** Some days of even work from 08:00 to 16:00: `per_hour` calls, two tools, one model call each. */
function worked(days: number, per_hour = 12): { baseline: Baseline; now_ms: number } {
  const baseline = new Baseline({ seed: 7 });
  for (let day = 0; day < days; day++) {
    for (let at = 0; at < 8 * per_hour; at++) {
      const at_ms = START_MS + day * DAY_MS + at * HOUR_MS / per_hour;
      const signs = see(
        baseline,
        sighted(at_ms, call(`t${at % 2}`, { n: at }), { micro_usd: 200 }),
      );
      assert.deepEqual(signs, [], `day ${day}`);
    }
  }
  return { baseline, now_ms: START_MS + days * DAY_MS };
}

/** What a number of acts, one second apart, makes the detectors say. */
function detectors(
  baseline: Baseline,
  start_ms: number,
  count: number,
  act: (at: number, at_ms: number) => Sighted,
): Set<string> {
  const spoke = new Set<string>();
  for (let at = 0; at < count; at++) {
    for (const sign of see(baseline, act(at, start_ms + at * 1_000))) spoke.add(sign.detector);
  }
  return spoke;
}

const distinct = (at: number, at_ms: number) => sighted(at_ms, call("t0", { n: at }));

Deno.test("at boot nothing is unusual: no detector that compares speaks before its warm-up", () => {
  const baseline = new Baseline({ seed: 1 });
  const acts: ((at: number) => Action)[] = [
    (at) => call(`new${at}`, { [`k${at}`]: at }),
    (at) => request(`https://h${at}.example/`),
    (at) => exec(`p${at}`),
  ];
  const spoke = detectors(baseline, START_MS, 3_000, (at, at_ms) => {
    const action = acts[at % 3]?.(at) ?? exec("x");
    return at % 5 === 0
      ? refusedSighting(at_ms, action)
      : sighted(at_ms, action, { micro_usd: 10_000_000 });
  });
  assert.deepEqual([...spoke], []);
});

Deno.test("two hundred actions in an hour warm nothing up, nor does a clock a year ahead", () => {
  const baseline = new Baseline({ seed: 1 });
  detectors(baseline, START_MS, 300, distinct);
  assert.equal(baseline.warm, false);
  see(baseline, sighted(START_MS + 365 * DAY_MS, call("t0")));
  assert.equal(baseline.warm, false);
  assert.ok(baseline.summary().watched_hours <= 7);
});

Deno.test("a spike is told with both numbers", () => {
  const { baseline, now_ms } = worked(5);
  let told: Sign | undefined;
  for (let at = 0; at < 40; at++) {
    told ??= see(baseline, distinct(at, now_ms + at * 1_000))
      .find((sign) => sign.detector === "behavior_spike");
  }
  assert.match(told?.explanation ?? "", /^20 actions in 5 minutes, usually at most 1(\.\d+)?$/);
});

Deno.test("a clock that is set back ends what runs unjudged, and accuses nobody", () => {
  const { baseline, now_ms } = worked(5);
  assert.equal(detectors(baseline, now_ms, 15, distinct).size, 0);
  assert.equal(detectors(baseline, now_ms - 2 * DAY_MS, 15, distinct).size, 0);
  assert.equal(detectors(baseline, now_ms - 2 * DAY_MS + 20_000, 3, distinct).size, 0);
});

Deno.test("clock jumps both ways never break a baseline", () => {
  fc.assert(fc.property(
    fc.array(
      fc.record({
        jump_ms: fc.integer({ min: -400 * DAY_MS, max: 400 * DAY_MS }),
        tool: fc.integer({ min: 0, max: 3 }),
      }),
      { maxLength: 60 },
    ),
    (steps) => {
      const baseline = new Baseline({ seed: 3 });
      let now_ms = START_MS;
      for (const { jump_ms, tool } of steps) {
        now_ms = Math.max(1, now_ms + jump_ms);
        see(baseline, sighted(now_ms, call(`t${tool}`)));
      }
      const { watched_hours, active_hours } = baseline.summary();
      assert.ok(watched_hours >= 0 && watched_hours <= 6 * steps.length + 1);
      assert.ok(active_hours.every((share) => share >= 0 && share <= 1));
      const again = new Baseline(JSON.parse(JSON.stringify(baseline.state())));
      assert.deepEqual(again.state(), baseline.state());
    },
  ));
});

Deno.test("slow poisoning: what is usual rises by at most a tenth a day, whatever is done", () => {
  const { baseline, now_ms } = worked(10);
  const before = baseline.summary().actions_per_window ?? 0;
  assert.ok(before > 0);
  const days = 12;
  for (let day = 0; day < days; day++) {
    // As much as passes without a word: just below three times the usual, all day long.
    const allowed = Math.max(19, Math.floor(3 * (baseline.summary().actions_per_window ?? 0)) - 1);
    for (let window = 0; window < 96; window++) {
      for (let at = 0; at < allowed; at++) {
        const at_ms = now_ms + day * DAY_MS + window * 5 * MINUTE_MS + at * 1_000;
        see(baseline, sighted(at_ms, call("t0", { n: at })));
      }
    }
  }
  const after = baseline.summary().actions_per_window ?? 0;
  assert.ok(after <= before * 1.1 ** (days + 1), `${before} to ${after}`);
});

Deno.test("a spike teaches no more than its threshold", () => {
  const { baseline, now_ms } = worked(5);
  detectors(baseline, now_ms, 280, distinct);
  const { weights } = (see(baseline, sighted(now_ms + HOUR_MS, call("t0"))), baseline.state().rate);
  assert.ok(weights.length <= 2 * Math.log2(64) + 1, `learned ${weights.length} steps`);
});

Deno.test("trap 3: a host that an entry of the merged allowlists lets in is a known host", () => {
  const cascadeOf = (...texts: string[]) =>
    compilePolicySet(load(...texts)).index.cascade(agent(), request("https://x.example/"));
  const hosts = (cascade: ReturnType<typeof cascadeOf>, make: (at: number) => string) => {
    const { baseline, now_ms } = worked(5);
    for (let at = 0; at < 250; at++) {
      see(
        baseline,
        sighted(now_ms + at * 20 * MINUTE_MS, request("https://old.org/"), { cascade }),
      );
    }
    return detectors(
      baseline,
      now_ms + DAY_MS,
      20,
      (at, at_ms) => sighted(at_ms, request(make(at)), { cascade }),
    ).has("unknown_external_connection");
  };
  const wildcard = cascadeOf('network: { allowlist: ["*.example", "old.org"] }');
  assert.equal(hosts(wildcard, (at) => `https://H${at}.Example:8443/`), false);
  const open = cascadeOf('network: { allowlist: ["*"] }');
  assert.equal(hosts(open, (at) => `https://h${at}.example/`), true);
  assert.equal(hosts(cascadeOf("{}"), (at) => `https://h${at}.example/`), true);
});

Deno.test("loops end: fifty calls over ten minutes are no loop, in one window they are", () => {
  const baseline = new Baseline({ seed: 1 });
  const same = (at_ms: number) => sighted(at_ms, call("t0", { n: 1 }));
  for (let at = 0; at < 100; at++) {
    assert.deepEqual(see(baseline, same(START_MS + at * 7_000)), []);
  }
  const spoke = detectors(baseline, START_MS + DAY_MS, 50, (_, at_ms) => same(at_ms));
  assert.deepEqual([...spoke], ["loop_runaway"]);
});

Deno.test("secrets: a mail address is a guess and counts for nothing, three keys in an hour count", () => {
  const found = (kind: "EmailAddress" | "GitHubAppToken", at_ms: number): Sighted => {
    const seen = sighted(at_ms, call("t0"));
    const findings = [{ source: "builtin", kind, offset: 0, end: 9 } as const];
    return { ...seen, decision: { ...seen.decision, findings } };
  };
  const quiet = new Baseline({ seed: 1 });
  const loud = new Baseline({ seed: 1 });
  for (let at = 0; at < 10; at++) {
    assert.deepEqual(see(quiet, found("EmailAddress", START_MS + at)), []);
  }
  const spoke = [0, 1, 2].map((at) => see(loud, found("GitHubAppToken", START_MS + at)).length);
  assert.deepEqual(spoke, [0, 0, 1]);
  // A later hour begins anew: the reference's counter never does.
  assert.deepEqual(see(loud, found("GitHubAppToken", START_MS + 2 * HOUR_MS)), []);
});

Deno.test("secrets: a vendor's token counts although its frozen kind is that of a guess", () => {
  const tokens = [
    `hf_${"abcdefghijklmnopqrABCDEFGHIJKLMNOP"}`,
    `sk_live_${"4eC39HqLyjWDarjtT1zdp7dc"}`,
    `npm_${"a1B2c3D4".repeat(4)}a1B2`,
  ];
  const carrying = (text: string): boolean => {
    const seen = sighted(START_MS, call("t0"));
    const findings = DEFAULT_SCANNER.scan(text);
    return observationOf({ ...seen, decision: { ...seen.decision, findings } }, 1).secret;
  };
  for (const token of tokens) assert.equal(carrying(`key ${token} end`), true, token);
  assert.equal(carrying("digest a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0"), false, "an identifier");
  const session = `session=${"f00dBabe1234".repeat(4)}`;
  assert.equal(carrying(`Cookie: ${session}`), false, "a cookie");
});

Deno.test("a refused call is judged and teaches nothing", () => {
  const { baseline, now_ms } = worked(5);
  const before = baseline.summary();
  for (let at = 0; at < 5; at++) {
    see(baseline, refusedSighting(now_ms + at * MINUTE_MS, call(`probe${at}`)));
  }
  assert.equal(baseline.summary().tools, before.tools);
});

Deno.test("a tool's answer is no second call", () => {
  const { baseline, now_ms } = worked(1);
  const { actions } = baseline.summary();
  see(baseline, sighted(now_ms, { kind: "tool_result", tool: "t0", result: "x" }));
  assert.equal(baseline.summary().actions, actions);
});

Deno.test("what is kept holds numbers only: no tool, host, argument or key of them", () => {
  const { baseline, now_ms } = worked(2);
  see(baseline, sighted(now_ms, call("very_secret_tool", { password: "hunter2" })));
  see(baseline, sighted(now_ms, request("https://intranet.example/")));
  const kept = JSON.stringify(baseline.state());
  assert.doesNotMatch(kept, /secret_tool|password|hunter2|intranet|example/);
  const words = new Set(kept.match(/[a-z_]+/g));
  assert.ok(words.size < 30, [...words].join());
});

Deno.test("memory is bounded: ten thousand inventions leave a small baseline", () => {
  const baseline = new Baseline({ seed: 1 });
  for (let at = 0; at < 10_000; at++) {
    const at_ms = START_MS + at * MINUTE_MS;
    see(baseline, sighted(at_ms, call(`t${at}`, { [`k${at}`]: at })));
    see(baseline, sighted(at_ms, request(`https://h${at}.example/`)));
    see(baseline, sighted(at_ms, exec(`p${at}`)));
  }
  assert.ok(JSON.stringify(baseline.state()).length < 48_000);
});
