/**
 * Precision, recall and F1 of a scanner's findings on the corpus.
 *
 * @module
 */
import type { Sample } from "./mod.ts";

/** What a scanner found in one sample, in bytes of its text. */
export type Found = readonly { readonly offset: number; readonly end: number }[];

/** Counts of one group of samples. */
export interface Counts {
  hits: number;
  misses: number;
  /** Samples without a secret in which something was found. */
  false_alarms: number;
}

/** A score; `NaN` where there was nothing to score. */
export interface Score extends Counts {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

/** A finding hits when it overlaps the value. One sample counts once. */
export function countSamples(
  samples: readonly Sample[],
  found: (sample: Sample, index: number) => Found,
): Map<string, Counts> {
  const groups = new Map<string, Counts>();
  samples.forEach((sample, index) => {
    const key = `${sample.class}: ${sample.name}`;
    const counts = groups.get(key) ?? { hits: 0, misses: 0, false_alarms: 0 };
    groups.set(key, counts);
    const findings = found(sample, index);
    const { value } = sample;
    if (value === undefined) {
      if (findings.length > 0) counts.false_alarms++;
      return;
    }
    if (findings.some(({ offset, end }) => offset < value.end && end > value.offset)) counts.hits++;
    else counts.misses++;
  });
  return groups;
}

/** The score over the groups whose class is among these. */
export function scoreOf(
  groups: ReadonlyMap<string, Counts>,
  classes: readonly Sample["class"][],
): Score {
  const sum: Counts = { hits: 0, misses: 0, false_alarms: 0 };
  for (const [key, counts] of groups) {
    if (!classes.some((name) => key.startsWith(`${name}: `))) continue;
    sum.hits += counts.hits;
    sum.misses += counts.misses;
    sum.false_alarms += counts.false_alarms;
  }
  const precision = sum.hits / (sum.hits + sum.false_alarms);
  const recall = sum.hits / (sum.hits + sum.misses);
  return { ...sum, precision, recall, f1: 2 * precision * recall / (precision + recall) };
}
