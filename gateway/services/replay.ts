/**
 * `assembly.admin.v1.ReplayService`: recorded decisions asked again. Not part of the reference.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import type { Action } from "../../core/action.ts";
import { permits } from "../../core/iam/permits.ts";
import { compilePolicySet } from "../../core/policy/compile.ts";
import { decide, type Facts } from "../../core/policy/decide.ts";
import { explain } from "../../core/policy/explain.ts";
import type { Principal } from "../../core/principal.ts";
import { learnPolicy } from "../../core/replay/learn.ts";
import type { ReplayRun } from "../../core/replay/replay.ts";
import type { ReplayPolicy } from "../../core/replay/side.ts";
import { uncarriedLimits } from "../../core/replay/spend.ts";
import type { Explanation } from "../../core/verdict.ts";
import { type CallContext, Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import { type CheckActionRequest } from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import {
  GetFactsStatusResponseSchema,
  LearnResponseSchema,
  type PolicyTexts,
  type ReplayEvent,
  type ReplayRequest,
  type ReplayService,
  type SimulateResponse,
  SimulateResponseSchema,
} from "../../proto/gen/assembly/admin/v1/replay_pb.ts";
import { actionFromWire, explanationToWire } from "../../proto/mapping.ts";
import { policyFromWire, progressEvent, replayEvents } from "../../proto/replay.ts";
import type { AuditLog } from "../audit/log.ts";
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters.ts";
import { type DecisionEngine, InvalidRequest } from "../engine/engine.ts";
import { governanceEntry } from "../engine/governance.ts";
import type { PolicyStore } from "../engine/policy_store.ts";
import { understand } from "../engine/question.ts";
import type { FactRecorder } from "../facts/recorder.ts";
import { breather, type FactsAccess, permittedFacts, replayFacts } from "../facts/replaying.ts";
import type { FactSegments } from "../facts/segments.ts";
import type { AuthenticatedOperator, Operators } from "../identity/operators.ts";
import type { Registry } from "../registry/registry.ts";
import { invalid } from "./admin.ts";
import { assertPermitted, requirePermission } from "./operator.ts";

/** What is recorded, when recording is on. */
export interface OpenFacts {
  readonly recorder: FactRecorder;
  readonly segments: FactSegments;
  readonly key: Uint8Array;
  readonly retention_ms: number;
}

/** What the service needs. */
export interface ReplayDependencies {
  readonly operators: Operators;
  readonly counters: Counters;
  readonly audit: Pick<AuditLog, "append">;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly policy: PolicyStore;
  readonly engine: () => DecisionEngine;
  /** Absent when the gateway was started without facts. */
  readonly facts?: OpenFacts;
}

/** Time between two progress messages of a replay, in milliseconds. */
const PROGRESS_MS = 500;

/** Handlers. One replay or learning runs at a time; another one meanwhile is refused. */
export function replayHandlers(on: ReplayDependencies): ServiceHandlers<typeof ReplayService> {
  const busy = { reading: false };
  return {
    replay: (request, context) => exclusive(busy, replay(on, request, context)),
    learn: async (request, context) => {
      const operator = requirePermission(context, on.operators, on.counters, "audit.export");
      const window = windowOf(request.sinceUnixMs, request.untilUnixMs, on.clock);
      const opened = recorded(on);
      if (busy.reading) throw alreadyReading();
      busy.reading = true;
      try {
        await record(on, operator, "policy_learn", { ...window, agent: request.agent });
        return await learn(on, opened, operator, request.agent, window, context.signal);
      } finally {
        busy.reading = false;
      }
    },
    simulate: ({ request, proposed }, context) => {
      const operator = requirePermission(context, on.operators, on.counters, "policy.read");
      if (request === undefined) throw invalid("request: is missing: give the action to simulate");
      try {
        const policy = proposed === undefined ? undefined : loaded(proposed, "proposed");
        return simulate(on, operator, request, policy);
      } catch (error) {
        if (error instanceof InvalidRequest) throw invalid(error.message);
        throw error;
      }
    },
    getFactsStatus: (_request, context) => {
      requirePermission(context, on.operators, on.counters, "status.read");
      const { facts } = on;
      if (facts === undefined) return create(GetFactsStatusResponseSchema, { state: "off" });
      const { recorded, dropped, lost, last_error } = facts.recorder.counts;
      return create(GetFactsStatusResponseSchema, {
        state: last_error === "" ? "recording" : "failing",
        recorded: BigInt(recorded),
        dropped: BigInt(dropped),
        lost: BigInt(lost),
        lastError: last_error,
        segments: BigInt(facts.segments.count),
        bytes: BigInt(facts.segments.bytes),
        oldestUnixMs: BigInt(facts.segments.oldest_ms ?? 0),
        retentionMs: BigInt(facts.retention_ms),
      });
    },
  };
}

