/**
 * Answers queries: an operator's order first, then what is certain here, else the gateway's word, and
 * without a gateway what the operator chose (contracts `interception` §1.4, `wire` §3.7).
 *
 * One promise a query; none waits for another (trap R2).
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { Code, GrpcError } from "../../grpc/mod.ts";
import { audit, event, policy } from "../../proto/mod.ts";
import { redactRules } from "../../proto/redact_rules.ts";
import type {
  ClientMessages,
  DecisionsPart,
  MetricsPart,
  Origin,
  PipelinePart,
  RefusalWords,
  SpoolPart,
} from "../parts.ts";
import type { Timers } from "../timers.ts";
import { Approvals } from "./approvals.ts";
import { ContentTags, namesOnly } from "./content.ts";
import { decideByRules, type LocalPolicy } from "./fallback.ts";
import type { FollowState } from "./follower.ts";
import type { GatewayAnswer, GatewayPart } from "./gateway_client.ts";
import type { Halts } from "./halts.ts";
import type { CallLeases } from "./leases.ts";
import { DECISION_LIMITS } from "./limits.ts";
import { decideLocally, type LocalRuling } from "./local.ts";
import { type Because, type Decided, decisionBytes, withdrawalBytes } from "./record.ts";
import type { AgentName, Snapshot, StandingOrder } from "./snapshot.ts";
import {
  CANNOT_REDACT_TEXT,
  FAIL_CLOSED_TEXT,
  NO_EVIDENCE_TEXT,
  OPEN_WITHOUT_RULES_TEXT,
  OVERLOADED_TEXT,
  pausedText,
  RULES,
  terminatedText,
  UNCONFIGURED_TEXT,
  UNKNOWN_ANSWER_TEXT,
} from "./words.ts";

/** What following tells the room. */
export interface Followed {
  readonly state: FollowState;
  readonly inForce: Snapshot | undefined;
  readonly gateway_now_ms: number;
  readonly token: string;
  /** Whose credential it is. */
  readonly name: AgentName;
  readonly useToken: (token: string, name: AgentName) => void;
}

/** What the room decides with. */
export interface DecisionsOptions {
  /** Id of the agent this runtime is for. */
  readonly agent_id: string;
  /** Absent: local rules alone. */
  readonly gateway?: {
    readonly part: Pick<GatewayPart, "check">;
    readonly follower: Followed;
    readonly leases: CallLeases;
    readonly timeout_ms: number;
    /** @default true, by whoever reads the configuration */
    readonly fail_closed: boolean;
  };
  readonly local_policy: LocalPolicy;
  readonly halts: Halts;
  readonly spool: Pick<SpoolPart, "append">;
  readonly pipeline: PipelinePart;
  readonly messages: ClientMessages;
  readonly metrics: MetricsPart;
  readonly timers: Timers;
  /** Makes UUIDs. */
  readonly newId: () => string;
  /** Ends waits that nothing else would end. */
  readonly stopping: AbortSignal;
}

type Query = policy.CheckActionRequest;
type Response = policy.CheckActionResponse;

const BOUND = 3;
const UNATTRIBUTED = 1;

/** The room. */
export class Decisions implements DecisionsPart {
  readonly approvals: Approvals;
  readonly #on: DecisionsOptions;
  readonly #tags = new ContentTags();
  readonly #repeatable = new WeakSet<Response>();
  readonly #words = new WeakMap<Response, () => RefusalWords | undefined>();
  readonly #waiting: (() => void)[] = [];
  #generation = 1;
  #forwarding = 0;
  #paused = 0;
  #local_approvals = 0;

  constructor(options: DecisionsOptions) {
    this.#on = options;
    this.approvals = new Approvals(options.timers.monotonic_us);
    options.halts.onChange(() => this.changed());
  }

  /** Something changed that earlier answers may have depended on. */
  changed(): void {
    this.#generation++;
  }

  /** @inheritdoc */
  epoch = (): number | undefined =>
    this.#on.gateway?.follower.inForce === undefined ? undefined : this.#generation;

  /** @inheritdoc */
  repeatable = (response: Response): boolean => this.#repeatable.has(response);

  /** @inheritdoc */
  explain = (response: Response): RefusalWords | undefined => this.#words.get(response)?.();

