import assert from "node:assert/strict";
import type { Origin } from "../parts.ts";
import { eventOf, fromClient, PipelineBench } from "./_pipeline_fixture.ts";
import { compareVersions, sdkVerdict } from "./identity.ts";

Deno.test("verdicts come in the contract's order", () => {
  const cases = [
    [{ claimed: undefined, verified: undefined }, "missing"],
    [{ claimed: "1.0", verified: "2.0", minimum: "3.0" }, "forged"],
    [{ claimed: "1.0", verified: "1.0", minimum: "1.0.1" }, "downgraded"],
    [{ claimed: "beta", verified: "beta", minimum: "1.0" }, "downgraded"],
    [{ claimed: "beta", verified: "beta" }, "ok"],
    [{ claimed: "1.0", verified: undefined, minimum: "2.0" }, "downgraded"],
    [{ claimed: "1.0", verified: undefined }, "unverifiable"],
    [{ claimed: "1.0", verified: "1.0", minimum: "1" }, "ok"],
    [{ claimed: "0.4.0+redacts.acks", verified: "0.4.0" }, "ok"],
    [{ claimed: "0.4.1+redacts", verified: "0.4.0" }, "forged"],
    [{ claimed: "0.4.0+redacts", verified: "0.4.0+redacts", minimum: "0.4" }, "ok"],
  ] as const;
  for (const [claim, verdict] of cases) assert.equal(sdkVerdict(claim), verdict, `${verdict}`);
});

Deno.test("versions compare part by part; a part that is no number compares with nothing", () => {
  assert.equal(compareVersions("1.10", "1.9"), 1);
  assert.equal(compareVersions("1.0.0", "1"), 0);
  assert.equal(compareVersions("0.9", "1"), -1);
  assert.equal(compareVersions("1.0-rc1", "1"), undefined);
  assert.equal(compareVersions("", "1"), undefined);
  assert.equal(compareVersions("9".repeat(10), "1"), undefined);
});

Deno.test("trap R8: a client that signs its version but sets no label makes no tamper event", async () => {
  await using bench = new PipelineBench();
  await bench.pipeline.report(eventOf(), fromClient("0.0.1-rc.6"));
  assert.equal(bench.spool.records.length, 1);
  assert.equal(bench.metrics.count("aa_runtime_sdk_tamper_suspected_total{kind=missing}"), 0);
});

Deno.test("what the runtime itself says of a client's act claims nothing, and is no tamper event", async () => {
  await using bench = new PipelineBench();
  const { connection } = fromClient("", 7) as Extract<Origin, { source: "sdk" }>;
  const denial = eventOf({
    detail: { case: "violation", value: { policyRule: "r", blockedAction: "a", reason: "why" } },
    labels: { source: "runtime" },
  });
  await bench.pipeline.report(denial, { source: "runtime", connection });
  assert.equal(bench.metrics.count("aa_runtime_sdk_tamper_suspected_total{kind=missing}"), 0);
  assert.equal(bench.spool.records.length, 1);
  assert.equal(bench.violations[0]?.connection, 7, "the client is told");
});

Deno.test("no version at all, and another than was signed, each make one tamper event", async () => {
  await using bench = new PipelineBench();
  const listener = bench.pipeline.subscribe("test");
  await bench.pipeline.report(eventOf(), fromClient(""));
  assert.equal(bench.metrics.count("aa_runtime_sdk_tamper_suspected_total{kind=missing}"), 1);
  await bench.pipeline.report(
    eventOf({ labels: { "aa.sdk_version": "9.9" } }),
    fromClient("0.4.0"),
  );
  assert.equal(bench.metrics.count("aa_runtime_sdk_tamper_suspected_total{kind=forged}"), 1);
  assert.equal(bench.spool.records.length, 4);
  const tampers = (await listener.next() ?? []).map(({ event, enrichment }) => [
    event.detail.case === "violation" ? event.detail.value.reason : "",
    enrichment.sdk_verdict,
  ]);
  assert.match(tampers[0]?.[0] ?? "", /its SDK identity is `missing`/);
  assert.equal(tampers[0]?.[1], "missing");
});

Deno.test("an event that came over no client's connection has no SDK identity to doubt", async () => {
  await using bench = new PipelineBench();
  await bench.pipeline.report(eventOf(), { source: "ebpf", pid: 7 });
  assert.equal(bench.spool.records.length, 1);
});
