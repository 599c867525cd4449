/**
 * Deterministic simulation of the gateway: engine, registry, ledger, approvals and audit log under a
 * seeded clock, disk, store and network.
 *
 * `deno task sim --seed 1..50 --steps 10000`; the last line is the summary. A run that broke a law
 * exits with 1 and prints seed, step, law and the last things that happened; the same seed and
 * steps show the same again. `--break NAME` breaks a law on purpose.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { parseArguments, USAGE } from "./arguments.ts";
import { run, type RunReport } from "./run.ts";

async function main(args: readonly string[]): Promise<number> {
  const asked = parseArguments(args, () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 1);
  if ("problem" in asked) {
    console.error(`${asked.problem}\n${USAGE}`);
    return 2;
  }
  const abort = new AbortController();
  const stop = () => abort.abort();
  Deno.addSignalListener("SIGINT", stop);
  const started_ms = performance.now();
  const reports: RunReport[] = [];
  try {
    for (const seed of asked.seeds) {
      if (abort.signal.aborted) break;
      const { steps, broken } = asked;
      const before_ms = performance.now();
      const report = await run({
        seed,
        steps,
        signal: abort.signal,
        ...(broken === undefined ? {} : { broken }),
      });
      reports.push(report);
      console.log(line(report, performance.now() - before_ms));
      if (report.violation !== undefined) break;
    }
  } finally {
    Deno.removeSignalListener("SIGINT", stop);
  }
  return conclude(reports, performance.now() - started_ms, abort.signal.aborted);
}

function line(report: RunReport, spent_ms: number): string {
  const {
    seed,
    steps,
    decisions,
    allowed,
    entries,
    crashes,
    reservations,
    settlements,
    grants_spent,
  } = report;
  return `seed ${seed}: ${steps} steps, ${decisions} decisions (${allowed} allowed), ` +
    `${entries} entries, ${crashes} crashes, ${reservations} reservations, ${settlements} settled, ` +
    `${grants_spent} grants used, ${Math.round(report.simulated_ms / 1_000)} s simulated, ` +
    `${Math.round(spent_ms)} ms, digest ${report.digest.slice(0, 16)}`;
}

function conclude(reports: readonly RunReport[], spent_ms: number, cancelled: boolean): number {
  const failed = reports.find(({ violation }) => violation !== undefined);
  const steps = reports.reduce((sum, report) => sum + report.steps, 0);
  const rate = Math.round(steps / Math.max(1, spent_ms) * 1_000);
  const done = `${reports.length} seeds, ${steps} steps, ${rate} steps/s`;
  if (failed?.violation !== undefined) {
    const { law, detail, step } = failed.violation;
    for (const what of failed.tail) console.log(`  ${what}`);
    console.log(`\nseed ${failed.seed}, step ${step}: ${law}: ${detail}`);
    console.log(`replay: deno task sim --seed ${failed.seed} --steps ${step}`);
    console.log(`FAILED: ${law} at seed ${failed.seed} step ${step}; ${done}`);
    return 1;
  }
  console.log(cancelled ? `CANCELLED after ${done}` : `OK: every law held; ${done}`);
  return cancelled ? 130 : 0;
}

Deno.exitCode = await main(Deno.args);
