/**
 * From a wire question to an answer: identity, policy, detectors, approval, reservation, evidence.
 *
 * Policy decides first and alone (`core/policy/decide.ts`); every later part can only refuse, or
 * hold a call until a person agrees. Without a person in the way an answer is computed at once;
 * the service makes the evidence durable before it leaves (design law 2).
 *
 * @module
 */
import { exactAction } from "../../core/approval/bound_call.ts";
import { decide, type Facts } from "../../core/policy/decide.ts";
import { explain } from "../../core/policy/explain.ts";
import type { PolicySet } from "../../core/policy/compile.ts";
import type { Cascade } from "../../core/policy/cascade.ts";
import type { RateBuckets } from "../../core/policy/rate_limit.ts";
import type { Decision, Explanation } from "../../core/verdict.ts";
import { approvalSubject } from "../../proto/approval_subject.ts";
import type { CheckActionRequest } from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import type { Registry } from "../registry/registry.ts";
import type { Clock } from "../clock.ts";
import { type Answer, AnswerWriter, IDENTITY_RULE } from "./answer.ts";
import {
  type ApprovalOutcome,
  type Asked,
  type CallTerms,
  type EngineParts,
  PLAIN_TERMS,
} from "./parts.ts";
import { identify, type Question, understand } from "./question.ts";
import {
  blocked,
  rateLimited,
  unaffordable,
  unapprovable,
  unapproved,
  waits,
  withoutGrant,
} from "./refusals.ts";
import { allowed, isObserved, refused, refusedByPolicy, type Ruling } from "./ruling.ts";
import { explainBecause } from "./ruling_explanation.ts";

export type { Answer } from "./answer.ts";
export { IDENTITY_RULE } from "./answer.ts";
export { InvalidRequest } from "./question.ts";
export { APPROVAL_RULE, REDACTION_RULE } from "./ruling.ts";

/** What the engine decides with. */
export interface EngineDependencies {
  readonly registry: Registry;
  readonly policy: () => PolicySet;
  readonly buckets: RateBuckets;
  readonly clock: Clock;
  /** @default no parts: what needs one is refused by name */
  readonly parts?: EngineParts;
}

/** One look at a question: the moment, the policy of that moment, and its decision. */
interface Look {
  readonly asked: Asked;
  readonly question: Question;
  readonly policy: PolicySet;
  readonly facts: Facts;
  /** The decision is an operator's order, not policy's. */
  readonly stopped: boolean;
  readonly decision: Decision;
}

/** Turns questions into answers. Holds no state but what its dependencies hold. */
export class DecisionEngine {
  readonly #on: EngineDependencies;
  readonly #parts: EngineParts;
  readonly #writer: AnswerWriter;

  constructor(on: EngineDependencies) {
    this.#on = on;
    this.#parts = on.parts ?? {};
    this.#writer = new AnswerWriter(on.clock);
  }