  /** @inheritdoc */
  answer = async (query: Query, origin: Origin, signal: AbortSignal): Promise<Response> => {
    const started_us = this.#on.timers.monotonic_us();
    this.#on.metrics.add("aa_policy_evaluations_total");
    let response: Response;
    try {
      response = await this.#answer(query, origin, signal, started_us);
    } catch {
      response = this.#plain(2, "runtime fault: denied", RULES.fault, started_us);
    }
    if (response.decision === 2) this.#tellViolation(query, response, origin);
    return response;
  };

  /** @inheritdoc */
  settle = async (
    query: Query,
    pending: Response,
    origin: Origin,
    signal: AbortSignal,
  ): Promise<Response> => {
    const until = AbortSignal.any([signal, this.#on.stopping]);
    let response = pending;
    const deadline_us = this.#on.timers.monotonic_us() +
      DECISION_LIMITS.approval_remembered_ms * 1_000;
    while (response.decision === 3) {
      const over = this.#on.timers.monotonic_us() >= deadline_us;
      if (until.aborted || over || response.approvalId === "") {
        const reason = over ? "approval timed out" : "nobody waits for the approval any more";
        return this.#plain(2, reason, RULES.approval, this.#on.timers.monotonic_us());
      }
      const { decided, stop } = this.approvals.waitFor(response.approvalId);
      const looked = new AbortController();
      const look = this.#on.timers.sleep(
        DECISION_LIMITS.approval_look_ms,
        AbortSignal.any([until, looked.signal]),
      );
      await Promise.race([decided, look]);
      looked.abort();
      stop();
      if (!until.aborted) response = await this.answer(query, origin, signal);
    }
    return response;
  };

  async #answer(
    query: Query,
    origin: Origin,
    signal: AbortSignal,
    started_us: number,
  ): Promise<Response> {
    for (let attempt = 0;; attempt++) {
      const order = this.#on.halts.governing(query.traceId, query.spanId);
      if (order !== undefined) {
        const halted = await this.#halted(order, query, signal, started_us);
        if (halted !== undefined) return halted;
        continue;
      }
      if (attempt >= DECISION_LIMITS.local_attempts) break;
      const local = await this.#locally(query, started_us);
      if (local === "forward") break;
      if (local !== "again") return this.#redactable(query, local, origin, started_us);
    }
    const { gateway } = this.#on;
    if (gateway === undefined) return await this.#withoutGateway(query, origin, started_us, false);
    const { state } = gateway.follower;
    if (state.state === "distrusted") {
      const text = `gateway distrusted: ${state.why}; denied until it says something whole`;
      const response = this.#plain(2, text, RULES.distrusted, started_us);
      return await this.#recorded(query, response, "gateway_distrusted", started_us);
    }
    return await this.#forward(query, origin, signal, started_us);
  }