/** Runs a stream while no other reads; the flag falls however it ends. */
async function* exclusive<T>(
  busy: { reading: boolean },
  stream: AsyncGenerator<T>,
): AsyncGenerator<T> {
  if (busy.reading) throw alreadyReading();
  busy.reading = true;
  try {
    yield* stream;
  } finally {
    busy.reading = false;
  }
}

function alreadyReading(): GrpcError {
  return new GrpcError(
    "another replay is running on this gateway: wait for it to end",
    Code.RESOURCE_EXHAUSTED,
  );
}

async function* replay(
  on: ReplayDependencies,
  request: ReplayRequest,
  context: CallContext,
): AsyncGenerator<ReplayEvent> {
  const operator = requirePermission(context, on.operators, on.counters, "audit.export");
  if (request.proposed === undefined) throw invalid("proposed: is missing: send a policy");
  const proposed = loaded(request.proposed, "proposed");
  const base = request.base === undefined ? inForce(on.policy) : loaded(request.base, "base");
  const window = windowOf(request.sinceUnixMs, request.untilUnixMs, on.clock);
  const opened = recorded(on);
  await record(on, operator, "policy_replay", { ...window, proposed: digestsOf(proposed) });
  const notes = uncarriedLimits([...base.documents, ...proposed.documents]);
  const access = await accessOf(on, opened, operator, context.signal, (note) => notes.push(note));
  // The run goes on while progress is sent: what is to be sent waits in `outbox`.
  const outbox: ReplayEvent[] = [];
  let told_us = on.clock.monotonic_us();
  let wake = () => {};
  const running = replayFacts(
    access,
    { ...window, base, proposed },
    on.clock.monotonic_us,
    (run: ReplayRun) => {
      if (on.clock.monotonic_us() - told_us < PROGRESS_MS * 1_000) return Promise.resolve();
      told_us = on.clock.monotonic_us();
      // One message is enough: a slow reader sees fewer, never a queue of them.
      outbox[0] = progressEvent(run.decided, run.flipped);
      wake();
      return Promise.resolve();
    },
  );
  let over = false;
  running.then(() => {}, () => {}).finally(() => {
    over = true;
    wake();
  });
  while (!over) {
    await new Promise<void>((resolve) => {
      wake = resolve;
      if (over || outbox.length > 0) resolve();
    });
    const next = outbox.pop();
    if (next !== undefined) yield next;
  }
  const { report, decisions_per_second } = await running;
  if (report.truncated) notes.push("the replay stopped at the bound on facts: narrow the window");
  yield* replayEvents(report, notes, decisions_per_second);
}

async function learn(
  on: ReplayDependencies,
  opened: OpenFacts,
  operator: AuthenticatedOperator,
  agent: string,
  window: Window,
  signal: AbortSignal,
): Promise<ReturnType<typeof create<typeof LearnResponseSchema>>> {
  const notes: string[] = [];
  const access = await accessOf(on, opened, operator, signal, (note) => notes.push(note));
  const learned = await learnPolicy({
    facts: () => permittedFacts(access, window.since_ms),
    ...window,
    base: inForce(on.policy),
    ...(agent === "" ? {} : { agent }),
    breathe: access.breathe,
  });
  return create(LearnResponseSchema, {
    yaml: learned.yaml,
    leftOut: learned.left_out.map(({ what, count, why }) => ({ what, count: BigInt(count), why })),
    leftOutMore: BigInt(learned.left_out_more),
    covered: BigInt(learned.covered),
    facts: BigInt(learned.facts),
    notes: [...notes, ...learned.notes],
  });
}

/**
 * What one action would come to. Without a token a registered agent is taken at its record's word:
 * the operator who asks may see it, and nothing is done. Its windows and accounts are then those of
 * a first call, as they are under a proposed policy (contract `policy-and-gateway` §4.10).
 */
