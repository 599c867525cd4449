/**
 * The evidence of one decision made here, as it goes into the spool and from there to the gateway's
 * audit log. Names and verdicts; nothing an agent put into a call.
 *
 * @module
 */
import { create, toBinary } from "@bufbuild/protobuf";
import type { Action } from "../../core/action.ts";
import { clean } from "../../core/audit/clean_text.ts";
import type { Decision } from "../../core/verdict.ts";
import { type policy, runtime } from "../../proto/mod.ts";
import { type ContentTags, keptNames } from "./content.ts";
import type { Snapshot } from "./snapshot.ts";

/** Why a decision was made here. */
export type Because =
  | "policy"
  | "operator"
  | "gateway_away"
  | "gateway_distrusted"
  | "local_rules"
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

/** The bytes of a decision's record. */
export function decisionBytes(decided: Decided, tags: ContentTags): Uint8Array {
  const { query, response, because, snapshot, action, decision, lease_id } = decided;
  const rule = decision?.rule;
  return toBinary(
    runtime.RuntimeDecisionSchema,
    create(runtime.RuntimeDecisionSchema, {
      decidedAtUnixMs: BigInt(Math.max(0, Math.trunc(decided.decided_at_ms))),
      policyDigest: snapshot?.policy_digest ?? "",
      epoch: BigInt(snapshot?.epoch ?? 0),
      decision: response.decision,
      reason: response.reason,
      policyRule: response.policyRule,
      policyDocId: decision?.policy_doc_id ?? "",
      ...(rule === undefined ? {} : {
        rule: { path: rule.path, file: rule.file, line: rule.line, column: rule.column },
      }),
      actionType: query.actionType,
      action: keptNames(query.context, action),
      contentTag: tags.of(action),
      traceId: clean(query.traceId),
      spanId: clean(query.spanId),
      callerAgentId: clean(query.callerAgentId?.agentId ?? ""),
      narrowed: decision?.narrowed ?? false,
      latencyUs: Number(response.decisionLatencyUs),
      findings: (decision?.findings ?? []).slice(0, FINDINGS_MAX).map((finding) => ({
        kind: finding.source === "locale" ? finding.category : finding.kind,
        offset: BigInt(finding.offset),
      })),
      leaseId: lease_id ?? "",
      because,
    }),
  );
}

/** The bytes that say: the decision at `seq` was not given. */
export function withdrawalBytes(seq: number): Uint8Array {
  return toBinary(
    runtime.RuntimeDecisionSchema,
    create(runtime.RuntimeDecisionSchema, { withdrawsSeq: BigInt(seq) }),
  );
}
