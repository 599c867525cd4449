import assert from "node:assert/strict";
import fc from "fast-check";
import { Baseline } from "../../core/anomaly/baseline.ts";
import type { Action } from "../../core/action.ts";
import { decide } from "../../core/policy/decide.ts";
import { agent, call, directory, exec, facts, STRANGER } from "../../core/policy/policy_fixture.ts";
import type { Principal } from "../../core/principal.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import type { Mutation, RecordRange } from "../../storage/sqlite/records.ts";
import type { Raise } from "../alerts/alert.ts";
import type { AnomalyVerdict } from "../engine/parts.ts";
import { Anomalies } from "./anomalies.ts";
import { ANOMALY_ROOM_LIMITS } from "./limits.ts";
import { baselineText, readBaseline } from "./stored.ts";

const HOUR_MS = 3_600_000;
const START_MS = Date.UTC(2026, 2, 2, 8);

class CountingStore extends MemoryStore {
  broken = false;
  reads = 0;

  override async *records(
    collection: Parameters<MemoryStore["records"]>[0],
    range?: RecordRange,
  ): ReturnType<MemoryStore["records"]> {
    this.reads++;
    if (this.broken) throw new Error("disk gone");
    yield* super.records(collection, range);
  }

  override commit(mutations: readonly Mutation[]): Promise<void> {
    return this.broken ? Promise.reject(new Error("disk gone")) : super.commit(mutations);
  }
}

class Fixture {
  readonly store = new CountingStore();
  readonly raised: Raise[] = [];
  anomalies = this.open();
  policy = directory("{}");
  now_ms = START_MS;

  open(): Anomalies {
    return new Anomalies({ store: this.store, seed: () => 7, raise: (r) => this.raised.push(r) });
  }

  act(action: Action, principal: Principal = agent()): AnomalyVerdict | undefined {
    const decision = decide(this.policy, action, facts({ principal, now_ms: this.now_ms }));
    return this.anomalies.observe({
      principal,
      record: undefined,
      action,
      now_ms: this.now_ms,
      trace_id: "t",
      decision,
      micro_usd: 0,
      cascade: this.policy.index.cascade(principal, action),
    });
  }

  /** Days of even work. */
  async work(days: number, principal: Principal = agent()): Promise<void> {
    for (let at = 0; at < days * 96; at++) {
      this.now_ms = START_MS + Math.floor(at / 96) * 24 * HOUR_MS + (at % 96) * 5 * 60_000;
      assert.equal(this.act(call(`t${at % 2}`, { n: at }), principal), undefined);
      if (at === 0) await this.anomalies.baselines.settled();
    }
    this.now_ms = START_MS + days * 24 * HOUR_MS;
  }

  /** As many calls in a minute. */
  burst(count: number): (AnomalyVerdict | undefined)[] {
    return Array.from({ length: count }, (_, at) => {
      this.now_ms += Math.floor(60_000 / count);
      return this.act(call("t0", { n: at }));
    });
  }
}

Deno.test("a spike raises one alert key with both numbers and changes nothing by default", async () => {
  const on = new Fixture();
  await on.work(5);
  const verdicts = on.burst(40).filter((verdict) => verdict !== undefined);
  assert.ok(verdicts.length > 0);
  assert.ok(verdicts.every(({ response }) => response === "alert"));
  const keys = new Set(on.raised.map((raise) => raise.dedup_key));
  assert.deepEqual([...keys], [`anomaly:behavior_spike:${"f".repeat(32)}`]);
  assert.match(on.raised[0]?.message ?? "", /^20 actions in 5 minutes, usually at most \d/);
  assert.equal(on.raised[0]?.severity, "info");
});

Deno.test("policy asks for more, and the strongest response of the cascade is given", async () => {
  const on = new Fixture();
  await on.work(5);
  on.policy = directory(
    "anomaly: { behavior_spike: require_approval }",
    "scope: team:t1\nanomaly: { behavior_spike: throttle }",
  );
  const verdict = on.burst(40).find((one) => one !== undefined);
  assert.equal(verdict?.response, "throttle");
  assert.equal(verdict?.detector, "behavior_spike");
  assert.equal(on.raised[0]?.severity, "critical");
});

