/**
 * Judges a soak by what was sampled: statuses by the time they came, memory by its slope,
 * descriptors by where they end.
 *
 * @module
 */

/** One second of one program. */
export interface Sample {
  readonly at_ms: number;
  readonly program: string;
  /** Counts the starts of a program: a new process begins anew. */
  readonly generation: number;
  readonly rss_bytes?: number;
  readonly descriptors?: number;
  readonly sockets?: number;
  readonly heap_bytes?: number;
  /** Calls that ended in this second, by kind and status. */
  readonly counts?: Readonly<Record<string, number>>;
  readonly server?: Readonly<Record<string, unknown>>;
}

/** A fault that was put in and taken out. */
export interface Fault {
  readonly name: string;
  readonly from_ms: number;
  readonly to_ms: number;
}

/** Statuses a kind of call may end with at any time. */
const ALWAYS: Readonly<Record<string, readonly string[]>> = {
  deadline: ["DEADLINE_EXCEEDED"],
  cancel: ["CANCELLED"],
};
/** Statuses that may come of a fault: nothing else may, whatever happens to the connection. */
const IN_FAULT = ["UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "OK"];
/** What a fault may still do to calls after it is over. */
const AFTERMATH_MS = 8000;
/** A fault's first second may be counted in the sample that began before it. */
const BEFORE_MS = 1500;

/** Statuses nobody expects, as text. */
export function unexpectedStatuses(
  samples: readonly Sample[],
  faults: readonly Fault[],
): string[] {
  const problems: string[] = [];
  for (const { at_ms, program, counts } of samples) {
    const in_fault = faults.some(({ from_ms, to_ms }) =>
      at_ms >= from_ms - BEFORE_MS && at_ms <= to_ms + AFTERMATH_MS
    );
    for (const [key, count] of Object.entries(counts ?? {})) {
      const [kind = "", status = ""] = key.split(" ");
      const expected = ALWAYS[kind] ?? ["OK"];
      if (expected.includes(status) || (in_fault && IN_FAULT.includes(status))) continue;
      problems.push(`${program}: ${count} x ${key} at ${new Date(at_ms).toISOString()}`);
    }
  }
  return problems;
}

/** How long after a fault every program had a good call again; undefined when one never had. */
export function recovery_ms(
  fault: Fault,
  until_ms: number,
  programs: readonly string[],
  samples: readonly Sample[],
): number | undefined {
  let slowest = 0;
  for (const program of programs) {
    const good = samples.find((sample) =>
      sample.program === program && sample.at_ms >= fault.to_ms && sample.at_ms <= until_ms &&
      Object.entries(sample.counts ?? {}).some(([key, count]) => key.endsWith(" OK") && count > 0)
    );
    if (good === undefined) return undefined;
    slowest = Math.max(slowest, good.at_ms - fault.to_ms);
  }
  return slowest;
}

/** Growth of one quantity of one process between its second quarter and its last. */
export interface Growth {
  readonly first_bytes: number;
  readonly last_bytes: number;
  readonly max_bytes: number;
  /** Least squares over what follows the first quarter, the warm-up. */
  readonly slope_bytes_per_minute: number;
  readonly minutes: number;
}

/** The growth of a quantity; undefined when there are too few samples to say. */
export function growthOf(
  samples: readonly Sample[],
  program: string,
  generation: number,
  quantity: "rss_bytes" | "heap_bytes",
): Growth | undefined {
  const points = samples.flatMap((sample) => {
    const value = sample[quantity];
    const counts = sample.program === program && sample.generation === generation;
    return counts && value !== undefined ? [{ at_ms: sample.at_ms, value }] : [];
  });
  if (points.length < 4) return undefined;
  const quarter = points.length >> 2;
  const warm = points.slice(quarter);
  const median = (some: readonly { value: number }[]): number => {
    const values = some.map(({ value }) => value).sort((a, b) => a - b);
    return values[values.length >> 1] ?? 0;
  };
  const mean_ms = warm.reduce((sum, { at_ms }) => sum + at_ms, 0) / warm.length;
  const mean = warm.reduce((sum, { value }) => sum + value, 0) / warm.length;
  let above = 0;
  let below = 0;
  for (const { at_ms, value } of warm) {
    above += (at_ms - mean_ms) * (value - mean);
    below += (at_ms - mean_ms) ** 2;
  }
  const [first] = warm;
  const last = warm.at(-1);
  return {
    first_bytes: median(points.slice(quarter, 2 * quarter)),
    last_bytes: median(points.slice(-quarter)),
    max_bytes: Math.max(...points.map(({ value }) => value)),
    slope_bytes_per_minute: below === 0 ? 0 : above / below * 60_000,
    minutes: ((last?.at_ms ?? 0) - (first?.at_ms ?? 0)) / 60_000,
  };
}
