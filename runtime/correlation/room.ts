/**
 * Correlation at work: listens to the pipeline, looks at its clock, and tells what it found as
 * events of the same pipeline. An act that nobody announced is told as a violation, so that it
 * raises an alert.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { audit } from "../../proto/mod.ts";
import type { MetricsPart } from "../parts.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import type { Timers } from "../timers.ts";
import { Correlator, type Observed, type Outcome } from "./correlator.ts";
import { CORRELATION_LIMITS } from "./limits.ts";
import { type ProcessTable, ToldProcesses } from "./processes.ts";

/** Rule name of an act that nobody announced. */
export const CORRELATION_RULE = "runtime.correlation";
/** Label with an outcome's name. */
export const OUTCOME_LABEL = "correlation.outcome";

/** How to open correlation. */
export interface CorrelationOptions {
  readonly pipeline: Pick<Pipeline, "subscribe" | "report">;
  readonly metrics: MetricsPart;
  readonly timers: Timers;
  readonly newId: () => string;
  /** AA_CORRELATION_WINDOW_MS. */
  readonly window_ms?: number;
  /** AA_CORRELATION_INTERVAL_MS. */
  readonly interval_ms?: number;
  /** Asked for parents that no kernel event told. */
  readonly processes?: ProcessTable;
}

/** What correlation keeps and has lost. */
export interface CorrelationStatus {
  readonly intents: number;
  readonly actions: number;
  readonly forgotten: number;
  readonly lost_events: number;
}

/** Open correlation. */
export interface Correlation extends AsyncDisposable {
  readonly status: () => CorrelationStatus;
  readonly close: () => Promise<void>;
}

/** Starts correlating; ends with {@linkcode Correlation.close} or with the pipeline. */
export function openCorrelation(options: CorrelationOptions): Correlation {
  const { pipeline, timers } = options;
  const interval_ms = options.interval_ms ?? CORRELATION_LIMITS.interval_ms;
  const correlator = new Correlator(
    options.window_ms ?? CORRELATION_LIMITS.window_ms,
    interval_ms,
    new ToldProcesses(options.processes),
  );
  const subscription = pipeline.subscribe("correlation");
  const stop = new AbortController();
  const listening = (async () => {
    for await (const items of subscription) for (const item of items) correlator.observe(item);
  })();
  const looking = (async () => {
    while (!stop.signal.aborted) {
      await timers.sleep(interval_ms, stop.signal);
      if (!stop.signal.aborted) {
        await tell(correlator.judge(timers.monotonic_us() / 1_000), options);
      }
    }
  })();
  const close = async () => {
    stop.abort();
    subscription.close();
    await Promise.all([listening, looking]);
  };
  return {
    status: () => ({
      ...correlator.size,
      forgotten: correlator.forgotten,
      lost_events: subscription.lost,
    }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function tell(
  outcomes: readonly Outcome[],
  { pipeline, metrics, newId }: CorrelationOptions,
): Promise<void> {
  // What nobody announced comes first: when not all can be told, that is what must be.
  const ordered = [
    ...outcomes.filter(({ kind }) => kind === "unexpected_action"),
    ...outcomes.filter(({ kind }) => kind !== "unexpected_action"),
  ];
  for (const [index, outcome] of ordered.entries()) {
    metrics.add("aa_correlation_outcomes_total", 1, { outcome: outcome.kind });
    if (index >= CORRELATION_LIMITS.outcomes_told) {
      metrics.add("aa_correlation_untold_total");
      continue;
    }
    const { pid } = outcome.kind === "intent_without_action" ? outcome.intent : outcome.action;
    try {
      await pipeline.report(outcomeEvent(newId(), outcome), { source: "ebpf", pid });
    } catch {
      // The pipeline is stopping or its spool has failed, and says so itself.
      metrics.add("aa_correlation_untold_total");
    }
  }
}

/** The event that tells an outcome. */
export function outcomeEvent(event_id: string, outcome: Outcome): audit.AuditEvent {
  const about = outcome.kind === "intent_without_action" ? outcome.intent : outcome.action;
  return create(audit.AuditEventSchema, {
    eventId: event_id,
    traceId: about.trace_id,
    labels: {
      [OUTCOME_LABEL]: outcome.kind,
      "correlation.keyword": about.keyword,
      ...(outcome.kind === "unexpected_action" ? {} : idOf("intent", outcome.intent)),
      ...(outcome.kind === "intent_without_action" ? {} : idOf("action", outcome.action)),
      ...(outcome.kind === "matched"
        ? { "correlation.strength": outcome.strength.toFixed(3) }
        : {}),
    },
    detail: outcome.kind === "unexpected_action"
      ? {
        case: "violation",
        value: {
          policyRule: CORRELATION_RULE,
          blockedAction: "",
          reason: `process \`${about.pid}\` did \`${about.keyword}\`, and no call announced it`,
        },
      }
      : { case: undefined },
  });
}

function idOf(side: "intent" | "action", { event_id, pid }: Observed): Record<string, string> {
  return { [`correlation.${side}`]: event_id, [`correlation.${side}_pid`]: String(pid) };
}