  /** Checks the form of a request without deciding it. @throws {InvalidRequest} naming the field. */
  check(request: CheckActionRequest): void {
    understand(request, this.#on.registry, this.#on.clock.now_ms(), 0);
  }

  /**
   * Answers one question for real: tokens, money and grants are taken when the answer allows.
   *
   * @returns At once, unless a person must agree first.
   * @throws {InvalidRequest} naming the field, when the request is malformed.
   */
  answer(
    request: CheckActionRequest,
    terms: CallTerms = PLAIN_TERMS,
  ): Answer | Promise<Answer> {
    const { clock, registry } = this.#on;
    const started_us = clock.monotonic_us();
    const now_ms = clock.now_ms();
    const understood = understand(request, registry, now_ms, started_us);
    if (understood.outcome === "identity_denied") {
      const { action, reason } = understood;
      this.#parts.anomalies?.spoofed?.(request.agentId?.agentId ?? "", reason, now_ms);
      return this.#writer.refuseIdentity(request, action, reason, started_us);
    }
    const look = this.#look(understood.question, now_ms);
    const { decision } = look;
    const anomaly = this.#parts.anomalies?.observe({
      ...look.asked,
      decision,
      micro_usd: this.#price(look),
      cascade: cascadeOf(look),
    });
    if (decision.outcome === "deny") return this.#finish(look, refusedByPolicy(decision));
    const refusal = anomaly && blocked(decision, anomaly);
    if (refusal !== undefined) return this.#finish(look, refusal);
    const asked_by = decision.outcome === "require_approval"
      ? "policy"
      : anomaly?.response === "require_approval"
      ? "anomaly"
      : undefined;
    const more = anomaly === undefined ? {} : { anomaly };
    if (asked_by === undefined) return this.#finish(look, this.#take(look, terms, more));
    // Nobody is asked about a call that goes through either way.
    if (isObserved(look.question.record, now_ms)) return this.#finish(look, waits(decision, more));
    return this.#askPerson(look, terms, asked_by, more);
  }

  /** The same answer without any side effect (contract `policy-and-gateway` §4.10). */
  simulate(request: CheckActionRequest): Answer {
    const { clock, registry } = this.#on;
    const started_us = clock.monotonic_us();
    const now_ms = clock.now_ms();
    const understood = understand(request, registry, now_ms, started_us);
    if (understood.outcome === "identity_denied") {
      const { action, reason } = understood;
      return this.#writer.refuseIdentity(request, action, reason, started_us);
    }
    const look = this.#look(understood.question, now_ms);
    return this.#write(look, this.#preview(look));
  }

  #preview(look: Look): Ruling {
    const { decision } = look;
    if (decision.outcome === "deny") return refusedByPolicy(decision);
    if (decision.outcome === "require_approval") {
      return this.#parts.approvals === undefined ? unapprovable(decision) : waits(decision, {});
    }
    const reserve = this.#parts.ledger?.preview(this.#reservation(look, PLAIN_TERMS));
    return reserve?.outcome === "denied" ? unaffordable(decision, reserve, {}) : allowed(decision);
  }

  /** Decides a question as things stand at one moment. Takes nothing. */
  #look(question: Question, now_ms: number): Look {
    const policy = this.#on.policy();
    const facts: Facts = {
      now_ms,
      principal: question.principal,
      rateTokens: (charge) => this.#on.buckets.tokens(charge, now_ms),
      spend: this.#parts.ledger?.spend(question.principal, now_ms) ?? { state: "unavailable" },
    };
    const { principal, record, action, request } = question;
    const { traceId, spanId } = request;
    // An operator's order stands above policy, and is looked for anew after every wait.
    const stopped = this.#parts.operations?.denial(principal, traceId, spanId);
    return {
      asked: { principal, record, action, now_ms, trace_id: traceId },
      question,
      policy,
      facts,
      stopped: stopped !== undefined,
      decision: stopped === undefined ? decide(policy, action, facts) : stoppedBy(stopped),
    };
  }

  #price(look: Look): number {
    const { ledger } = this.#parts;
    return ledger?.price(look.asked.action, cascadeOf(look)?.budgets) ?? 0;
  }

  #reservation(
    look: Look,
    terms: CallTerms,
  ): Parameters<NonNullable<EngineParts["ledger"]>["reserve"]>[0] {
    const budgets = cascadeOf(look)?.budgets ?? [];
    const { settles, declared } = terms;
    return { ...look.asked, budgets, settles, ...(declared && { declared }) };
  }

  /** Takes what an allowed call costs: money against every limit, then its rate token. */
  #take(look: Look, terms: CallTerms, more: Partial<Ruling>): Ruling {
    const { decision, asked } = look;
    const reserve = this.#parts.ledger?.reserve(this.#reservation(look, terms));
    if (reserve?.outcome === "denied") return unaffordable(decision, reserve, more);
    if (!this.#on.buckets.take(decision.charges ?? [], asked.now_ms)) {
      // Each bucket had a token when the policy looked; there was no room to keep all of them.
      if (reserve?.outcome === "reserved") reserve.release();
      return rateLimited(decision, more);
    }
    return allowed(decision, {
      ...more,
      ...(reserve?.outcome === "reserved" && { reservation: reserve }),
    });
  }

  /** Holds a call until a person agrees to exactly its bytes, then decides it again. */
  async #askPerson(
    look: Look,
    terms: CallTerms,
    asked_by: "policy" | "anomaly",
    more: Partial<Ruling>,
  ): Promise<Answer> {
    const { approvals } = this.#parts;
    if (approvals === undefined) return this.#finish(look, unapprovable(look.decision));
    const { clock } = this.#on;
    const asked_us = clock.monotonic_us();
    const micro_usd = this.#price(look);
    const policy_digests = digestsOf(look);
    const { request } = look.question;
    const exact = approvalSubject(request.context) ?? exactAction(look.asked.action);
    const outcome = await approvals.ask({
      ...look.asked,
      exact,
      action_type: request.actionType,
      decision: look.decision,
      policy_digests,
      micro_usd,
      asked_by,
      ...(asked_by === "anomaly" && more.anomaly !== undefined && { why: more.anomaly.reason }),
      terms,
    });
    const waited = { ...more, waited_us: clock.monotonic_us() - asked_us };
    if (outcome.outcome !== "granted") {
      return this.#finish(look, withoutGrant(look.decision, outcome, waited));
    }
    return this.#afterGrant(look, terms, outcome, { policy_digests, micro_usd }, waited);
  }

  /**
   * A person agreed; the world may have moved on meanwhile. Whatever refuses now refuses, and the
   * grant is spent only by a call that goes through (contract §13.1 #7, #8).
   */
  async #afterGrant(
    before: Look,
    terms: CallTerms,
    grant: Extract<ApprovalOutcome, { outcome: "granted" }>,
    bound: { readonly policy_digests: readonly string[]; readonly micro_usd: number },
    waited: Partial<Ruling>,
  ): Promise<Answer> {
    const { registry, clock } = this.#on;
    const now_ms = clock.now_ms();
    const more = { ...waited, approval: { request_id: grant.request_id } };
    const identity = identify(before.question.request, registry, now_ms);
    if (identity.outcome === "identity_denied") {
      return this.#finish(
        before,
        refused(before.decision, identity.reason, IDENTITY_RULE, { ...more, firm: true }),
      );
    }
    const { principal, record } = identity;
    const look = this.#look({ ...before.question, principal, record }, now_ms);
    if (look.decision.outcome === "deny") {
      return this.#finish(look, { ...refusedByPolicy(look.decision), ...more });
    }
    if (
      !sameTexts(digestsOf(look), bound.policy_digests) || this.#price(look) !== bound.micro_usd
    ) {
      return this.#finish(look, unapproved(look.decision, CHANGED_MEANWHILE, more));
    }
    const ruling = this.#take(look, terms, more);
    if (ruling.outcome !== "allow") return this.#finish(look, ruling);
    let spent = false;
    try {
      spent = await grant.spend();
    } finally {
      // Also when the queue could not be written: the call is not answered, so nothing is kept of it.
      if (!spent) {
        ruling.reservation?.release();
        this.#refund(look);
      }
    }
    if (spent) return this.#finish(look, ruling);
    return this.#finish(look, unapproved(look.decision, GRANT_USED, more));
  }

  #refund(look: Look): void {
    this.#on.buckets.refund(look.decision.charges ?? [], look.asked.now_ms);
  }

  /** Charges a call that goes through only because its agent is observed: its money is spent, too. */
  #charged(look: Look, ruling: Ruling): Ruling {
    const { ledger } = this.#parts;
    const goes_through = ruling.outcome !== "allow" && !ruling.firm &&
      isObserved(look.question.record, look.asked.now_ms);
    if (!goes_through || ledger === undefined) return ruling;
    const noted = ledger.note(this.#reservation(look, PLAIN_TERMS));
    if (noted.outcome === "free") return ruling;
    if (noted.outcome === "reserved") return { ...ruling, reservation: noted };
    return { ...unaffordable(look.decision, noted, {}), firm: true };
  }

  #finish(look: Look, ruled: Ruling): Answer {
    const ruling = this.#charged(look, ruled);
    const answer = this.#write(look, ruling);
    const { observers, operations } = this.#parts;
    const { request, principal } = look.question;
    const word = answer.response.decision as 1 | 2 | 3 | 4;
    operations?.answered(principal, request.traceId, request.spanId, word);
    const abandon = () => {
      answer.abandon();
      if (ruling.outcome === "allow") this.#refund(look);
    };
    const { reason } = answer.response;
    if (observers === undefined || observers.length === 0) return { ...answer, abandon };
    const told = observers.map((observe) =>
      observe({
        ...look.asked,
        decision: look.decision,
        wire_decision: word,
        reason,
        micro_usd: ruling.reservation?.micro_usd ?? 0,
        ...(ruling.approval && { approval_request_id: ruling.approval.request_id }),
        shadowed: ruling.outcome !== "allow" && word === 1,
      })
    ).filter((one) => one !== undefined);
    return { ...answer, abandon, durable: [...answer.durable, ...told] };
  }

  #write(look: Look, ruling: Ruling): Answer {
    const { policy, facts, decision, asked } = look;
    return this.#writer.write(look.question, ruling, () => {
      if (look.stopped) return explainStop(decision);
      const policys = explain(policy, asked.action, facts, decision);
      const { because, outcome, reason } = ruling;
      if (because === undefined || outcome === "allow") return policys;
      const word = outcome === "pending" ? "require_approval" : "deny";
      return explainBecause(policys, word, reason, because);
    });
  }
}

