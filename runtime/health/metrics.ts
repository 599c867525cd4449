/**
 * The runtime's numbers, in the form that Prometheus reads
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Every metric of the contract is
 * there from the start, at zero: an absent series and a zero one are not the same to an alert
 * (contract `interception` §1.8).
 *
 * @module
 */
import type { MetricsPart } from "../parts.ts";
import { HEALTH_LIMITS } from "./limits.ts";

type Kind = "counter" | "gauge" | "histogram";
type Labels = Readonly<Record<string, string>>;

const LATENCY_SECONDS = [
  ...[0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005],
  ...[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
];
const PAYLOAD_BYTES = [64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 8_388_608];

const CONTRACT: readonly (readonly [name: string, kind: Kind, help: string])[] = [
  ["aa_events_received_total", "counter", "Events taken from agents and sidecars"],
  ["aa_events_emitted_total", "counter", "Events passed on"],
  ["aa_policy_violations_total", "counter", "Violations passed on"],
  ["aa_policy_evaluations_total", "counter", "Queries decided"],
  ["aa_active_connections", "gauge", "Clients connected now"],
  ["aa_channel_utilization_ratio", "gauge", "Share of the pipeline's queue in use"],
  ["aa_runtime_scan_latency_seconds", "histogram", "Time to scan one event"],
  ["aa_runtime_scan_payload_bytes", "histogram", "Bytes scanned of one event"],
  ["aa_runtime_scan_oversized_total", "counter", "Fields too long to scan, redacted whole"],
  ["aa_runtime_scan_undecodable_total", "counter", "Fields that are no text, redacted whole"],
  ["aa_runtime_scan_findings_total", "counter", "Findings by kind"],
  [
    "aa_runtime_sdk_tamper_suspected_total",
    "counter",
    "Reports whose identity does not hold, by kind",
  ],
  [
    "aa_gateway_policy_query_timeouts_total",
    "counter",
    "Questions the gateway did not answer in time",
  ],
  ["aa_op_control_terminations_total", "counter", "Operations terminated by an operator"],
  ["aa_op_control_pauses_total", "counter", "Operations paused by an operator"],
  ["aa_op_control_reconnects_total", "counter", "Reconnects of the operators' stream"],
  ["aa_op_control_signals_total", "counter", "Orders received"],
  ["aa_invalidation_reconnects_total", "counter", "Reconnects of the invalidation stream"],
  ["aa_invalidation_latency_seconds", "histogram", "Time from a change to its arrival here"],
  ["aa_audit_published_total", "counter", "Audit entries published"],
  ["aa_audit_publish_errors_total", "counter", "Audit entries that could not be published"],
  ["aa_audit_buffered_total", "counter", "Audit entries kept in the spool"],
  ["aa_audit_flushed_total", "counter", "Audit entries that left the spool"],
];

interface Histogram {
  readonly counts: number[];
  sum: number;
  count: number;
}

interface Metric {
  readonly name: string;
  readonly kind: Kind;
  readonly help: string;
  readonly bounds: readonly number[];
  /** By their labels as text. */
  readonly series: Map<string, number>;
  readonly histogram: Histogram;
}

/** All metrics of one runtime. */
export class Metrics implements MetricsPart {
  readonly #metrics = new Map<string, Metric>();
  #refused = 0;

  constructor() {
    for (const [name, kind, help] of CONTRACT) this.#declare(name, kind, help);
  }

  /** @inheritdoc */
  readonly add = (name: string, by = 1, labels?: Labels): void => {
    const metric = this.#of(name, "counter");
    if (metric === undefined || !(by >= 0)) return;
    const key = this.#seriesOf(metric, labels);
    metric.series.set(key, (metric.series.get(key) ?? 0) + by);
  };

  /** @inheritdoc */
  readonly set = (name: string, value: number): void => {
    this.#of(name, "gauge")?.series.set("", value);
  };

  /** @inheritdoc */
  readonly observe = (name: string, value: number): void => {
    const metric = this.#of(name, "histogram");
    if (metric === undefined || Number.isNaN(value)) return;
    const { histogram, bounds } = metric;
    const bucket = bounds.findIndex((bound) => value <= bound);
    if (bucket >= 0) histogram.counts[bucket] = (histogram.counts[bucket] ?? 0) + 1;
    histogram.sum += value;
    histogram.count++;
  };

  /** Sum over a counter's series. */
  total(name: string): number {
    let sum = 0;
    for (const value of this.#metrics.get(name)?.series.values() ?? []) sum += value;
    return sum;
  }

  /** The whole page, text format 0.0.4. */
  text(): string {
    const lines: string[] = [];
    for (const metric of this.#metrics.values()) {
      lines.push(`# HELP ${metric.name} ${metric.help}`, `# TYPE ${metric.name} ${metric.kind}`);
      lines.push(...metric.kind === "histogram" ? histogramLines(metric) : seriesLines(metric));
    }
    lines.push(
      "# HELP aa_metrics_refused_total Updates of metrics beyond the limit",
      "# TYPE aa_metrics_refused_total counter",
      `aa_metrics_refused_total ${this.#refused}`,
    );
    return lines.join("\n") + "\n";
  }

  /** The metric of that name and kind; made when it is new, while there is room. */
  #of(name: string, kind: Kind): Metric | undefined {
    const known = this.#metrics.get(name);
    if (known !== undefined) return known.kind === kind ? known : this.#refuse();
    const room = this.#metrics.size < HEALTH_LIMITS.metrics_max;
    if (!room || !/^aa_[a-z0-9_]{1,96}$/.test(name)) return this.#refuse();
    return this.#declare(name, kind, name.slice(3).replaceAll("_", " "));
  }

  #refuse(): undefined {
    this.#refused++;
    return undefined;
  }

  #declare(name: string, kind: Kind, help: string): Metric {
    const bounds = kind !== "histogram"
      ? []
      : name.endsWith("_bytes")
      ? PAYLOAD_BYTES
      : LATENCY_SECONDS;
    const metric: Metric = {
      name,
      kind,
      help,
      bounds,
      series: new Map(),
      histogram: { counts: bounds.map(() => 0), sum: 0, count: 0 },
    };
    this.#metrics.set(name, metric);
    return metric;
  }

  #seriesOf(metric: Metric, labels: Labels | undefined): string {
    if (labels === undefined) return "";
    const key = labelText(labels);
    if (metric.series.has(key) || metric.series.size < HEALTH_LIMITS.series_max) return key;
    return labelText(Object.fromEntries(Object.keys(labels).map((name) => [name, "other"])));
  }
}

function labelText(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return `{${parts.join(",")}}`;
}

/** Nothing in a label can end its line or its quotes. */
function escaped(value: string): string {
  return value.slice(0, 64).replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function seriesLines(metric: Metric): string[] {
  if (metric.series.size === 0) return [`${metric.name} 0`];
  return [...metric.series].map(([labels, value]) => `${metric.name}${labels} ${value}`);
}

function histogramLines({ name, bounds, histogram }: Metric): string[] {
  let below = 0;
  const buckets = bounds.map((bound, index) => {
    below += histogram.counts[index] ?? 0;
    return `${name}_bucket{le="${bound}"} ${below}`;
  });
  return [
    ...buckets,
    `${name}_bucket{le="+Inf"} ${histogram.count}`,
    `${name}_sum ${histogram.sum}`,
    `${name}_count ${histogram.count}`,
  ];
}
