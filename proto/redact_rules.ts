/**
 * Redaction instructions of an answer (contract `wire` §1.3).
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import type { Finding } from "@agent-assembly/core/scanner/finding";
import {
  type RedactInstructions,
  RedactInstructionsSchema,
  RedactRuleSchema,
} from "./gen/assembly/policy/v1/policy_pb.ts";

/** Redaction instructions on one answer; with more findings one instruction covers the whole text. */
const REDACT_RULES_MAX = 1_000;

/** One instruction per finding: path `$.<Kind>`, replacement `[REDACTED]`. */
export function redactRules(findings: readonly Finding[]): RedactInstructions {
  const paths = findings.length > REDACT_RULES_MAX
    ? ["$"]
    : findings.map((finding) =>
      `$.${finding.source === "locale" ? finding.category : finding.kind}`
    );
  return create(RedactInstructionsSchema, {
    rules: paths.map((fieldPath) =>
      create(RedactRuleSchema, { fieldPath, replacement: "[REDACTED]" })
    ),
  });
}
