/**
 * From a ruling to the answer on the wire and the evidence that must be durable before it leaves.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import type { Action } from "../../core/action.ts";
import { type EntryDraft, hash16 } from "../../core/audit/entry.ts";
import type { Explanation, RuleRef } from "../../core/verdict.ts";
import { verdictOf } from "../../proto/mapping.ts";
import {
  type CheckActionRequest,
  type CheckActionResponse,
  CheckActionResponseSchema,
} from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { Clock } from "../clock.ts";
import { clean, decisionEntry, type LineageRecord } from "./evidence.ts";
import type { Question } from "./question.ts";
import { type Ruling, type Shown, shownOf } from "./ruling.ts";
import { redactRules } from "../../proto/redact_rules.ts";

/** Rule label of the identity circuit (contract `wire` §1.3). */
export const IDENTITY_RULE = "a2a_identity_verification";

const ASSURANCE = { unattributed: 1, asserted: 2, bound: 3 } as const;

/** A finished answer with what must be durable before it is sent. */
export interface Answer {
  readonly response: CheckActionResponse;
  readonly entry: EntryDraft;
  /** The rule that decided, when one did. */
  readonly rule: RuleRef | undefined;
  /** Computes the explanation, on demand: it re-decides and is dear. */
  readonly explain: () => Explanation;
  /** Registry key of an agent that is to be suspended for this, and why. */
  readonly suspend: { readonly key: string; readonly cause: "budget" | "anomaly" } | undefined;
  /** Presented with the same call once a person has agreed. */
  readonly resume_token?: string;
  /** What the caller may settle or release. */
  readonly reservation_id?: string;
  /** Writes beside the log that the answer waits for. */
  readonly durable: readonly Promise<void>[];
  /** Undoes what the answer took, when it cannot be sent. */
  readonly abandon: () => void;
}

const NOTHING_TO_AWAIT: readonly Promise<void>[] = Object.freeze([]);
const nothing = () => {};

/** Writes answers. Remembers the 16-byte keys of agents and sessions. */
export class AnswerWriter {
  readonly #agent_keys = new Map<string, Uint8Array>();
  readonly #session_keys = new Map<string, Uint8Array>();

  constructor(private readonly clock: Clock) {}

  /** The answer to a question that was ruled on. */
  write(question: Question, ruling: Ruling, explain: () => Explanation): Answer {
    const { principal, record } = question;
    const shown = shownOf(ruling, record, this.clock.now_ms());
    const shadowed = shown.shadow !== undefined;
    const elapsed_us = this.clock.monotonic_us() - question.started_us - ruling.waited_us;
    const latency_us = Math.max(0, elapsed_us);
    const response = create(CheckActionResponseSchema, {
      decision: shown.decision,
      reason: shown.reason,
      policyRule: shown.policy_rule,
      decisionLatencyUs: BigInt(latency_us),
      agentIdentityAssurance: ASSURANCE[principal.assurance],
    });
    if (ruling.approval !== undefined) response.approvalId = ruling.approval.request_id;
    if (shown.decision === 4) response.redact = redactRules(ruling.decision.findings);
    const { reservation, approval } = ruling;
    const suspends = ruling.suspend && !shadowed && principal.registry_key !== undefined;
    return {
      response,
      entry: this.#entry(question, ruling, shown, latency_us),
      rule: ruling.decision.rule,
      explain,
      suspend: suspends && principal.registry_key !== undefined
        ? {
          key: principal.registry_key,
          cause: ruling.anomaly === undefined ? "budget" : "anomaly",
        }
        : undefined,
      ...(approval?.resume_token !== undefined && { resume_token: approval.resume_token }),
      ...(reservation !== undefined && { reservation_id: reservation.reservation_id }),
      durable: reservation === undefined ? NOTHING_TO_AWAIT : [reservation.durable],
      abandon: reservation?.release ?? nothing,
    };
  }

  #entry(question: Question, ruling: Ruling, shown: Shown, latency_us: number): EntryDraft {
    const { request, principal } = question;
    const { decision, anomaly, approval, reservation } = ruling;
    return decisionEntry(
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
        assurance: ASSURANCE[principal.assurance],
        caller_agent_id: request.callerAgentId?.agentId,
        trace_id: request.traceId,
        span_id: request.spanId,
        org_id: principal.org_id,
        team_id: principal.team_id,
        lineage: lineageOf(question.record),
        findings: shown.shadow !== undefined ? [] : decision.findings,
        ...(shown.shadow !== undefined && { shadow: shown.shadow }),
        ...(anomaly !== undefined && { anomaly }),
        ...(approval !== undefined && { approval_id: approval.request_id }),
        ...(reservation !== undefined && {
          reservation: {
            id: reservation.reservation_id,
            micro_usd: reservation.micro_usd,
          },
        }),
      },
      this.#key(this.#agent_keys, principal.agent_id, true),
      this.#key(this.#session_keys, request.traceId, false),
      this.clock.now_ns(),
    );
  }

  /** The answer when the claimed identity is not believed. */
  refuseIdentity(
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
      decisionLatencyUs: BigInt(Math.max(0, this.clock.monotonic_us() - started_us)),
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
        timestamp_ns: this.clock.now_ns(),
        agent_id: this.#key(this.#agent_keys, claimed, true),
        session_id: this.#key(this.#session_keys, request.traceId, false),
        payload: JSON.stringify(payload),
      },
      rule: undefined,
      explain: () => identityExplanation(reason),
      suspend: undefined,
      durable: NOTHING_TO_AWAIT,
      abandon: nothing,
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
