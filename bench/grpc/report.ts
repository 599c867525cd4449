/**
 * Tables of a run, for people.
 *
 * @module
 */

import { type Sample, type Spread, spread } from "./figures.ts";
import type { Measure } from "./measures.ts";
import type { Peer } from "./peers.ts";

/** One row: what a server reached at a measure. */
export interface Row {
  readonly measure: string;
  readonly server: string;
  readonly value: Spread | undefined;
  /** How many times better the first server is: above 1 it is ahead. */
  readonly first_is_better_by: number | undefined;
  readonly p50_us: Spread | undefined;
  readonly p99_us: Spread | undefined;
  readonly cpu_us_per_unit: Spread | undefined;
  readonly peak_megabytes: number | undefined;
  readonly load_core_busy: number | undefined;
  readonly failed: number;
  readonly crashes: number;
  readonly samples: number;
}

/** The rows of a measure, one a server that was measured. */
export function rowsOf(
  measure: Measure,
  peers: readonly Peer[],
  samples: readonly Sample[],
): Row[] {
  const rows: Row[] = [];
  let first: number | undefined;
  for (const [index, peer] of peers.entries()) {
    const own = samples.filter((each) => each.measure === measure.id && each.server === peer.name);
    if (own.length === 0) continue;
    const of = (get: (sample: Sample) => number | undefined) => spread(own.map(get));
    const value = of((sample) => measure.value(sample));
    if (index === 0) first = value?.median;
    const ratio = value === undefined || first === undefined ? undefined : first / value.median;
    rows.push({
      measure: measure.id,
      server: peer.name,
      value,
      first_is_better_by: ratio === undefined || measure.better === "more" ? ratio : 1 / ratio,
      p50_us: of((sample) => sample.p50_us),
      p99_us: of((sample) => sample.p99_us),
      cpu_us_per_unit: of((sample) => sample.cpu_us_per_unit),
      peak_megabytes: of((sample) => sample.peak_megabytes)?.high,
      load_core_busy: of((sample) => sample.load_core_busy)?.median,
      failed: own.reduce((sum, sample) => sum + sample.failed, 0),
      crashes: own.filter((sample) => sample.crashed).length,
      samples: own.length,
    });
  }
  return rows;
}

/** A number with three digits that matter, thousands apart. */
export function shown(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return "-";
  if (Math.abs(value) >= 999.5) return Math.round(value).toLocaleString("en-US");
  return value.toPrecision(3).replace(/^(\d+)\.$/, "$1");
}

function cells(row: Row, title: string): string[] {
  const { value } = row;
  const range = value === undefined ? "-" : `${shown(value.low)}-${shown(value.high)}`;
  const ms = (figure: Spread | undefined) => shown(figure && figure.median / 1000);
  return [
    title,
    shown(value?.median),
    range,
    row.first_is_better_by === undefined ? "-" : `${row.first_is_better_by.toFixed(2)}x`,
    ms(row.p50_us),
    ms(row.p99_us),
    shown(row.cpu_us_per_unit?.median),
    row.peak_megabytes === undefined ? "-" : row.peak_megabytes.toFixed(0),
    row.load_core_busy === undefined ? "-" : `${(row.load_core_busy * 100).toFixed(0)} %`,
    row.failed === 0 && row.crashes === 0
      ? ""
      : `${row.failed} failed, died ${row.crashes} of ${row.samples} times`,
  ];
}

/** One table, as text. */
export function table(
  measure: Measure,
  peers: readonly Peer[],
  rows: readonly Row[],
): string {
  const first = peers[0]?.name ?? "";
  const head = [
    "server",
    measure.unit,
    "range",
    `${first} is`,
    "p50 ms",
    "p99 ms",
    "CPU us",
    "peak MB",
    "load core",
    "",
  ];
  const lines = [head];
  for (const row of rows) {
    lines.push(cells(row, peers.find((peer) => peer.name === row.server)?.title ?? row.server));
  }
  const widths = head.map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0))
  );
  const text = lines.map((line) =>
    line.map((cell, column) => {
      const width = widths[column] ?? 0;
      return column === 0 || column === head.length - 1 ? cell.padEnd(width) : cell.padStart(width);
    }).join("  ").trimEnd()
  );
  return [measure.title, ...text.map((line) => `  ${line}`)].join("\n");
}
