import assert from "node:assert/strict";
import { fromBinary } from "@bufbuild/protobuf";
import { audit } from "../../proto/mod.ts";
import { turns, until } from "../_fixture.ts";
import { argsOf, eventOf, fromClient, PipelineBench, toolEvent } from "./_pipeline_fixture.ts";
import { enrichmentOf } from "./enrichment.ts";
import { PIPELINE_LIMITS } from "./limits.ts";
import { PipelineError } from "./room.ts";
import { OMITTED_LABEL } from "./stored_copy.ts";

/** The stored copy of record `index`. */
function stored(bench: PipelineBench, index = 0): audit.AuditEvent {
  const record = bench.spool.records[index];
  assert.ok(record !== undefined, `no record ${index}`);
  return fromBinary(audit.AuditEventSchema, record.bytes);
}

Deno.test("an event is enriched, on disk before it is acknowledged, and passed on after", async () => {
  await using bench = new PipelineBench();
  const listener = bench.pipeline.subscribe("test");
  const gate = Promise.withResolvers<void>();
  bench.spool.gate = gate.promise;
  let acknowledged = false;
  const reported = bench.pipeline.report(toolEvent('{"path":"/a"}'), fromClient("0.4.0", 9))
    .then(() => acknowledged = true);
  await turns();
  bench.pipeline.flush();
  assert.equal(acknowledged, false);
  assert.equal(listener.lost, 0);
  gate.resolve();
  await reported;
  bench.pipeline.flush();
  const [item] = await listener.next() ?? [];
  assert.deepEqual(item?.enrichment, {
    received_at_ms: bench.timers.now_ms(),
    source: "sdk",
    connection_id: 9,
    sequence: 1,
    claimed_agent_id: "",
    sdk_verdict: "ok",
    forged_trust_markers: 0,
  });
  assert.equal(item.spool_seq, 1);
  assert.equal(argsOf(item.event), '{"path":"/a"}');
  assert.deepEqual(enrichmentOf(stored(bench)), item.enrichment);
  assert.equal(stored(bench).occurredAt?.unixMs, BigInt(bench.timers.now_ms()));
});

Deno.test("a tool's arguments are never stored, and neither is a prompt behind any label", async () => {
  await using bench = new PipelineBench();
  const event = toolEvent('{"path":"/etc/hosts"}');
  event.labels["prompt"] = "please summarise";
  event.labels["note"] = '{"tool_args":{"a":1},"kept":2}';
  await bench.pipeline.report(event, fromClient());
  const copy = stored(bench);
  assert.equal(argsOf(copy), "");
  assert.equal(copy.labels["prompt"], undefined);
  assert.equal(copy.labels["note"], '{"kept":2}');
  assert.equal(copy.labels[OMITTED_LABEL], "args_json,never stored");
});

Deno.test("an agent reports for itself alone: another's name, team or organisation is evidence only", async () => {
  await using bench = new PipelineBench();
  const event = eventOf({
    agentId: { agentId: "someone-else", orgId: "other", teamId: "blue" },
    teamId: "blue",
    labels: { "aa.sdk_version": "0.4.0" },
  });
  await bench.pipeline.report(event, fromClient());
  const copy = stored(bench);
  assert.equal(copy.agentId?.agentId, "agent-1");
  assert.equal(copy.agentId.orgId, "acme");
  assert.equal(copy.agentId.teamId, "red");
  assert.equal(copy.teamId, "red");
  assert.equal(enrichmentOf(copy).claimed_agent_id, "someone-else");
});

