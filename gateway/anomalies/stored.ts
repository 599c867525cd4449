/**
 * Baselines as they are kept: JSON, read back strictly. A record that is not exactly a baseline is
 * refused by name; nothing of it is guessed.
 *
 * @module
 */
import type { BaselineState } from "../../core/anomaly/baseline.ts";
import { ANOMALY_LIMITS } from "../../core/anomaly/limits.ts";
import type { NoveltyState } from "../../core/anomaly/novelty.ts";
import type { RhythmState } from "../../core/anomaly/rhythm.ts";
import type { UsualLevelState } from "../../core/anomaly/usual_level.ts";
import type { UsualShareState } from "../../core/anomaly/usual_share.ts";
import { ANOMALY_ROOM_LIMITS } from "./limits.ts";

/** Most bars a histogram of levels can have. */
const BARS_MAX = 96;
const VERSION = 1;

/** The stored text of a baseline. */
export function baselineText(state: BaselineState): string {
  return JSON.stringify({ version: VERSION, ...state });
}

/** The baseline in a stored text, or what is wrong with it. */
export function readBaseline(text: string): BaselineState | string {
  if (text.length > ANOMALY_ROOM_LIMITS.baseline_bytes) return "too long";
  try {
    const read = object(JSON.parse(text), "baseline");
    if (read.version !== VERSION) throw new Error("version: unknown");
    const seed = number(read.seed, "seed");
    if (!Number.isInteger(seed) || seed > 0xffff_ffff) throw new Error("seed: not 32 bits");
    return {
      seed,
      actions: number(read.actions, "actions"),
      age_ms: number(read.age_ms, "age_ms"),
      last_ms: number(read.last_ms, "last_ms"),
      rate: level(read.rate, "rate"),
      repeats: level(read.repeats, "repeats"),
      secrets: level(read.secrets, "secrets"),
      call_cost: level(read.call_cost, "call_cost"),
      hour_cost: level(read.hour_cost, "hour_cost"),
      refusals: share(read.refusals, "refusals"),
      tools: novelty(read.tools, "tools", ANOMALY_LIMITS.tools),
      hosts: novelty(read.hosts, "hosts", ANOMALY_LIMITS.hosts),
      programs: novelty(read.programs, "programs", ANOMALY_LIMITS.programs),
      shapes: novelty(read.shapes, "shapes", ANOMALY_LIMITS.shapes),
      rhythm: rhythm(read.rhythm),
    };
  } catch (error) {
    // Only our own messages: a parser's may quote the text.
    return error instanceof SyntaxError || !(error instanceof Error) ? "not JSON" : error.message;
  }
}

function object(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`${name}: not an object`);
  }
  return value as Readonly<Record<string, unknown>>;
}

function number(value: unknown, name: string): number {
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0) {
    throw new Error(`${name}: not a number from 0 up`);
  }
  return value;
}

function numbers(value: unknown, name: string, most: number): number[] {
  if (!Array.isArray(value) || value.length > most) {
    throw new Error(`${name}: not a list of at most ${most}`);
  }
  return value.map((one) => number(one, name));
}

function reference(value: unknown, name: string): { readonly reference?: number } {
  return value === undefined ? {} : { reference: number(value, `${name}.reference`) };
}

function level(value: unknown, name: string): UsualLevelState {
  const read = object(value, name);
  const weights = numbers(read.weights, `${name}.weights`, BARS_MAX);
  return { weights, ...reference(read.reference, name) };
}

function share(value: unknown, name: string): UsualShareState {
  const read = object(value, name);
  return {
    marked: number(read.marked, `${name}.marked`),
    total: number(read.total, `${name}.total`),
    ...reference(read.reference, name),
  };
}

function novelty(value: unknown, name: string, most: number): NoveltyState {
  const read = object(value, name);
  const { items } = read;
  if (!Array.isArray(items) || items.length > most) {
    throw new Error(`${name}.items: not a list of at most ${most}`);
  }
  return {
    items: items.map((one) => {
      const [item, times, day] = numbers(one, `${name}.items`, 3);
      if (item === undefined || day === undefined || (times !== 1 && times !== 2)) {
        throw new Error(`${name}.items: not item, times and day`);
      }
      return [item, times, day] as const;
    }),
    share: share(read.share, `${name}.share`),
  };
}

function rhythm(value: unknown): RhythmState {
  const read = object(value, "rhythm");
  const hours = numbers(read.hours, "rhythm.hours", 24);
  if (hours.length !== 24) throw new Error("rhythm.hours: not 24");
  // -1 before the first day.
  const { last_day } = read;
  if (typeof last_day !== "number" || !Number.isSafeInteger(last_day) || last_day < -1) {
    throw new Error("rhythm.last_day: not a day");
  }
  return { hours, days: number(read.days, "rhythm.days"), last_day };
}