Deno.test("trap 2: a program start is never more than reported unless policy says so", async () => {
  const on = new Fixture();
  await on.work(5);
  assert.equal(on.act(exec("curl http://x"))?.response, "alert");
  on.policy = directory("anomaly: { child_process_execution: quarantine }");
  const other = agent({ registry_key: "e".repeat(32) });
  await on.work(5, other);
  assert.equal(on.act(exec("curl http://x"), other)?.response, "quarantine");
});

Deno.test("no response, however strict, touches an agent that is still warming up", () => {
  const on = new Fixture();
  on.policy = directory(
    "anomaly: { behavior_spike: quarantine, unusual_tools: quarantine, argument_shape: quarantine," +
      " child_process_execution: quarantine, unknown_external_connection: quarantine }",
  );
  for (let at = 0; at < 500; at++) {
    on.now_ms += 100;
    assert.equal(on.act(call(`new${at}`, { [`k${at}`]: at })), undefined);
    assert.equal(on.act(exec(`p${at}`)), undefined);
  }
});

Deno.test("a baseline survives a restart, and what comes before it is read is not lost", async () => {
  const on = new Fixture();
  await on.work(5);
  await on.anomalies.baselines.close();
  const before = await on.anomalies.summary("f".repeat(32));
  on.anomalies = on.open();
  // Not there yet: nothing is said, and the decision did not wait.
  assert.equal(on.act(exec("curl http://x")), undefined);
  await on.anomalies.baselines.settled();
  assert.deepEqual(on.raised.map((raise) => raise.source), ["child_process_execution"]);
  const after = await on.anomalies.summary("f".repeat(32));
  assert.equal(after?.actions, (before?.actions ?? 0) + 1);
  assert.equal(after?.warm, true);
});

Deno.test("a late sign only alerts: the answer was given", async () => {
  const on = new Fixture();
  on.policy = directory("anomaly: { child_process_execution: quarantine }");
  await on.work(5);
  await on.anomalies.baselines.close();
  on.anomalies = on.open();
  on.act(exec("curl"));
  await on.anomalies.baselines.settled();
  assert.equal(on.raised[0]?.severity, "info");
});

Deno.test("idle baselines leave memory and come back from the store", async () => {
  const on = new Fixture();
  const key = (at: number) => at.toString(16).padStart(32, "0");
  const agents = ANOMALY_ROOM_LIMITS.resident_baselines + 300;
  for (let at = 0; at < agents; at++) on.act(exec("id"), agent({ registry_key: key(at) }));
  await on.anomalies.baselines.settled();
  const writes = Math.ceil(agents / ANOMALY_ROOM_LIMITS.written_baselines);
  for (let at = 0; at < writes; at++) await on.anomalies.baselines.tick();
  assert.equal(on.anomalies.baselines.status().resident, ANOMALY_ROOM_LIMITS.resident_baselines);
  assert.equal((await on.anomalies.summary(key(0)))?.actions, 1);
});

Deno.test("agents beyond the hard bound go unwatched, and it is told", async () => {
  const on = new Fixture();
  const key = (at: number) => at.toString(16).padStart(32, "0");
  for (let at = 0; at <= ANOMALY_ROOM_LIMITS.resident_baselines_hard; at++) {
    on.act(exec("id"), agent({ registry_key: key(at) }));
  }
  await on.anomalies.baselines.settled();
  assert.equal(on.anomalies.baselines.status().unwatched, 1);
});

Deno.test("agents nobody registered share bounded memory and one alert key", () => {
  const on = new Fixture();
  for (let at = 0; at < 2_000; at++) {
    const stranger = { ...STRANGER, agent_id: `s${at}`, engine_key: `${at}`.padStart(32, "0") };
    for (const _ of [1, 2, 3]) on.act(exec("id"), stranger);
  }
  assert.equal(on.anomalies.baselines.status().resident, 0);
  assert.equal(on.store.reads, 0);
  const stranger = { ...STRANGER, agent_id: "a", engine_key: "a".repeat(32) };
  for (let at = 0; at < 60; at++) on.act(call("t", {}), stranger);
  assert.deepEqual([...new Set(on.raised.map((raise) => raise.dedup_key))], [
    "anomaly:loop_runaway:unregistered",
  ]);
});

