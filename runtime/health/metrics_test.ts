import assert from "node:assert/strict";
import fc from "fast-check";
import { HEALTH_LIMITS } from "./limits.ts";
import { Metrics } from "./metrics.ts";

/** The names a dashboard may scrape, contract `interception` §1.8. */
const CONTRACT_NAMES = (
  "aa_events_received_total, aa_events_emitted_total, aa_policy_violations_total, " +
  "aa_policy_evaluations_total, aa_active_connections, aa_channel_utilization_ratio, " +
  "aa_runtime_scan_latency_seconds, aa_runtime_scan_payload_bytes, " +
  "aa_runtime_scan_oversized_total, aa_runtime_scan_undecodable_total, " +
  "aa_runtime_scan_findings_total, aa_runtime_sdk_tamper_suspected_total, " +
  "aa_gateway_policy_query_timeouts_total, aa_op_control_terminations_total, " +
  "aa_op_control_pauses_total, aa_op_control_reconnects_total, aa_op_control_signals_total, " +
  "aa_invalidation_reconnects_total, aa_invalidation_latency_seconds, " +
  "aa_audit_published_total, aa_audit_publish_errors_total, aa_audit_buffered_total, " +
  "aa_audit_flushed_total"
).split(", ");

Deno.test("every metric of the contract is there from the start, at zero", () => {
  const page = new Metrics().text();
  assert.equal(CONTRACT_NAMES.length, 23);
  for (const name of CONTRACT_NAMES) assert.match(page, new RegExp(`^${name}(_count)? 0$`, "m"));
});

Deno.test("counters add up, gauges hold the last value, histograms count into every bucket above", () => {
  const metrics = new Metrics();
  metrics.add("aa_runtime_scan_findings_total", 2, { kind: "GitHubPat" });
  metrics.add("aa_runtime_scan_findings_total", 1, { kind: "GitHubPat" });
  metrics.set("aa_active_connections", 3);
  metrics.set("aa_active_connections", 1);
  for (const value of [0.00002, 0.3, 99]) metrics.observe("aa_runtime_scan_latency_seconds", value);
  const page = metrics.text();
  assert.match(page, /^aa_runtime_scan_findings_total\{kind="GitHubPat"\} 3$/m);
  assert.match(page, /^aa_active_connections 1$/m);
  assert.match(page, /^aa_runtime_scan_latency_seconds_bucket\{le="0.00001"\} 0$/m);
  assert.match(page, /^aa_runtime_scan_latency_seconds_bucket\{le="0.000025"\} 1$/m);
  assert.match(page, /^aa_runtime_scan_latency_seconds_bucket\{le="10"\} 2$/m);
  assert.match(page, /^aa_runtime_scan_latency_seconds_bucket\{le="\+Inf"\} 3$/m);
  assert.equal(metrics.total("aa_runtime_scan_findings_total"), 3);
});

Deno.test("whatever labels and names are thrown at it, the page stays bounded and well-formed", () => {
  const metrics = new Metrics();
  for (let index = 0; index < 1_000; index++) {
    metrics.add("aa_runtime_scan_findings_total", 1, { kind: `kind${index}` });
    metrics.add(`aa_made_up_${index}_total`);
  }
  const page = metrics.text();
  const series = page.split("\n").filter((line) =>
    line.startsWith("aa_runtime_scan_findings_total{")
  );
  assert.ok(series.length <= HEALTH_LIMITS.series_max + 1);
  assert.match(page, /^aa_runtime_scan_findings_total\{kind="other"\} 936$/m);
  assert.equal(metrics.total("aa_runtime_scan_findings_total"), 1_000, "nothing is lost");
  assert.ok(page.split("# TYPE").length <= HEALTH_LIMITS.metrics_max + 3);
  fc.assert(fc.property(fc.string(), fc.string(), (name, value) => {
    const one = new Metrics();
    one.add(name);
    one.add("aa_labels_total", 1, { kind: value });
    for (const line of one.text().trimEnd().split("\n")) {
      assert.match(line, /^(# (HELP|TYPE) .+|[a-z_]+(\{[a-z]+="([^"\\\n]|\\.)*"\})? [0-9.e+-]+)$/);
    }
  }));
});

Deno.test("a name used as another kind, or a counter set back, changes nothing", () => {
  const metrics = new Metrics();
  metrics.set("aa_events_received_total", 9);
  metrics.add("aa_active_connections");
  metrics.add("aa_events_received_total", -1);
  metrics.observe("aa_runtime_scan_latency_seconds", NaN);
  const page = metrics.text();
  assert.match(page, /^aa_events_received_total 0$/m);
  assert.match(page, /^aa_active_connections 0$/m);
  assert.match(page, /^aa_metrics_refused_total 2$/m);
});