  /** Waits for a pause to end, or denies; `undefined`: look again. */
  async #halted(
    order: StandingOrder,
    query: Query,
    signal: AbortSignal,
    started_us: number,
  ): Promise<Response | undefined> {
    if (order.signal === "terminate") {
      const response = this.#plain(2, terminatedText(order), RULES.operator, started_us);
      return await this.#recorded(query, response, "operator", started_us);
    }
    const { halts, stopping } = this.#on;
    const until = AbortSignal.any([signal, stopping]);
    const full = this.#paused >= DECISION_LIMITS.paused_queries;
    if (full || until.aborted) {
      const why = full ? "too many queries wait for it to be resumed" : "nobody waits any more";
      const response = this.#plain(2, pausedText(order, why), RULES.operator, started_us);
      return await this.#recorded(query, response, "operator", started_us);
    }
    this.#paused++;
    const gone = Promise.withResolvers<void>();
    const leave = () => gone.resolve();
    until.addEventListener("abort", leave, { once: true });
    try {
      await Promise.race([halts.changed, gone.promise]);
    } finally {
      until.removeEventListener("abort", leave);
      this.#paused--;
    }
    return undefined;
  }

  /** Decides here when that is certain; `again` when something changed while it was written down. */
  async #locally(query: Query, started_us: number): Promise<Response | "forward" | "again"> {
    const { gateway } = this.#on;
    const snapshot = gateway?.follower.inForce;
    if (gateway === undefined || snapshot === undefined) return "forward";
    const { follower, leases } = gateway;
    const ruling = decideLocally(query, snapshot, follower.gateway_now_ms);
    if (ruling.kind === "forward") return "forward";
    let lease_id: string | undefined;
    if (ruling.needs !== undefined) {
      const { class_id, prompt_tokens } = ruling.needs;
      lease_id = leases.draw(class_id);
      if (lease_id === undefined) {
        leases.want(class_id, () => namesOnly(query.context, ruling.action, prompt_tokens));
        return "forward";
      }
    }
    const generation = this.#generation;
    const response = this.#ruled(ruling, started_us);
    const { action, decision } = ruling;
    const decided: Decided = {
      query,
      response,
      because: "policy",
      decided_at_ms: follower.gateway_now_ms,
      snapshot,
      action,
      decision,
      ...(lease_id === undefined ? {} : { lease_id }),
    };
    let seq: number;
    try {
      seq = await this.#on.spool.append("decision", decisionBytes(decided, this.#tags));
    } catch {
      // The gateway keeps the evidence of what it decides.
      return "forward";
    }
    if (generation === this.#generation && follower.inForce !== undefined) {
      this.#on.metrics.add("aa_runtime_decisions_local_total");
      if (ruling.repeatable) this.#repeatable.add(response);
      this.#words.set(response, () => wordsOf(ruling));
      return response;
    }
    // It may not be given any more; that it was not is on record, too.
    await this.#on.spool.append("decision", withdrawalBytes(seq)).catch(() => {});
    return "again";
  }

  #ruled({ decision }: Extract<LocalRuling, { kind: "certain" }>, started_us: number): Response {
    if (decision.outcome === "deny") {
      return this.#plain(2, decision.reason, decision.reason, started_us, BOUND);
    }
    if (decision.redacted === undefined) return this.#plain(1, "", "", started_us, BOUND);
    const response = this.#plain(4, "sensitive data detected", RULES.redaction, started_us, BOUND);
    response.redact = redactRules(decision.findings);
    return response;
  }

  /** To a client that would act on the secret, a redaction is a denial (trap R9). */
  async #redactable(
    query: Query,
    response: Response,
    origin: Origin,
    started_us: number,
  ): Promise<Response> {
    if (response.decision !== 4) return response;
    if (origin.source !== "sdk" || origin.connection.applies_redactions) return response;
    const denied = this.#plain(2, CANNOT_REDACT_TEXT, RULES.redaction, started_us, BOUND);
    return await this.#recorded(query, denied, "client_ignores_redaction", started_us);
  }

  async #forward(
    query: Query,
    origin: Origin,
    signal: AbortSignal,
    started_us: number,
  ): Promise<Response> {
    const { gateway } = this.#on;
    if (gateway === undefined) {
      return this.#plain(2, UNCONFIGURED_TEXT, RULES.unconfigured, started_us);
    }
    const remembered = this.approvals.find(query);
    let answer: GatewayAnswer;
    try {
      if (!await this.#turn(signal)) {
        const response = this.#plain(2, OVERLOADED_TEXT, RULES.overload, started_us);
        return await this.#recorded(query, response, "overloaded", started_us);
      }
      try {
        answer = await gateway.part.check(query, {
          timeout_ms: gateway.timeout_ms,
          signal,
          ...(remembered === undefined || remembered.resume_token === ""
            ? {}
            : { resume_token: remembered.resume_token }),
        });
      } finally {
        this.#leave();
      }
    } catch (error) {
      return await this.#notAnswered(query, origin, started_us, error);
    }
    return await this.#relayed(query, origin, started_us, answer);
  }

  async #relayed(
    query: Query,
    origin: Origin,
    started_us: number,
    answer: GatewayAnswer,
  ): Promise<Response> {
    const { response, resume_token = "", rule, rule_at } = answer;
    this.#learn(query, response);
    switch (response.decision) {
      case 1:
      case 2:
      case 4:
        this.approvals.answered(query);
        break;
      case 3: {
        const connection = origin.source === "sdk" ? origin.connection.id : undefined;
        this.approvals.remember(query, response.approvalId, resume_token, connection);
        break;
      }
      default: {
        const denied = this.#plain(2, UNKNOWN_ANSWER_TEXT, RULES.fail_closed, started_us);
        return await this.#recorded(query, denied, "fault", started_us);
      }
    }
    if (rule !== undefined && response.decision === 2) {
      this.#words.set(
        response,
        () => ({ rule: rule_at === undefined ? rule : `${rule_at} ${rule}` }),
      );
    }
    return await this.#redactable(query, response, origin, started_us);
  }

  /**
   * The credential that the gateway has just found to be this agent's is this runtime's own.
   *
   * The reference's clients register under the did:key of a key of their own, whatever the runtime
   * calls its agent (contract `wire` §6.3): the first such agent that is proven here is this
   * runtime's, for as long as the gateway takes its credential. Another one is forwarded.
   */
  #learn(query: Query, response: Response): void {
    const follower = this.#on.gateway?.follower;
    if (follower === undefined || response.agentIdentityAssurance !== BOUND) return;
    const id = query.agentId;
    if (id === undefined || query.credentialToken === "") return;
    const own = id.agentId === this.#on.agent_id || id.agentId === follower.name.agent_id;
    const vacant = follower.token === "" || follower.state.state === "refused";
    if (!own && !(vacant && id.agentId.startsWith("did:key:"))) return;
    const name = { org_id: id.orgId, team_id: id.teamId, agent_id: id.agentId };
    follower.useToken(query.credentialToken, name);
  }

  /** The gateway gave no answer: it is away, or the query is none. */
  async #notAnswered(
    query: Query,
    origin: Origin,
    started_us: number,
    error: unknown,
  ): Promise<Response> {
    const code = error instanceof GrpcError ? error.code : Code.UNKNOWN;
    if (code === Code.DEADLINE_EXCEEDED) {
      this.#on.metrics.add("aa_gateway_policy_query_timeouts_total");
    }
    const away = code === Code.UNAVAILABLE || code === Code.DEADLINE_EXCEEDED;
    if (!away && error instanceof GrpcError && code !== Code.CANCELLED) {
      // Never a way around a posture: what the gateway turns down is denied, open or not.
      const text = `the gateway refused the query: ${error.message}`;
      const response = this.#plain(2, text, RULES.fail_closed, started_us);
      return await this.#recorded(query, response, "gateway_away", started_us);
    }
    if (away && this.#on.gateway?.fail_closed === false) {
      return await this.#withoutGateway(query, origin, started_us, true);
    }
    const response = this.#plain(2, FAIL_CLOSED_TEXT, RULES.fail_closed, started_us);
    return await this.#recorded(query, response, "gateway_away", started_us);
  }

  /** Local rules decide (`wire` §3.8); their absence allows nothing (trap R11). */
  async #withoutGateway(
    query: Query,
    origin: Origin,
    started_us: number,
    failed_open: boolean,
  ): Promise<Response> {
    const { local_policy } = this.#on;
    if (local_policy.state !== "loaded") {
      const text = failed_open ? OPEN_WITHOUT_RULES_TEXT : UNCONFIGURED_TEXT;
      const response = this.#plain(2, text, RULES.unconfigured, started_us);
      return await this.#recorded(query, response, "unconfigured", started_us);
    }
    const verdict = decideByRules(local_policy.rules, query);
    switch (verdict.verdict) {
      case "allow": {
        const response = this.#plain(1, "", "", started_us);
        return await this.#recorded(query, response, "local_rules", started_us);
      }
      case "deny": {
        const response = this.#plain(2, verdict.reason, verdict.rule, started_us);
        return await this.#recorded(query, response, "local_rules", started_us);
      }
      case "pending":
        return await this.#pendingHere(query, origin, started_us, verdict);
    }
  }

  /** Nobody here can agree: the answer comes with the timeout, and is no (contract §1.4 c). */
  async #pendingHere(
    query: Query,
    origin: Origin,
    started_us: number,
    { rule, timeout_ms }: { readonly rule: string; readonly timeout_ms: number },
  ): Promise<Response> {
    if (this.#local_approvals >= DECISION_LIMITS.local_approvals) {
      const text = `approval required by rule: ${rule}; too many wait already`;
      const response = this.#plain(2, text, RULES.approval, started_us);
      return await this.#recorded(query, response, "local_rules", started_us);
    }
    const pending = this.#plain(3, `approval required by rule: ${rule}`, rule, started_us);
    pending.approvalId = this.#on.newId();
    const response = await this.#recorded(query, pending, "local_rules", started_us);
    if (response !== pending) return response;
    this.#local_approvals++;
    const { timers, stopping, messages } = this.#on;
    timers.sleep(timeout_ms, stopping).then(() => {
      this.#local_approvals--;
      if (stopping.aborted || origin.source !== "sdk") return;
      messages.approvalDecided(
        origin.connection.id,
        create(event.ApprovalDecisionSchema, {
          approvalId: pending.approvalId,
          approved: false,
          decidedBy: "timeout",
          reason: "approval timed out",
          decidedAtUnixMs: BigInt(timers.now_ms()),
        }),
      );
    });
    return response;
  }

  /** Gives an answer once its evidence is on disk here; without evidence only a denial is left. */
  async #recorded(
    query: Query,
    response: Response,
    because: Because,
    started_us: number,
  ): Promise<Response> {
    const { timers, gateway, spool, metrics } = this.#on;
    const decided_at_ms = gateway?.follower.gateway_now_ms ?? timers.now_ms();
    try {
      await spool.append(
        "decision",
        decisionBytes({ query, response, because, decided_at_ms }, this.#tags),
      );
      return response;
    } catch {
      metrics.add("aa_runtime_evidence_failures_total");
      if (response.decision === 2) return response;
      return this.#plain(2, NO_EVIDENCE_TEXT, RULES.evidence, started_us);
    }
  }

  /** Waits for room at the gateway. @returns `false` when too many wait, or nobody does any more. */
  async #turn(signal: AbortSignal): Promise<boolean> {
    if (this.#forwarding < DECISION_LIMITS.forwarded_queries) {
      this.#forwarding++;
      return true;
    }
    if (this.#waiting.length >= DECISION_LIMITS.waiting_queries || signal.aborted) return false;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    // Whoever leaves hands its place to the next, so that the count stays.
    await promise;
    return true;
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#forwarding--;
    else next();
  }

  #plain(
    decision: 1 | 2 | 3 | 4,
    reason: string,
    policyRule: string,
    started_us: number,
    assurance = UNATTRIBUTED,
  ): Response {
    const elapsed_us = this.#on.timers.monotonic_us() - started_us;
    return create(policy.CheckActionResponseSchema, {
      decision,
      reason,
      policyRule,
      decisionLatencyUs: BigInt(Math.max(0, Math.trunc(elapsed_us))),
      agentIdentityAssurance: assurance,
    });
  }

  /** The event that a denial is, for whoever watches (contract §1.4 b). */
  #tellViolation(query: Query, response: Response, origin: Origin): void {
    const violation = create(audit.AuditEventSchema, {
      eventId: this.#on.newId(),
      ...(query.agentId === undefined ? {} : { agentId: query.agentId }),
      occurredAt: { unixMs: BigInt(Math.trunc(this.#on.timers.now_ms())) },
      actionType: query.actionType,
      decision: 2,
      traceId: query.traceId,
      spanId: query.spanId,
      detail: {
        case: "violation",
        value: {
          policyRule: response.policyRule,
          blockedAction: query.context?.action.case ?? "",
          reason: response.reason,
          latencyMs: response.decisionLatencyUs / 1_000n,
        },
      },
      labels: { source: "runtime" },
    });
    this.#on.pipeline.report(violation, origin).catch(() => {
      this.#on.metrics.add("aa_runtime_violation_events_lost_total");
    });
  }
}

function wordsOf(ruling: Extract<LocalRuling, { kind: "certain" }>): RefusalWords | undefined {
  const { rule } = ruling.decision;
  const change = ruling.explain().changes[0]?.text;
  if (rule === undefined && change === undefined) return undefined;
  return {
    ...(rule === undefined
      ? {}
      : { rule: `${rule.file}:${rule.line}:${rule.column} ${rule.path}` }),
    ...(change === undefined ? {} : { change }),
  };
}
