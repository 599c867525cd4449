/**
 * From a wire question to a wire answer: identity, decision, mode, evidence. Synchronous and free
 * of I/O; the service makes the evidence durable before the answer leaves (design law 2).
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import type { Action } from "../../core/action.ts";
import { type EntryDraft, hash16 } from "../../core/audit/entry.ts";
import { decide, type Facts } from "../../core/policy/decide.ts";
import { explain } from "../../core/policy/explain.ts";
import type { PolicySet } from "../../core/policy/compile.ts";
import type { RateBuckets } from "../../core/policy/rate_limit.ts";
import type { Principal } from "../../core/principal.ts";
import type { Decision, Explanation, RuleRef } from "../../core/verdict.ts";
import { actionFromWire, identifierProblem, verdictOf } from "../../proto/mapping.ts";
import {
  type CheckActionRequest,
  type CheckActionResponse,
  CheckActionResponseSchema,
} from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import { effectiveEnforcement } from "../registry/enforcement.ts";
import type { Registry } from "../registry/registry.ts";
import type { Clock } from "../clock.ts";
import { clean, decisionEntry, type LineageRecord, type WireDecision } from "./evidence.ts";
import { redactRules } from "./wire_answer.ts";

/** Rule label of the identity circuit (contract `wire` §1.3). */
export const IDENTITY_RULE = "a2a_identity_verification";
/** Rule label of approvals. */
export const APPROVAL_RULE = "requires_approval";
/** Rule label of a redaction. */
export const REDACTION_RULE = "data_pattern_scan";

const ASSURANCE = { unattributed: 1, asserted: 2, bound: 3 } as const;

/** What the engine decides with. */
export interface EngineDependencies {
  readonly registry: Registry;
  readonly policy: () => PolicySet;
  readonly buckets: RateBuckets;
  readonly clock: Clock;
}

/** A finished answer with the evidence that must be durable before it is sent. */
export interface Answer {
  readonly response: CheckActionResponse;
  readonly entry: EntryDraft;
  /** The rule that decided, when one did. */
  readonly rule: RuleRef | undefined;
  /** Computes the explanation, on demand: it re-decides and is dear. */
  readonly explain: () => Explanation;
  /** Registry key of an agent whose budget denial asks for suspension. */
  readonly suspend: string | undefined;
}

/** A request the contract answers with `INVALID_ARGUMENT`. */
export class InvalidRequest extends Error {
  override readonly name = "InvalidRequest";
}

/** The question after identity: who asks, what, and under which mode. */
interface Question {
  readonly request: CheckActionRequest;
  readonly action: Action;
  readonly principal: Principal;
  readonly record: AgentRecord | undefined;
  readonly started_us: number;
}

/** Turns questions into answers. Holds no state but what its dependencies hold. */
export class DecisionEngine {
  readonly #agent_keys = new Map<string, Uint8Array>();
  readonly #session_keys = new Map<string, Uint8Array>();

  constructor(private readonly on: EngineDependencies) {}

  /**
   * Answers one question for real: a rate token is taken when the answer is not a denial.
   *
   * @throws {InvalidRequest} naming the field, when the request is malformed.
   */
  answer(request: CheckActionRequest): Answer {
    return this.#answer(request, true);
  }

  /** The same answer without any side effect (contract `policy-and-gateway` §4.10). */
  simulate(request: CheckActionRequest): Answer {
    return this.#answer(request, false);
  }

