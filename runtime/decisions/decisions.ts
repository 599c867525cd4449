/**
 * Answers queries: an operator's order first, then what is certain here, else the gateway's word, and
 * without a gateway what the operator chose (contracts `interception` §1.4, `wire` §3.7).
 *
 * One promise a query; none waits for another (trap R2).
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { audit, type policy } from "../../proto/mod.ts";
import { redactRules } from "../../proto/redact_rules.ts";
import {
  type ClientMessages,
  connectionOf,
  type DecisionsPart,
  type MetricsPart,
  type Origin,
  type PipelinePart,
  type RefusalWords,
  type SpoolPart,
} from "../parts.ts";
import type { Timers } from "../timers.ts";
import { Approvals } from "./approvals.ts";
import { namesOnly } from "./content.ts";
import { ASSURANCE, Evidence } from "./evidence.ts";
import type { LocalPolicy } from "./fallback.ts";
import type { FollowState } from "./follower.ts";
import { Forwarding } from "./forwarding.ts";
import type { GatewayPart } from "./gateway_client.ts";
import type { Halts } from "./halts.ts";
import type { CallLeases } from "./leases.ts";
import { DECISION_LIMITS } from "./limits.ts";
import { decideLocally, type LocalRuling } from "./local.ts";
import { LocalRules } from "./local_rules.ts";
import { type AgentName, sameName, type Snapshot, type StandingOrder } from "./snapshot.ts";
import { CANNOT_REDACT_TEXT, pausedText, RULES, terminatedText } from "./words.ts";
import { waitForDecision } from "./waiting.ts";

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
  /** The agent this runtime is for, as configured: organisation and team may be missing. */
  readonly name: AgentName;
  /** Whether the operator handed over the agent's credential, and with it which agent it is. */
  readonly credential_given: boolean;
  /** Absent: local rules alone. */
  readonly gateway?: {
    readonly part: Pick<GatewayPart, "check">;
    readonly follower: Followed;
    readonly leases: CallLeases;
    readonly timeout_ms: number;
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

/** The room. */
export class Decisions implements DecisionsPart {
  readonly approvals: Approvals;
  readonly #on: DecisionsOptions;
  readonly #evidence: Evidence;
  readonly #rules: LocalRules;
  readonly #forwarding: Forwarding | undefined;
  readonly #repeatable = new WeakSet<Response>();
  readonly #words = new WeakMap<Response, () => RefusalWords | undefined>();
  #generation = 1;
  #paused = 0;

  constructor(options: DecisionsOptions) {
    this.#on = options;
    const { timers, gateway, spool, metrics, local_policy } = options;
    this.approvals = new Approvals(timers.monotonic_us);
    const now_ms = () => gateway?.follower.gateway_now_ms ?? timers.now_ms();
    const evidence = this.#evidence = new Evidence({ spool, metrics, timers, now_ms });
    this.#rules = new LocalRules({ ...options, policy: local_policy, evidence });
    this.#forwarding = gateway && new Forwarding({
      gateway: gateway.part,
      timeout_ms: gateway.timeout_ms,
      fail_closed: gateway.fail_closed,
      approvals: this.approvals,
      ...{ evidence, metrics },
    });
    options.halts.onChange(() => this.changed());
  }

  /** Something changed that earlier answers may have depended on. */
  changed(): void {
    this.#generation++;
  }

  /** @inheritdoc */
  epoch = (): number | undefined =>
    this.#on.gateway?.follower.inForce === undefined ? undefined : this.#generation;

  /**
   * @inheritdoc
   *
   * Known of the permission broker's queries alone: nobody else keeps answers.
   */
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
      response = this.#evidence.answer(2, "runtime fault: denied", RULES.fault, started_us);
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
    const { timers, stopping } = this.#on;
    const decided = await waitForDecision(pending, {
      approvals: this.approvals,
      timers,
      until: AbortSignal.any([signal, stopping]),
      again: () => this.answer(query, origin, signal),
    });
    if (typeof decided === "object") return decided;
    const started_us = timers.monotonic_us();
    const text = decided === "timed_out"
      ? "approval timed out"
      : "nobody waits for the approval any more";
    return await this.#evidence.denied(query, text, RULES.approval, "unanswered", started_us);
  };

  async #answer(
    query: Query,
    origin: Origin,
    signal: AbortSignal,
    started_us: number,
  ): Promise<Response> {
    for (let attempt = 0; attempt < DECISION_LIMITS.local_attempts;) {
      const order = this.#on.halts.governing(query.traceId, query.spanId);
      if (order !== undefined) {
        const halted = await this.#halted(order, query, signal, started_us);
        if (halted !== undefined) return halted;
        continue;
      }
      attempt++;
      const local = await this.#locally(query, origin, started_us);
      if (local === "forward") break;
      if (local !== "again") return this.#redactable(query, local, origin, started_us);
    }
    const { gateway } = this.#on;
    if (gateway === undefined || this.#forwarding === undefined) {
      return await this.#rules.answer(query, origin, started_us, false);
    }
    const { state } = gateway.follower;
    if (state.state === "distrusted") {
      const text = `gateway distrusted: ${state.why}; denied until it says something whole`;
      const rule = RULES.distrusted;
      return await this.#evidence.denied(query, text, rule, "gateway_distrusted", started_us);
    }
    const forwarded = await this.#forwarding.ask(query, origin, signal, started_us);
    if (forwarded.outcome === "open") {
      return await this.#rules.answer(query, origin, started_us, true);
    }
    const { response, rule } = forwarded;
    this.#learn(query, response);
    if (rule !== undefined && response.decision === 2) {
      this.#words.set(response, () => ({ rule }));
    }
    return await this.#redactable(query, response, origin, started_us);
  }

  /** Waits for a pause to end, or denies; `undefined`: look again. */
  async #halted(
    order: StandingOrder,
    query: Query,
    signal: AbortSignal,
    started_us: number,
  ): Promise<Response | undefined> {
    const { halts, stopping } = this.#on;
    const denied = (text: string) =>
      this.#evidence.denied(query, text, RULES.operator, "operator", started_us);
    if (order.signal === "terminate") return await denied(terminatedText(order));
    const until = AbortSignal.any([signal, stopping]);
    if (until.aborted) return await denied(pausedText(order, "nobody waits any more"));
    if (this.#paused >= DECISION_LIMITS.paused_queries) {
      return await denied(pausedText(order, "too many queries wait for it to be resumed"));
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
  async #locally(
    query: Query,
    origin: Origin,
    started_us: number,
  ): Promise<Response | "forward" | "again"> {
    const { gateway } = this.#on;
    const snapshot = gateway?.follower.inForce;
    if (gateway === undefined || snapshot === undefined) return "forward";
    const { follower, leases } = gateway;
    const decided_at_ms = follower.gateway_now_ms;
    const ruling = decideLocally(query, snapshot, decided_at_ms);
    if (ruling.kind === "forward") return "forward";
    let lease: { readonly lease_id: string } | undefined;
    if (ruling.needs !== undefined) {
      const { class_id, prompt_tokens } = ruling.needs;
      const lease_id = leases.draw(class_id);
      if (lease_id === undefined) {
        leases.want(class_id, () => namesOnly(query.context, ruling.action, prompt_tokens));
        return "forward";
      }
      lease = { lease_id };
    }
    const generation = this.#generation;
    const response = this.#ruled(ruling, started_us);
    const { action, decision } = ruling;
    const facts = { query, response, snapshot, action, decision, decided_at_ms };
    let seq: number;
    try {
      seq = await this.#evidence.keep({ ...facts, because: "policy", ...lease });
    } catch {
      // The gateway keeps the evidence of what it decides.
      return "forward";
    }
    if (generation !== this.#generation || follower.inForce === undefined) {
      // It may not be given any more; that it was not is on record, too.
      await this.#evidence.withdraw(seq);
      return "again";
    }
    this.#on.metrics.add("aa_runtime_decisions_local_total");
    if (ruling.repeatable && origin.source === "broker") this.#repeatable.add(response);
    if (response.decision === 2) this.#words.set(response, () => wordsOf(ruling));
    return response;
  }

  #ruled({ decision }: Extract<LocalRuling, { kind: "certain" }>, started_us: number): Response {
    const { outcome, reason, redacted, findings } = decision;
    const { bound } = ASSURANCE;
    if (outcome === "deny") return this.#evidence.answer(2, reason, reason, started_us, bound);
    if (redacted === undefined) return this.#evidence.answer(1, "", "", started_us, bound);
    const text = "sensitive data detected";
    const response = this.#evidence.answer(4, text, RULES.redaction, started_us, bound);
    response.redact = redactRules(findings);
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
    const because = "client_ignores_redaction";
    const rule = RULES.redaction;
    return await this.#evidence.denied(query, CANNOT_REDACT_TEXT, rule, because, started_us);
  }

  /**
   * The credential that the gateway has just found to be this agent's is this runtime's own.
   *
   * The reference's clients register under the did:key of a key of their own, whatever the runtime
   * calls its agent (contract `wire` §6.3): the first such agent that is proven here is this
   * runtime's, for as long as the gateway takes its credential. Another one is forwarded: an agent
   * that calls itself the same in another organisation must not take this one's orders and record.
   */
  #learn(query: Query, response: Response): void {
    const follower = this.#on.gateway?.follower;
    if (follower === undefined || response.agentIdentityAssurance !== ASSURANCE.bound) return;
    const id = query.agentId;
    if (id === undefined || query.credentialToken === "") return;
    const name = { org_id: id.orgId, team_id: id.teamId, agent_id: id.agentId };
    const vacant = follower.token === "" || follower.state.state === "refused";
    const renewed = sameName(name, follower.name);
    const first = this.#fits(name) && (vacant || !this.#fits(follower.name));
    const unnamed = vacant && !this.#on.credential_given && name.agent_id.startsWith("did:key:");
    if (renewed || first || unnamed) follower.useToken(query.credentialToken, name);
  }

  /** Whether an agent may be the one that this runtime was configured for. */
  #fits({ org_id, team_id, agent_id }: AgentName): boolean {
    const { name } = this.#on;
    return agent_id === name.agent_id &&
      (name.org_id === "" || name.org_id === org_id) &&
      (name.team_id === "" || name.team_id === team_id);
  }

  /** The event that a denial is, for whoever watches (contract §1.4 b). */
  #tellViolation(query: Query, response: Response, origin: Origin): void {
    const { newId, timers, pipeline, metrics } = this.#on;
    const violation = create(audit.AuditEventSchema, {
      eventId: newId(),
      ...(query.agentId === undefined ? {} : { agentId: query.agentId }),
      occurredAt: { unixMs: BigInt(Math.trunc(timers.now_ms())) },
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
    // The runtime's own word: a client that says no version in it is no suspect.
    const connection = connectionOf(origin);
    const pid = origin.source === "sdk" ? undefined : origin.pid;
    const own: Origin = {
      source: "runtime",
      ...(connection === undefined ? {} : { connection }),
      ...(pid === undefined ? {} : { pid }),
    };
    pipeline.report(violation, own).catch(() => {
      metrics.add("aa_runtime_violation_events_lost_total");
    });
  }
}

function wordsOf(ruling: Extract<LocalRuling, { kind: "certain" }>): RefusalWords | undefined {
  const { rule } = ruling.decision;
  const [first] = ruling.explain().changes;
  const change = first?.text;
  if (rule === undefined && change === undefined) return undefined;
  return {
    ...(rule === undefined
      ? {}
      : { rule: `${rule.file}:${rule.line}:${rule.column} ${rule.path}` }),
    ...(change === undefined ? {} : { change }),
    ...(first === undefined ? {} : { who: first.who }),
  };
}