Deno.test("a violation is passed on at once and told to the connection it came from", async () => {
  await using bench = new PipelineBench();
  const listener = bench.pipeline.subscribe("test");
  await bench.pipeline.report(eventOf({ labels: { "aa.sdk_version": "0.4.0" } }), fromClient());
  const event = eventOf({
    labels: { "aa.sdk_version": "0.4.0" },
    detail: { case: "violation", value: { policyRule: "r", blockedAction: "a", reason: "why" } },
  });
  await bench.pipeline.report(event, fromClient("0.4.0", 42));
  const first = await listener.next();
  assert.deepEqual(first?.map(({ event: { detail } }) => detail.case), ["violation"]);
  assert.equal(bench.violations[0]?.connection, 42);
  assert.equal(bench.violations[0]?.violation.reason, "why");
  assert.equal(bench.metrics.count("aa_policy_violations_total"), 1);
  bench.pipeline.flush();
  assert.equal((await listener.next())?.length, 1);
});

Deno.test("an action that the local policy blocks is told as a violation, by the rule's name", async () => {
  await using bench = new PipelineBench({ blocked_actions: new Map([["TOOL_CALL", "no-tools"]]) });
  await bench.pipeline.report(toolEvent("{}"), fromClient("0.4.0", 3));
  const [told] = bench.violations;
  assert.equal(told?.connection, 3);
  assert.equal(told.violation.policyRule, "no-tools");
  assert.equal(told.violation.blockedAction, "TOOL_CALL");
});

Deno.test("events go on in batches: by number, by time, and at the end", async () => {
  const bench = new PipelineBench();
  const listener = bench.pipeline.subscribe("test");
  const report = () => bench.pipeline.report(toolEvent("{}"), fromClient());
  for (let n = 0; n < PIPELINE_LIMITS.batch_rows; n++) await report();
  assert.equal((await listener.next())?.length, PIPELINE_LIMITS.batch_rows);
  await report();
  await report();
  assert.deepEqual(bench.timers.waits_ms(), [PIPELINE_LIMITS.flush_interval_ms]);
  await bench.timers.pass(PIPELINE_LIMITS.flush_interval_ms);
  assert.equal((await listener.next())?.length, 2);
  await report();
  await bench.pipeline.close();
  assert.equal((await listener.next())?.length, 1);
  assert.equal(await listener.next(), undefined);
});

Deno.test("a slow subscriber loses its oldest alone: counted, named, and nothing of it from the disk", async () => {
  await using bench = new PipelineBench({ subscriber_rows: 10, batch_rows: 1 });
  const slow = bench.pipeline.subscribe("slow");
  const fast = bench.pipeline.subscribe("fast");
  let seen = 0;
  for (let n = 0; n < 25; n++) {
    await bench.pipeline.report(toolEvent("{}"), fromClient());
    seen += (await fast.next())?.length ?? 0;
  }
  assert.equal(seen, 25);
  assert.equal(slow.lost, 15);
  assert.equal(bench.metrics.count("aa_pipeline_lost_total{subscriber=slow}"), 15);
  assert.equal(bench.metrics.count("aa_pipeline_lost_total{subscriber=fast}"), 0);
  assert.deepEqual((await slow.next())?.map(({ spool_seq }) => spool_seq).slice(0, 2), [16, 17]);
  assert.equal(bench.spool.records.length, 25);
});

Deno.test("a full queue makes reporters wait in turn and loses nothing", async () => {
  await using bench = new PipelineBench({ input_buffer_rows: 4 });
  const gate = Promise.withResolvers<void>();
  bench.spool.gate = gate.promise;
  const done: number[] = [];
  const reports = Array.from({ length: 20 }, async (_, n) => {
    const event = toolEvent("{}");
    event.traceId = `run-${n}`;
    await bench.pipeline.report(event, fromClient());
    done.push(n);
  });
  await turns();
  assert.deepEqual(done, []);
  assert.equal(bench.metrics.count("aa_channel_utilization_ratio"), 1);
  gate.resolve();
  await Promise.all(reports);
  assert.deepEqual(done, Array.from({ length: 20 }, (_, n) => n));
  assert.deepEqual(
    bench.spool.records.map((_, index) => stored(bench, index).traceId),
    Array.from({ length: 20 }, (_, n) => `run-${n}`),
  );
  assert.equal(bench.metrics.count("aa_channel_utilization_ratio"), 0);
});