  #answer(request: CheckActionRequest, real: boolean): Answer {
    const started_us = this.on.clock.monotonic_us();
    const now_ms = this.on.clock.now_ms();
    const problem = identifierProblem(request);
    if (problem !== undefined) throw new InvalidRequest(`${problem.field}: ${problem.message}`);
    const claimed = request.agentId;
    const identity = this.on.registry.principalFor(
      {
        org_id: claimed?.orgId ?? "",
        team_id: claimed?.teamId ?? "",
        agent_id: claimed?.agentId ?? "",
      },
      request.credentialToken,
      now_ms,
    );
    const mapped = actionFromWire(request.context);
    if (identity.outcome === "identity_denied") {
      const kind = mapped.ok ? mapped.action.kind : "malformed";
      return this.#refuseIdentity(request, kind, identity.reason, started_us);
    }
    if (!mapped.ok) throw new InvalidRequest(`${mapped.field}: ${mapped.message}`);
    const question: Question = {
      request,
      action: mapped.action,
      principal: identity.principal,
      record: identity.record,
      started_us,
    };
    const facts: Facts = {
      now_ms,
      principal: identity.principal,
      rateTokens: (charge) => this.on.buckets.tokens(charge, now_ms),
      // No ledger in this release: a budget then refuses model calls by name (design law 1).
      spend: { state: "unavailable" },
    };
    const policy = this.on.policy();
    const decision = decide(policy, mapped.action, facts);
    if (real && decision.charge !== undefined && decision.outcome !== "deny") {
      // INVARIANT: nothing ran since `tokens` said yes. Were it broken, no answer is the safe one.
      const taken = this.on.buckets.take(decision.charge, now_ms);
      if (!taken) throw new Error("a rate token was seen and could not be taken");
    }
    return this.#finish(question, decision, () => explain(policy, mapped.action, facts, decision));
  }

  #finish(question: Question, decision: Decision, explanation: () => Explanation): Answer {
    const { request, principal, record } = question;
    const shown = answerOf(decision, record, this.on.clock.now_ms());
    const latency_us = Math.max(0, this.on.clock.monotonic_us() - question.started_us);
    const assurance = ASSURANCE[principal.assurance];
    const response = create(CheckActionResponseSchema, {
      decision: shown.decision,
      reason: shown.reason,
      policyRule: shown.policy_rule,
      decisionLatencyUs: BigInt(latency_us),
      agentIdentityAssurance: assurance,
    });
    if (shown.decision === 4) response.redact = redactRules(decision.findings);
    const entry = decisionEntry(
      {
        action_type: request.actionType,
        action: question.action,
        decision: shown.decision,
        verdict: verdictOf(shown.decision, decision.narrowed),
        latency_us,
        reason: shown.reason,
        policy_rule: shown.policy_rule,
        policy_doc_id: decision.policy_doc_id,
        rule: decision.rule,
        agent_id_claimed: principal.agent_id,
        assurance,
        caller_agent_id: request.callerAgentId?.agentId,
        trace_id: request.traceId,
        span_id: request.spanId,
        org_id: principal.org_id,
        team_id: principal.team_id,
        lineage: lineageOf(record),
        findings: shown.shadowed ? [] : decision.findings,
        ...(shown.shadow === undefined ? {} : { shadow: shown.shadow }),
      },
      this.#key(this.#agent_keys, principal.agent_id, true),
      this.#key(this.#session_keys, request.traceId, false),
      this.on.clock.now_ns(),
    );
    const suspend = decision.deny_action === "suspend_agent" && !shown.shadowed
      ? principal.registry_key
      : undefined;
    return { response, entry, rule: decision.rule, explain: explanation, suspend };
  }

  #refuseIdentity(
    request: CheckActionRequest,
    action: Action["kind"] | "malformed",
    reason: string,
    started_us: number,
  ): Answer {
    const claimed = request.agentId?.agentId ?? "";
    const response = create(CheckActionResponseSchema, {
      decision: 2,
      reason,
      policyRule: IDENTITY_RULE,
      decisionLatencyUs: BigInt(Math.max(0, this.on.clock.monotonic_us() - started_us)),
      agentIdentityAssurance: claimed === "" ? ASSURANCE.unattributed : ASSURANCE.asserted,
    });
    const payload = {
      action,
      action_type: request.actionType,
      agent_id_claimed: clean(claimed),
      agent_identity_assurance: response.agentIdentityAssurance,
      claimed_org_id: clean(request.agentId?.orgId ?? ""),
      credential_token_present: request.credentialToken !== "",
      decision: 2,
      identity_claimed: claimed !== "",
      policy_rule: IDENTITY_RULE,
      reason,
    };
    return {
      response,
      entry: {
        event_type: "A2AImpersonationAttempted",
        timestamp_ns: this.on.clock.now_ns(),
        agent_id: this.#key(this.#agent_keys, claimed, true),
        session_id: this.#key(this.#session_keys, request.traceId, false),
        payload: JSON.stringify(payload),
      },
      rule: undefined,
      explain: () => identityExplanation(reason),
      suspend: undefined,
    };
  }

  /** 16-byte hash of an id text, remembered: agents and sessions ask many times. */
  #key(cache: Map<string, Uint8Array>, id: string, blank_is_zero: boolean): Uint8Array {
    if (id === "" && blank_is_zero) return NO_AGENT;
    const known = cache.get(id);
    if (known !== undefined) return known;
    if (cache.size >= KEY_CACHE_ENTRIES) cache.clear();
    const key = hash16(id);
    cache.set(id, key);
    return key;
  }
}

