/**
 * The evidence of one decision made here, as it goes into the spool and from there to the gateway's
 * audit log. Names and verdicts; nothing an agent put into a call.
 *
 * @module
 */
import { create, toBinary } from "@bufbuild/protobuf";
import type { Action } from "../../core/action.ts";
import type { Decision } from "../../core/verdict.ts";
import { type policy, runtime } from "../../proto/mod.ts";
import { type ContentTags, keptNameBytes, keptText } from "./content.ts";
import { Fields } from "./fields.ts";
import type { Snapshot } from "./snapshot.ts";

/** Why a decision was made here. */
export type Because =
  | "policy"
  | "operator"
  | "gateway_away"
  | "gateway_refused"
  | "gateway_distrusted"
  | "local_rules"
  | "unanswered"
  | "unconfigured"
  | "client_ignores_redaction"
  | "overloaded"
  | "fault";

/** What is on record of one decision. */
export interface Decided {
  readonly query: policy.CheckActionRequest;
  readonly response: policy.CheckActionResponse;
  readonly because: Because;
  /** By the gateway's clock as far as it is known. */
  readonly decided_at_ms: number;
  /** Present when policy decided. */
  readonly snapshot?: Snapshot;
  readonly action?: Action;
  readonly decision?: Decision;
  readonly lease_id?: string;
}

/** Findings on record of one decision; a text with more is redacted whole anyway. */
const FINDINGS_MAX = 100;

/** Where records are written before they are copied out: one at a time, and nothing secret is in one. */
const SCRATCH = new Uint8Array(16_384);

/**
 * The bytes of a decision's record. Written field by field: it is done for every answer, and the
 * generated code takes three times as long. A test holds the two equal.
 */
export function decisionBytes(decided: Decided, tags: ContentTags): Uint8Array {
  const { query, response, snapshot, action, decision } = decided;
  const to = new Fields(SCRATCH);
  to.number(1, Math.max(0, Math.trunc(decided.decided_at_ms)));
  to.text(2, snapshot?.policy_digest ?? "");
  to.number(3, snapshot?.epoch ?? 0);
  to.number(4, response.decision);
  // A gateway may repeat what it was asked.
  to.text(5, keptText(response.reason));
  to.text(6, response.policyRule);
  to.text(7, decision?.policy_doc_id ?? "");
  const rule = decision?.rule;
  if (rule !== undefined) {
    const place = new Fields();
    place.text(1, rule.path);
    place.text(2, rule.file);
    place.number(3, rule.line);
    place.number(4, rule.column);
    to.bytes(8, place.finish(), true);
  }
  to.number(9, query.actionType);
  to.bytes(10, keptNameBytes(query.context, action), true);
  to.bytes(11, tags.of(action));
  to.text(12, keptText(query.traceId));
  to.text(13, keptText(query.spanId));
  to.text(14, keptText(query.callerAgentId?.agentId ?? ""));
  to.number(15, decision?.narrowed === true ? 1 : 0);
  to.number(16, Number(response.decisionLatencyUs));
  for (const finding of (decision?.findings ?? []).slice(0, FINDINGS_MAX)) {
    const found = new Fields();
    found.text(1, finding.source === "locale" ? finding.category : finding.kind);
    found.number(2, finding.offset);
    to.bytes(17, found.finish(), true);
  }
  to.text(18, decided.lease_id ?? "");
  to.text(19, decided.because);
  return to.finish();
}

/** The bytes that say: the decision at `seq` was not given. */
export function withdrawalBytes(seq: number): Uint8Array {
  return toBinary(
    runtime.RuntimeDecisionSchema,
    create(runtime.RuntimeDecisionSchema, { withdrawsSeq: BigInt(seq) }),
  );
}
