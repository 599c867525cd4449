/**
 * The domain's explanation as `assembly.admin.v1.Explanation`, both ways.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import {
  type Change,
  type Considered,
  EXPLAINED_STAGES,
  type ExplainedStage,
  type Explanation,
  type RuleRef,
} from "@agent-assembly/core/verdict";
import {
  type Explanation as WireExplanation,
  ExplanationSchema,
  type RuleRef as WireRuleRef,
  RuleRefSchema,
} from "./gen/assembly/admin/v1/admin_pb.ts";
import { received, type WireProblem } from "./problem.ts";

/** An explanation as `assembly.admin.v1` carries it. */
export function explanationToWire(explanation: Explanation): WireExplanation {
  return create(ExplanationSchema, {
    outcome: explanation.outcome,
    reason: explanation.reason,
    summary: explanation.summary,
    ...ruleToWire(explanation.rule),
    considered: explanation.considered.map((step) => ({
      stage: step.stage,
      result: step.result,
      detail: step.detail,
      ...ruleToWire(step.rule),
    })),
    changes: explanation.changes.map((change) => ({
      text: change.text,
      yaml: change.yaml ?? "",
      who: change.who,
      ...ruleToWire(change.rule),
    })),
  });
}

function ruleToWire(rule: RuleRef | undefined): { readonly rule?: WireRuleRef } {
  if (rule === undefined) return {};
  return {
    rule: create(RuleRefSchema, {
      file: rule.file,
      line: rule.line,
      column: rule.column,
      path: rule.path,
      policyDocId: rule.policy_doc_id,
    }),
  };
}

const OUTCOMES: readonly Explanation["outcome"][] = [
  "allow",
  "deny",
  "require_approval",
  "redact",
];
const RESULTS: readonly Considered["result"][] = [
  "pass",
  "deny",
  "require_approval",
  "redact",
  "not_applicable",
];

/**
 * The explanation that a gateway sent.
 *
 * @returns It, or the field whose word this version does not know.
 */
export function explanationFromWire(
  message: WireExplanation,
): { readonly ok: true; readonly explanation: Explanation } | WireProblem {
  const outcome = oneOf(OUTCOMES, message.outcome);
  if (outcome === undefined) return unknownWord("outcome", OUTCOMES, message.outcome);
  const considered: Considered[] = [];
  for (const [index, step] of message.considered.entries()) {
    const stage = oneOf<ExplainedStage>(EXPLAINED_STAGES, step.stage);
    if (stage === undefined) {
      return unknownWord(`considered[${index}].stage`, EXPLAINED_STAGES, step.stage);
    }
    const result = oneOf(RESULTS, step.result);
    if (result === undefined) {
      return unknownWord(`considered[${index}].result`, RESULTS, step.result);
    }
    considered.push({ stage, result, detail: step.detail, ...ruleFromWire(step.rule) });
  }
  const changes = message.changes.map((change): Change => ({
    text: change.text,
    who: change.who,
    ...(change.yaml === "" ? {} : { yaml: change.yaml }),
    ...ruleFromWire(change.rule),
  }));
  const { reason, summary } = message;
  return {
    ok: true,
    explanation: { outcome, reason, summary, considered, changes, ...ruleFromWire(message.rule) },
  };
}

function ruleFromWire(rule: WireRuleRef | undefined): { readonly rule?: RuleRef } {
  if (rule === undefined) return {};
  const { file, line, column, path, policyDocId } = rule;
  return { rule: { file, line, column, path, policy_doc_id: policyDocId } };
}

function oneOf<W extends string>(words: readonly W[], text: string): W | undefined {
  return words.find((word) => word === text);
}

function unknownWord(field: string, words: readonly string[], text: string): WireProblem {
  return {
    ok: false,
    field,
    message: `expected one of ${words.join(", ")}, received ${received(text)}`,
  };
}
