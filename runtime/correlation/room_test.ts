import assert from "node:assert/strict";
import { turns } from "../_fixture.ts";
import type { Origin } from "../parts.ts";
import { eventOf, PipelineBench } from "../pipeline/_pipeline_fixture.ts";
import type { PipelineItem, Subscription } from "../pipeline/subscribers.ts";
import { CORRELATION_LIMITS } from "./limits.ts";
import { CORRELATION_RULE, openCorrelation, OUTCOME_LABEL } from "./room.ts";

const AGENT: Origin = {
  source: "sdk",
  connection: {
    id: 1,
    sdk_version: "0.4.0",
    handshake: "public_id",
    applies_redactions: false,
    peer: { uid: 0, gid: 0, pid: 100 },
  },
};

async function seen(
  listener: Subscription,
  bench: PipelineBench,
): Promise<readonly PipelineItem[]> {
  bench.pipeline.flush();
  return await listener.next() ?? [];
}

Deno.test("trap R6: outcomes come back as events of the pipeline: redacted, on disk, each once", async () => {
  await using bench = new PipelineBench({ batch_rows: 1 });
  await using correlation = openCorrelation({
    pipeline: bench.pipeline,
    metrics: bench.metrics,
    timers: bench.timers,
    newId: () => crypto.randomUUID(),
  });
  const listener = bench.pipeline.subscribe("test");
  const kernel = (syscall: string, pid: number) =>
    bench.pipeline.report(
      eventOf({
        eventId: `${syscall}-${pid}`,
        labels: { "aa.syscall": syscall, "aa.ppid": "100" },
      }),
      { source: "ebpf", pid },
    );
  await bench.pipeline.report(
    eventOf({ eventId: "call", detail: { case: "toolCall", value: { toolName: "delete_file" } } }),
    AGENT,
  );
  await kernel("unlink", 101);
  await kernel("connect", 101);
  await turns();
  await seen(listener, bench);
  for (let round = 0; round < 8; round++) await bench.timers.pass(CORRELATION_LIMITS.interval_ms);
  const told = (await seen(listener, bench)).map(({ event }) => event);
  assert.deepEqual(told.map(({ labels }) => labels[OUTCOME_LABEL]).sort(), [
    "matched",
    "unexpected_action",
  ]);
  const matched = told.find(({ labels }) => labels[OUTCOME_LABEL] === "matched");
  assert.equal(matched?.labels["correlation.intent"], "call");
  assert.equal(matched.labels["correlation.action"], "unlink-101");
  assert.equal(matched.labels["correlation.intent_pid"], "100");
  const unexpected = told.find(({ detail }) => detail.case === "violation");
  assert.ok(unexpected?.detail.case === "violation");
  assert.equal(unexpected.detail.value.policyRule, CORRELATION_RULE);
  assert.match(unexpected.detail.value.reason, /process `101` did `network_connect`/);
  assert.deepEqual(bench.violations, [], "no client is told of it");
  assert.equal(bench.spool.records.length, 5);
  for (let round = 0; round < 20; round++) await bench.timers.pass(CORRELATION_LIMITS.interval_ms);
  assert.equal(
    bench.spool.records.length,
    5,
    "nothing is told twice, and no outcome makes another",
  );
  assert.deepEqual(correlation.status(), { intents: 0, actions: 0, forgotten: 0, lost_events: 0 });
});

Deno.test("a storm of unannounced acts is told up to a bound, and counted beyond it", async () => {
  await using bench = new PipelineBench({ batch_rows: 1 });
  await using _correlation = openCorrelation({
    pipeline: bench.pipeline,
    metrics: bench.metrics,
    timers: bench.timers,
    newId: () => crypto.randomUUID(),
  });
  const acts = CORRELATION_LIMITS.outcomes_told + 40;
  for (let n = 0; n < acts; n++) {
    await bench.pipeline.report(eventOf({ labels: { "aa.syscall": "unlink" } }), {
      source: "ebpf",
      pid: 7,
    });
  }
  await turns();
  for (let round = 0; round < 6; round++) await bench.timers.pass(CORRELATION_LIMITS.interval_ms);
  await turns();
  assert.equal(bench.spool.records.length, acts + CORRELATION_LIMITS.outcomes_told);
  assert.equal(bench.metrics.count("aa_correlation_untold_total"), 40);
  const counted = "aa_correlation_outcomes_total{outcome=unexpected_action}";
  assert.equal(bench.metrics.count(counted), acts);
});

Deno.test("correlation ends with the pipeline", async () => {
  const bench = new PipelineBench();
  const correlation = openCorrelation({
    pipeline: bench.pipeline,
    metrics: bench.metrics,
    timers: bench.timers,
    newId: () => crypto.randomUUID(),
  });
  await bench.pipeline.close();
  await correlation.close();
});