function simulate(
  on: ReplayDependencies,
  operator: AuthenticatedOperator,
  request: CheckActionRequest,
  proposed: ReplayPolicy | undefined,
): SimulateResponse {
  const now_ms = on.clock.now_ms();
  const agent_id = request.agentId?.agentId ?? "";
  const known = request.credentialToken === "" && agent_id !== ""
    ? on.registry.find(agent_id)
    : undefined;
  if (known?.outcome === "found") {
    const { org_id, team_id } = known.agent;
    assertPermitted(operator, on.counters, "policy.read", { kind: "tenant", org_id, team_id });
    const mapped = actionFromWire(request.context);
    if (!mapped.ok) throw invalid(`request.${mapped.field}: ${mapped.message}`);
    const principal = on.registry.principalOf(known.agent, now_ms);
    return decideFresh(proposed ?? inForce(on.policy), mapped.action, principal, now_ms);
  }
  const understood = understand(request, on.registry, now_ms, 0);
  if (proposed === undefined || understood.outcome === "identity_denied") {
    return simulated(on.engine().simulate(request).explain(), "live");
  }
  const { action, principal } = understood.question;
  return decideFresh(proposed, action, principal, now_ms);
}

function decideFresh(
  policy: ReplayPolicy,
  action: Action,
  principal: Principal,
  now_ms: number,
): SimulateResponse {
  const set = compilePolicySet(policy.documents, { mode: policy.mode });
  const facts: Facts = {
    now_ms,
    principal,
    rateTokens: (charge) => charge.limit,
    spend: NOTHING_SPENT,
  };
  const decision = decide(set, action, facts);
  return simulated(explain(set, action, facts, decision), "fresh");
}

const NOTHING_SPENT: Facts["spend"] = {
  state: "known",
  agent_daily_micro_usd: 0,
  agent_monthly_micro_usd: 0,
  team_daily_micro_usd: 0,
  team_monthly_micro_usd: 0,
  org_daily_micro_usd: 0,
  org_monthly_micro_usd: 0,
  global_daily_micro_usd: 0,
  global_monthly_micro_usd: 0,
};

function simulated(explanation: Explanation, state: "live" | "fresh"): SimulateResponse {
  const { outcome, reason } = explanation;
  return create(SimulateResponseSchema, {
    outcome,
    reason,
    explanation: explanationToWire(explanation),
    state,
  });
}

function loaded(texts: PolicyTexts, field: string): ReplayPolicy {
  const read = policyFromWire(texts, field);
  if (!read.ok) throw invalid(`${read.field}: ${read.message}`);
  return read.policy;
}

function inForce(policy: PolicyStore): ReplayPolicy {
  const { mode, documents } = policy.current;
  return { mode, documents: documents.map((by) => by.document) };
}

function digestsOf(policy: ReplayPolicy): string[] {
  return policy.documents.map(({ digest }) => digest);
}

interface Window {
  readonly since_ms: number;
  readonly until_ms: number;
}

function windowOf(since: bigint, until: bigint, clock: Clock): Window {
  const since_ms = Number(since);
  // The end is exclusive; what is asked in this very millisecond belongs to "until now".
  const until_ms = until === 0n ? clock.now_ms() + 1 : Number(until);
  if (!(since_ms >= 0 && since_ms < until_ms)) {
    throw invalid(
      `since_unix_ms: \`${since}\` does not come before the end of the window, \`${until_ms}\``,
    );
  }
  return { since_ms, until_ms };
}

function recorded(on: ReplayDependencies): OpenFacts {
  if (on.facts !== undefined) return on.facts;
  throw new GrpcError(
    "decision facts are off: start the gateway without --no-facts",
    Code.FAILED_PRECONDITION,
  );
}

/** Who read what was recorded is itself on record, before anything is read. */
async function record(
  on: ReplayDependencies,
  operator: AuthenticatedOperator,
  action: string,
  facts: Record<string, unknown>,
): Promise<void> {
  const actor = `operator:${operator.name}`;
  await on.audit.append(governanceEntry(action, { actor, ...facts }, on.clock));
}

async function accessOf(
  on: ReplayDependencies,
  opened: OpenFacts,
  operator: AuthenticatedOperator,
  signal: AbortSignal,
  onNote: (note: string) => void,
): Promise<FactsAccess> {
  await opened.recorder.flush();
  const allowed = new Map<string, boolean>();
  return {
    source: opened.segments.source(),
    key: opened.key,
    breathe: breather(on.clock.monotonic_us),
    signal,
    onNote,
    mayRead: ({ principal }) => {
      const { org_id = "", team_id = "" } = principal;
      const tenant = JSON.stringify([org_id, team_id]);
      let may = allowed.get(tenant);
      if (may === undefined) {
        may = permits(operator, "audit.export", { kind: "tenant", org_id, team_id }).ok;
        allowed.set(tenant, may);
      }
      return may;
    },
  };
}
