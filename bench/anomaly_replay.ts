/**
 * The false-positive budget and the detection table of the anomaly detectors, on replayed benign
 * weeks: `deno run --no-prompt bench/anomaly_replay.ts [seed] [agents] [days] [--show]`.
 *
 * @module
 */
import { DETECTOR_NAMES } from "../core/anomaly/detectors.ts";
import { Baseline } from "../core/anomaly/baseline.ts";
import { observationOf } from "../core/anomaly/observation.ts";
import { BenignDays, TRADES } from "../core/anomaly/testing/benign_fleet.ts";
import { replay } from "../core/anomaly/testing/replay.ts";

/** False alerts an operator is asked to look at, at most. */
const BUDGET_PER_AGENT_WEEK = 1;

function main(argv: readonly string[]): number {
  const [seed = 1, agents = 50, days = 42] = argv.filter((word) => !word.startsWith("-"))
    .map(Number);
  const started_ms = performance.now();
  const result = replay({ seed, agents, days });
  const took_s = (performance.now() - started_ms) / 1_000;
  const lines = [
    `seed ${seed}: ${agents} agents, ${days} days, ${
      result.actions.toLocaleString("en")
    } actions, ${took_s.toFixed(1)} s`,
    "",
    "| Detector | False alerts | per agent-week |",
    "|---|---|---|",
    ...DETECTOR_NAMES.map((name) => {
      const rate = (result.alerts[name] / result.agent_weeks).toFixed(3);
      return `| ${name} | ${result.alerts[name]} | ${rate} |`;
    }),
    "",
    `false alerts per agent-week: ${
      result.alerts_per_agent_week.toFixed(3)
    } (budget ${BUDGET_PER_AGENT_WEEK})`,
    "",
    "| Attack | Detector | Caught |",
    "|---|---|---|",
    ...result.attacks.map(({ name, expected, caught, tried }) =>
      `| ${name} | ${expected} | ${caught} of ${tried} |`
    ),
    "",
    `cost: ${nanosecondsPerAction()} ns per observed action (observation and all detectors)`,
  ];
  if (argv.includes("--show")) lines.push("", ...result.false_alerts);
  // deno-lint-ignore no-console -- a program whose output is its result
  console.log(lines.join("\n"));
  const missed = result.attacks.some(({ caught, tried }) => caught < tried);
  return result.alerts_per_agent_week > BUDGET_PER_AGENT_WEEK || missed ? 1 : 0;
}

function nanosecondsPerAction(): number {
  const [trade] = TRADES;
  if (trade === undefined) return NaN;
  const days = new BenignDays(trade, 7);
  const seen = Array.from({ length: 14 }, (_, day) => [...days.day(day)]).flat();
  const warm = new Baseline({ seed: 1 });
  for (const one of seen) warm.observe(observationOf(one, 1));
  const baseline = new Baseline({ seed: 1 });
  const started_ms = performance.now();
  for (const one of seen) baseline.observe(observationOf(one, 1));
  return Math.round((performance.now() - started_ms) * 1e6 / seen.length);
}

if (import.meta.main) Deno.exit(main(Deno.args));
