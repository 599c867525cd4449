/**
 * Shared by the tests of this folder: facts made as a gateway makes them.
 *
 * @module
 */
import { type Action, scannableText } from "../action.ts";
import type { Principal } from "../principal.ts";
import { agent, directory, facts as factsOf, load, NOON_MS } from "../policy/policy_fixture.ts";
import { decide } from "../policy/decide.ts";
import { DEFAULT_SCANNER } from "../scanner/mod.ts";
import { type ApprovalFact, cleanAction, type DecisionFact } from "./facts.ts";
import { type ReplayOptions, type ReplayReport, ReplayRun } from "./replay.ts";
import type { ReplayPolicy } from "./side.ts";

/** A policy of one or more documents. */
export function policyOf(...texts: string[]): ReplayPolicy {
  return { mode: "directory", documents: load(...texts) };
}

/** How a fact differs from the plain one. */
export interface FactDifference {
  readonly at_ms?: number;
  readonly principal?: Principal;
  readonly micro_usd?: number;
  readonly approval?: ApprovalFact;
}

/** The fact of an action that was decided under `recorded_under`. */
export function factOf(
  action: Action,
  recorded_under: readonly string[],
  difference: FactDifference = {},
): DecisionFact {
  const policy = directory(...recorded_under);
  const principal = difference.principal ?? agent();
  const at_ms = difference.at_ms ?? NOON_MS;
  const decision = decide(policy, action, factsOf({ now_ms: at_ms, principal }));
  const text = scannableText(action);
  const cascade = policy.index.cascade(principal, action);
  const scanner = cascade?.scanner() ?? DEFAULT_SCANNER;
  const findings = text === undefined ? [] : scanner.scan(text);
  const outcome = decision.outcome === "deny"
    ? "deny"
    : decision.outcome === "require_approval"
    ? difference.approval === "granted" ? "allow" : "pending"
    : decision.redacted === undefined
    ? "allow"
    : "redact";
  return {
    at_ms,
    principal,
    ...cleanAction(action, findings, (name) => name),
    recorded: {
      outcome,
      reason: decision.reason,
      shadowed: false,
      ...(decision.stage && { stage: decision.stage }),
      ...(decision.rule && { rule: decision.rule }),
    },
    micro_usd: difference.micro_usd ?? 0,
    ...(difference.approval && { approval: difference.approval }),
    policy_digests: policy.documents.map((by) => by.document.digest),
  };
}

/** Replays facts from one policy to another. */
export function replay(
  facts: readonly DecisionFact[],
  base: ReplayPolicy,
  proposed: ReplayPolicy,
  window: Partial<ReplayOptions> = {},
): ReplayReport {
  const run = new ReplayRun({ since_ms: 0, until_ms: Infinity, base, proposed, ...window });
  const bytes = new TextEncoder().encode(JSON.stringify(facts));
  run.feed({ facts, bytes });
  return run.report();
}
