/**
 * What one measurement yields, and what several yield together.
 *
 * @module
 */

/** As a load generator sees it. */
export interface Figures {
  /** Requests, megabytes, round trips: what {@linkcode rate} counts. */
  readonly units: number;
  readonly seconds: number;
  readonly rate: number;
  readonly failed: number;
  readonly p50_us?: number;
  readonly p99_us?: number;
  readonly max_us?: number;
}

/** With what the kernel saw meanwhile. */
export interface Sample extends Figures {
  readonly measure: string;
  readonly server: string;
  readonly repetition: number;
  readonly cpu_us_per_unit?: number;
  readonly peak_megabytes?: number;
  /** Share of time the load generator's core was busy: near 1, it is the load that is measured. */
  readonly load_core_busy: number;
  /** The server died of the load, after it or in it. */
  readonly crashed: boolean;
}

/** Median and range of repetitions. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** The spread of what is there; undefined when nothing is. */
export function spread(values: readonly (number | undefined)[]): Spread | undefined {
  const sorted = values.filter((value) => value !== undefined && Number.isFinite(value))
    .map(Number).sort((a, b) => a - b);
  const low = sorted[0];
  const high = sorted[sorted.length - 1];
  if (low === undefined || high === undefined) return undefined;
  const half = (sorted.length - 1) / 2;
  const median = ((sorted[Math.floor(half)] ?? 0) + (sorted[Math.ceil(half)] ?? 0)) / 2;
  return { median, low, high };
}