const CHANGED_MEANWHILE =
  "approval no longer fits: policy or price changed while it waited; ask again";
const GRANT_USED = "approval already used: another call with the same bytes was first; ask again";

/** The refusal that an operator's order is. Its stage is one that no mode softens. */
function stoppedBy(reason: string): Decision {
  return {
    outcome: "deny",
    stage: "status",
    reason,
    findings: [],
    narrowed: false,
    deny_action: "none",
    evidence: [],
  };
}

function explainStop({ reason }: Decision): Explanation {
  return {
    outcome: "deny",
    reason,
    summary:
      `an operator stopped this (${reason}), so no policy was consulted; nothing in a policy ` +
      "can change that",
    considered: [{ stage: "status", result: "deny", detail: reason }],
    changes: [{
      text:
        "have the order ended: `aasm ops list` shows it, `aasm ops resume` or `aasm ops lift` ends it",
      who: "operator",
    }],
  };
}

function cascadeOf({ policy, asked }: Look): Cascade | undefined {
  return policy.state === "configured"
    ? policy.index.cascade(asked.principal, asked.action)
    : undefined;
}

function digestsOf(look: Look): readonly string[] {
  return cascadeOf(look)?.documents.map((by) => by.document.digest) ?? [];
}

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, at) => text === b[at]);
}