Deno.test("a store that fails: agents are watched anew, and nothing sound is written over", async () => {
  const on = new Fixture();
  await on.work(5);
  await on.anomalies.baselines.close();
  on.anomalies = on.open();
  on.store.broken = true;
  on.act(exec("id"));
  await on.anomalies.baselines.settled();
  on.store.broken = false;
  await on.anomalies.baselines.close();
  on.anomalies = on.open();
  assert.equal((await on.anomalies.summary("f".repeat(32)))?.warm, true);
});

Deno.test("a damaged baseline is named, is not written over, and can be reset", async () => {
  const on = new Fixture();
  const key = "f".repeat(32);
  const value = '{"version":1,"seed":-1}';
  await on.store.commit([
    { kind: "put_record", collection: "anomaly_baselines", key, value },
  ]);
  on.act(exec("id"));
  await on.anomalies.baselines.settled();
  assert.equal(
    on.anomalies.baselines.status().damaged.get(key),
    "seed: not a number from 0 up",
  );
  await on.anomalies.baselines.close();
  for await (const page of on.store.records("anomaly_baselines")) {
    assert.equal(page[0]?.value, value);
  }
  await on.anomalies.baselines.forget(key);
  assert.equal(on.anomalies.baselines.status().damaged.size, 0);
  on.act(exec("id"));
  await on.anomalies.baselines.settled();
  assert.equal((await on.anomalies.summary(key))?.actions, 1);
});

Deno.test("only a whole baseline is read back: any field that is off is refused", () => {
  const good = new Baseline({ seed: 5 }).state();
  assert.deepEqual(readBaseline(baselineText(good)), good);
  fc.assert(fc.property(
    fc.constantFrom(...Object.keys(good)),
    fc.constantFrom(undefined, null, -1, "1", [], { items: 3 }, Number.MAX_VALUE * 10),
    (key, wrong) => {
      const text = JSON.stringify({ version: 1, ...good, [key]: wrong });
      assert.equal(typeof readBaseline(text), "string", text);
    },
  ));
});

Deno.test("who claims another's identity raises one alert, however many names it invents", () => {
  const on = new Fixture();
  for (let at = 0; at < 100; at++) {
    on.anomalies.spoofed(`victim-${at}`, "credential token registered to a different agent");
  }
  assert.equal(new Set(on.raised.map((raise) => raise.dedup_key)).size, 1);
  assert.equal(on.raised[0]?.source, "cross_agent_identity_spoofing");
});

Deno.test("no argument, secret or payload gets into an alert", async () => {
  const on = new Fixture();
  await on.work(5);
  const token = `ghp_${"a1B2".repeat(9)}`;
  on.act(exec(`curl -H ${token}`));
  for (let at = 0; at < 10; at++) {
    on.act(call(`${token}-${at}`, { password: "hunter2", [`key${at}`]: token }));
    on.act({ kind: "network_request", url: `https://x.example/?t=${token}`, method: "GET" });
  }
  assert.ok(on.raised.length > 0);
  assert.doesNotMatch(JSON.stringify(on.raised), /hunter2|a1B2|password/);
});

Deno.test("a baseline of an agent that is known no more leaves the store", async () => {
  const on = new Fixture();
  const [stays, goes] = ["a".repeat(32), "b".repeat(32)];
  for (const registry_key of [stays, goes]) on.act(exec("id"), agent({ registry_key }));
  await on.anomalies.baselines.close();
  await on.anomalies.baselines.prune((key) => key === stays);
  await on.anomalies.baselines.prune((key) => key === stays);
  assert.equal((await on.anomalies.summary(stays))?.actions, 1);
  assert.equal(await on.anomalies.summary(goes), undefined);
});
