/**
 * The simulation's command line.
 *
 * @module
 */
import { type Break, BREAKS } from "./violation.ts";

/** What to run. */
export interface Asked {
  readonly seeds: readonly number[];
  readonly steps: number;
  readonly broken: Break | undefined;
}

/** How it is called. */
export const USAGE = `usage: deno task sim [--seed N|A..B|fresh]... [--steps M] [--break ${
  BREAKS.join("|")
}]
  --seed 1..50      every seed from 1 to 50; may be given more than once; fresh draws one
  --steps 10000     events simulated for each seed
  --break money     breaks a law in the simulation's own wiring, to see it caught`;

const STEPS_DEFAULT = 10_000;
const STEPS_MAX = 100_000_000;
const SEEDS_MAX = 100_000;
const SEED_MAX = 2 ** 32;

/**
 * Reads the command line.
 *
 * @param fresh Draws a seed nobody knows yet.
 */
export function parseArguments(
  args: readonly string[],
  fresh: () => number,
): Asked | { readonly problem: string } {
  const seeds: number[] = [];
  let steps = STEPS_DEFAULT;
  let broken: Break | undefined;
  for (let at = 0; at < args.length; at++) {
    const [flag = "", inline] = (args[at] ?? "").split("=", 2);
    const value = inline ?? args[++at] ?? "";
    switch (flag) {
      case "--seed": {
        const range = seedsOf(value, fresh);
        if (range === undefined) {
          return { problem: `--seed: expected N, A..B or fresh, not \`${value}\`` };
        }
        seeds.push(...range);
        break;
      }
      case "--steps": {
        const count = wholeNumber(value, STEPS_MAX);
        if (count === undefined || count === 0) {
          return { problem: `--steps: expected 1 to ${STEPS_MAX}, not \`${value}\`` };
        }
        steps = count;
        break;
      }
      case "--break":
        broken = BREAKS.find((law) => law === value);
        if (broken === undefined) {
          return { problem: `--break: expected one of ${BREAKS.join(", ")}, not \`${value}\`` };
        }
        break;
      default:
        return { problem: `unknown argument \`${flag}\`` };
    }
  }
  if (seeds.length > SEEDS_MAX) {
    return { problem: `--seed: at most ${SEEDS_MAX} seeds in one call` };
  }
  return { seeds: seeds.length === 0 ? [fresh()] : seeds, steps, broken };
}

function seedsOf(text: string, fresh: () => number): readonly number[] | undefined {
  if (text === "fresh") return [fresh()];
  const [first = "", last] = text.split("..", 2);
  const from = wholeNumber(first, SEED_MAX);
  const to = last === undefined ? from : wholeNumber(last, SEED_MAX);
  if (from === undefined || to === undefined || to < from || to - from >= SEEDS_MAX) {
    return undefined;
  }
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

function wholeNumber(text: string, most: number): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const value = Number(text);
  return value <= most ? value : undefined;
}