const NO_AGENT = new Uint8Array(16);
const KEY_CACHE_ENTRIES = 10_000;

/** What the wire shows of a decision, after the enforcement mode. */
interface Shown {
  readonly decision: WireDecision;
  readonly reason: string;
  readonly policy_rule: string;
  /** Observe mode turned a refusal into an allow. */
  readonly shadowed: boolean;
  readonly shadow?: { readonly decision: string; readonly reason: string };
}

/** Refusals that no mode may soften: they are not a policy's opinion (design law 1). */
const NEVER_SHADOWED = new Set(["configuration", "status"]);

function answerOf(decision: Decision, record: AgentRecord | undefined, now_ms: number): Shown {
  const refused = decision.outcome !== "allow";
  const observed = record !== undefined &&
    effectiveEnforcement(record.enforcement, now_ms).mode === "observe" &&
    !NEVER_SHADOWED.has(decision.stage ?? "");
  if (refused && observed) {
    const word = decision.outcome === "deny" ? "deny" : "pending";
    const reason = decision.outcome === "deny" ? decision.reason : APPROVAL_RULE;
    const shadow = { decision: word, reason };
    return { decision: 1, reason: "", policy_rule: "", shadowed: true, shadow };
  }
  if (decision.outcome === "deny") {
    const reason = decision.stage === "configuration"
      ? `${decision.reason}: ${CONFIGURATION_HINT}`
      : decision.reason;
    return { decision: 2, reason, policy_rule: decision.reason, shadowed: false };
  }
  if (decision.outcome === "require_approval") {
    // No approval queue is attached in this release: the reference panics here, we deny by name.
    return {
      decision: 2,
      reason: "approval unavailable",
      policy_rule: APPROVAL_RULE,
      shadowed: false,
    };
  }
  if (decision.redacted !== undefined) {
    return {
      decision: 4,
      reason: "sensitive data detected",
      policy_rule: REDACTION_RULE,
      shadowed: false,
    };
  }
  return { decision: 1, reason: "", policy_rule: "", shadowed: false };
}

const CONFIGURATION_HINT =
  "an operator must start the gateway with `--policy FILE`, or add a document that covers this agent";

function lineageOf(record: AgentRecord | undefined): LineageRecord | undefined {
  if (record === undefined) return undefined;
  return {
    root_key: Uint8Array.fromHex(record.root_key),
    parent_key: record.parent_key === undefined ? undefined : Uint8Array.fromHex(record.parent_key),
    depth: record.depth,
    delegation_reason: record.delegation_reason,
    spawned_by_tool: record.spawned_by_tool,
  };
}

function identityExplanation(reason: string): Explanation {
  return {
    outcome: "deny",
    reason,
    summary:
      `the claimed identity is not proven (${reason}), so no policy was consulted; nothing in a policy can change that`,
    considered: [{ stage: "status", result: "deny", detail: reason }],
    changes: [{
      text:
        "send the credential token that registration returned for exactly this org, team and agent id",
      who: "agent",
    }],
  };
}
