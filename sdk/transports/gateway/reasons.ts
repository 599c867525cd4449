/**
 * What the gateway says of an answer beside the answer: the rule, where it stands, what would change
 * it. It travels in trailers, because the reference's messages have no place for it.
 *
 * @module
 */
import { fromBinary } from "@bufbuild/protobuf";
import { type Explanation, ExplanationSchema } from "@agent-assembly/proto/admin";
import type { AnswerReasons } from "../../check_client.ts";
import type { RulePlace } from "../../errors.ts";

/** Longest encoded explanation that is looked at, characters of base64. */
const EXPLANATION_CHARS_MAX = 16_384;

/** Reads the trailers of an answer; what cannot be read is as if it were not there. */
export function reasonsOf(
  trailer: (name: string) => string | undefined,
): AnswerReasons | undefined {
  const explanation = explanationOf(trailer("aasm-explanation-bin"));
  const rule = ruleOf(trailer) ?? placeOf(explanation);
  const stage = explanation?.considered.findLast((step) => step.result === "deny")?.stage;
  if (rule === undefined && explanation === undefined) return undefined;
  return {
    ...(rule === undefined ? {} : { rule }),
    ...(stage === undefined ? {} : { stage }),
    changes: (explanation?.changes ?? []).map(({ text, who }) => ({ text, who })),
  };
}

/** Index of the audit entry, when it is a number. */
export function auditIndexOf(text: string | undefined): { readonly audit_index?: bigint } {
  return text === undefined || !/^\d{1,19}$/.test(text) ? {} : { audit_index: BigInt(text) };
}

function ruleOf(trailer: (name: string) => string | undefined): RulePlace | undefined {
  const path = trailer("aasm-rule");
  const at = trailer("aasm-rule-at");
  return path === undefined || at === undefined
    ? undefined
    : { path: decoded(path), at: decoded(at) };
}

function placeOf(explanation: Explanation | undefined): RulePlace | undefined {
  const rule = explanation?.rule;
  return rule && { path: rule.path, at: `${rule.file}:${rule.line}:${rule.column}` };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function explanationOf(text: string | undefined): Explanation | undefined {
  if (text === undefined || text.length > EXPLANATION_CHARS_MAX) return undefined;
  try {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    return fromBinary(ExplanationSchema, bytes);
  } catch {
    return undefined;
  }
}
