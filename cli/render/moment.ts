/**
 * Moments for people: UTC, with how long ago.
 *
 * @module
 */
import { MISSING } from "./table.ts";

/** ISO 8601 in UTC; a dash for zero, which stands for "never". */
export function utcText(unix_ms: bigint | number): string {
  const ms = Number(unix_ms);
  if (ms === 0) return MISSING;
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? `${unix_ms} ms` : date.toISOString();
}

/** The moment and its age, e.g. `2026-01-31T09:00:00.000Z (3 min ago)`. */
export function momentText(unix_ms: bigint | number, now_ms: number): string {
  const text = utcText(unix_ms);
  return text === MISSING ? MISSING : `${text} (${ageText(now_ms - Number(unix_ms))})`;
}

const UNITS: readonly (readonly [unit: string, ms: number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1_000],
];

function ageText(age_ms: number): string {
  const [unit, ms] = UNITS.find(([, length_ms]) => Math.abs(age_ms) >= length_ms) ?? ["s", 1_000];
  const count = Math.floor(Math.abs(age_ms) / ms);
  return age_ms < 0 ? `in ${count} ${unit}` : `${count} ${unit} ago`;
}
