/**
 * A replay inside a running gateway: pieces of work of a few milliseconds, so that decisions are
 * never held up for longer, and one replay at a time.
 *
 * @module
 */
import type { DecisionFact } from "../../core/replay/facts.ts";
import { REPLAY_LIMITS } from "../../core/replay/limits.ts";
import { type FactsSource, readFacts } from "../../core/replay/reading.ts";
import { type FactBatch, type ReplayOptions, ReplayRun } from "../../core/replay/replay.ts";
import type { ReplayReport } from "../../core/replay/replay.ts";
import type { ReplayPolicy } from "../../core/replay/side.ts";

/** Work done before other work has its turn, in milliseconds. */
export const REPLAY_SLICE_MS = 4;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Lets other work have its turn once a slice is used up. */
export function breather(now_us: () => number): () => Promise<void> {
  let started_us = now_us();
  return async () => {
    if (now_us() - started_us < REPLAY_SLICE_MS * 1_000) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    started_us = now_us();
  };
}

/** What a reading of facts needs. */
export interface FactsAccess {
  readonly source: FactsSource;
  readonly key: Uint8Array;
  readonly breathe: () => Promise<void>;
  readonly signal: AbortSignal;
  /** Which facts the asking operator may see. */
  readonly mayRead: (fact: DecisionFact) => boolean;
  /** Told of segments that were not read. */
  readonly onNote: (note: string) => void;
}

/** Where a replay begins to read, so that windows and accounts are as full as they were. */
export function warmUpFrom(
  since_ms: number,
  base: ReplayPolicy,
  proposed: ReplayPolicy,
): number {
  const documents = [...base.documents, ...proposed.documents];
  const long = documents.some((document) =>
    document.budget !== undefined || document.rate_limits !== undefined
  );
  return since_ms - (long ? 31 * DAY_MS : HOUR_MS);
}

/** Facts the operator may see, batch by batch, from a moment on. */
export async function* permittedFacts(
  access: FactsAccess,
  from_ms: number,
): AsyncGenerator<FactBatch> {
  const { source, key, breathe, signal, mayRead, onNote } = access;
  const batches = readFacts({
    source,
    key,
    from_ms,
    breathe,
    onProblem: ({ segment, problem }) => onNote(`${segment}: ${problem}`),
  });
  for await (const batch of batches) {
    signal.throwIfAborted();
    const facts = batch.facts.filter((fact) => fact.at_ms >= from_ms && mayRead(fact));
    yield { facts, bytes: batch.bytes };
  }
}

/** A finished replay. */
export interface Replayed {
  readonly report: ReplayReport;
  readonly decisions_per_second: number;
}

/**
 * Replays; `onProgress` is called after each batch.
 *
 * @param now_us Monotonic clock, for the speed alone: the report does not depend on it.
 */
export async function replayFacts(
  access: FactsAccess,
  options: ReplayOptions,
  now_us: () => number,
  onProgress: (run: ReplayRun) => Promise<void>,
): Promise<Replayed> {
  const run = new ReplayRun(options);
  const from_ms = warmUpFrom(options.since_ms, options.base, options.proposed);
  let working_us = 0;
  for await (const batch of permittedFacts(access, from_ms)) {
    const started_us = now_us();
    run.feed(batch);
    working_us += now_us() - started_us;
    await access.breathe();
    await onProgress(run);
    if (run.decided >= REPLAY_LIMITS.replay_facts) break;
  }
  const report = run.report();
  const decisions_per_second = working_us === 0 ? 0 : 2 * run.decided * 1_000_000 / working_us;
  return { report, decisions_per_second };
}