Deno.test("while the spool is full nothing is acknowledged; then everything is kept", async () => {
  await using bench = new PipelineBench();
  bench.spool.refusal = "full";
  let acknowledged = 0;
  const reports = Array.from(
    { length: 5 },
    () => bench.pipeline.report(toolEvent("{}"), fromClient()).then(() => acknowledged++),
  );
  await turns();
  assert.equal(acknowledged, 0);
  bench.spool.relieve();
  await Promise.all(reports);
  assert.equal(bench.spool.records.length, 5);
});

Deno.test("a crowded disk queue is asked again after a wait", async () => {
  await using bench = new PipelineBench();
  bench.spool.refusal = "queue_full";
  const report = bench.pipeline.report(toolEvent("{}"), fromClient());
  await turns();
  assert.deepEqual(bench.timers.waits_ms(), [PIPELINE_LIMITS.spool_retry_ms]);
  bench.spool.relieve();
  await bench.timers.pass(PIPELINE_LIMITS.spool_retry_ms);
  await report;
});

Deno.test("a failed spool refuses every event by name, and counts them", async () => {
  await using bench = new PipelineBench();
  bench.spool.refusal = "corrupt";
  await assert.rejects(bench.pipeline.report(toolEvent("{}"), fromClient()), { code: "corrupt" });
  assert.deepEqual({ ...bench.pipeline.status, subscribers: [] }, {
    received: 1,
    kept: 0,
    refused: 1,
    subscribers: [],
  });
});

Deno.test("stopping keeps what was taken and refuses the rest by name", async () => {
  const bench = new PipelineBench({ input_buffer_rows: 2 });
  const gate = Promise.withResolvers<void>();
  bench.spool.gate = gate.promise;
  const outcomes = Promise.allSettled(
    Array.from({ length: 5 }, () => bench.pipeline.report(toolEvent("{}"), fromClient())),
  );
  await turns();
  const closing = bench.pipeline.close();
  gate.resolve();
  await closing;
  const refused = (await outcomes).flatMap((one) => one.status === "rejected" ? [one.reason] : []);
  assert.equal(refused.length, 3);
  for (const error of refused) assert.ok(error instanceof PipelineError && error.code === "closed");
  assert.equal(bench.spool.records.length, 2);
  await assert.rejects(bench.pipeline.report(toolEvent("{}"), fromClient()), { code: "closed" });
});

Deno.test("stopping does not wait for a spool that stays full", async () => {
  const bench = new PipelineBench();
  bench.spool.refusal = "full";
  const report = bench.pipeline.report(toolEvent("{}"), fromClient());
  const refused = assert.rejects(report, { code: "closed" });
  await turns();
  await bench.pipeline.close();
  await refused;
});

Deno.test("an event too large for the spool is kept with less, and says what it lacks", async () => {
  await using bench = new PipelineBench();
  const event = toolEvent("{}");
  for (let n = 0; n < 12; n++) event.labels[`k${n}`] = "words and words ".repeat(3_000);
  await bench.pipeline.report(event, fromClient());
  const copy = stored(bench);
  assert.equal(copy.labels[OMITTED_LABEL], "args_json,labels,call_stack");
  assert.ok(copy.detail.case === "toolCall" && copy.detail.value.toolName === "read_file");
});

Deno.test("many reporters at once: each event once on disk, in the order they came", async () => {
  await using bench = new PipelineBench();
  await Promise.all(Array.from({ length: 3_000 }, (_, n) => {
    const event = toolEvent("{}");
    event.traceId = `run-${n}`;
    return bench.pipeline.report(event, fromClient());
  }));
  await until(() => bench.pipeline.status.kept === 3_000, "all kept");
  assert.equal(new Set(bench.spool.records.map((_, at) => stored(bench, at).traceId)).size, 3_000);
  assert.equal(enrichmentOf(stored(bench, 2_999)).sequence, 3_000);
});
