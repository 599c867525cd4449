/**
 * What the engine concludes about one question, before it is put on the wire: policy's decision
 * and what ledger, approvals, detectors and operators added to it.
 *
 * @module
 */
import type { Decision } from "../../core/verdict.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import { effectiveEnforcement } from "../registry/enforcement.ts";
import type { Because } from "./ruling_explanation.ts";
import type { WireDecision } from "./evidence.ts";
import type { AnomalyVerdict, Reserve } from "./parts.ts";

/** Rule label of approvals. */
export const APPROVAL_RULE = "requires_approval";
/** Rule label of a redaction. */
export const REDACTION_RULE = "data_pattern_scan";
/** Rule label of the anomaly detectors. */
export const ANOMALY_RULE = "anomaly_detection";

/** A reservation that stands. */
export type Reservation = Extract<Reserve, { outcome: "reserved" }>;

/** The approval that a call was given, or waits for. */
export interface ApprovalMark {
  readonly request_id: string;
  /** Only while it waits. */
  readonly resume_token?: string;
}

/** A conclusion. `decision` is what explains it and what replay re-decides. */
export interface Ruling {
  readonly outcome: "allow" | "deny" | "pending";
  /** Empty for an allow. */
  readonly reason: string;
  readonly policy_rule: string;
  readonly decision: Decision;
  readonly approval?: ApprovalMark;
  readonly reservation?: Reservation;
  readonly anomaly?: AnomalyVerdict;
  /** The refusal asks for the agent's suspension. */
  readonly suspend: boolean;
  /** Observe mode softens a policy's opinion, never an operator's stop or a missing control. */
  readonly firm: boolean;
  /** Set when another part than policy decided. */
  readonly because?: Because;
  /** Microseconds spent waiting for a person; no part of the decision's latency. */
  readonly waited_us: number;
}

const CONFIGURATION_HINT =
  "an operator must start the gateway with `--policy FILE`, or add a document that covers this agent";

/** Refusals that no mode may soften: they are not a policy's opinion (design law 1). */
const FIRM_STAGES: ReadonlySet<string> = new Set(["configuration", "status"]);

/** The ruling when policy refuses. */
export function refusedByPolicy(decision: Decision): Ruling {
  const { stage = "", reason } = decision;
  return {
    outcome: "deny",
    reason: stage === "configuration" ? `${reason}: ${CONFIGURATION_HINT}` : reason,
    policy_rule: reason,
    decision,
    suspend: decision.deny_action === "suspend_agent",
    firm: FIRM_STAGES.has(stage),
    waited_us: 0,
  };
}

/** A refusal by another part than policy. */
export function refused(
  decision: Decision,
  reason: string,
  policy_rule: string,
  more: Partial<Ruling> = {},
): Ruling {
  return {
    outcome: "deny",
    reason,
    policy_rule,
    decision,
    suspend: false,
    firm: false,
    waited_us: 0,
    ...more,
  };
}

/** The ruling when nothing stands in the way. A redaction keeps its own label on the wire. */
export function allowed(decision: Decision, more: Partial<Ruling> = {}): Ruling {
  return {
    outcome: "allow",
    reason: "",
    policy_rule: more.approval === undefined ? "" : APPROVAL_RULE,
    decision,
    suspend: false,
    firm: false,
    waited_us: 0,
    ...more,
  };
}

/** What the wire shows of a ruling, after the enforcement mode. */
export interface Shown {
  readonly decision: WireDecision;
  readonly reason: string;
  readonly policy_rule: string;
  /** Observe mode turned a refusal into an allow. */
  readonly shadow?: { readonly decision: string; readonly reason: string };
}

/** Applies the agent's enforcement mode (contract `policy-and-gateway` §3.6). */
export function shownOf(
  ruling: Ruling,
  record: AgentRecord | undefined,
  now_ms: number,
): Shown {
  const { outcome, reason, policy_rule, decision } = ruling;
  if (outcome !== "allow" && !ruling.firm && isObserved(record, now_ms)) {
    const word = outcome === "deny" ? "deny" : "pending";
    const shadow = { decision: word, reason: outcome === "deny" ? reason : APPROVAL_RULE };
    return { decision: 1, reason: "", policy_rule: "", shadow };
  }
  if (outcome === "deny") return { decision: 2, reason, policy_rule };
  if (outcome === "pending") return { decision: 3, reason, policy_rule };
  if (decision.redacted !== undefined) {
    return { decision: 4, reason: "sensitive data detected", policy_rule: REDACTION_RULE };
  }
  return { decision: 1, reason: "", policy_rule };
}

/** Whether refusals of this agent are only noted. */
export function isObserved(record: AgentRecord | undefined, now_ms: number): boolean {
  return record !== undefined &&
    effectiveEnforcement(record.enforcement, now_ms).mode === "observe";
}
