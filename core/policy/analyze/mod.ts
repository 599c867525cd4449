/**
 * Static analysis of a policy: rules that can do nothing, undo each other, refuse or permit
 * everything. No finding without a request that shows it, decided by the one decision function;
 * what could not be settled is said to be so (design B6).
 *
 * @module
 */
import type { RuleRef } from "../../verdict.ts";
import type { PolicySet } from "../compile.ts";
import type { PolicyDocument } from "../document.ts";
import { analyzeCapabilities } from "./capabilities.ts";
import { analyzeConditions } from "./conditions.ts";
import { analyzeDocument } from "./documents.ts";
import type { Analysis } from "./finding.ts";
import { analyzeFilesystem, analyzeNetwork } from "./places.ts";
import { analyzeTools } from "./tools.ts";
import { Workbench } from "./witness.ts";

export type { Analysis, Counterexample, Finding, FindingKind, Undecided } from "./finding.ts";

/**
 * Analyses documents, given in file-name order.
 *
 * @param mode In a single file the document's scope is ignored (contract `policy-and-gateway` §3.3).
 */
export function analyzePolicy(
  documents: readonly PolicyDocument[],
  mode: PolicySet["mode"],
): Analysis {
  const on = new Workbench(documents, mode);
  for (const document of documents) {
    analyzeDocument(on, document);
    analyzeCapabilities(on, document);
    analyzeNetwork(on, document);
    analyzeFilesystem(on, document);
    analyzeTools(on, document);
    analyzeConditions(on, document);
  }
  return {
    findings: on.findings.sort((a, b) => byPlace(a.rule, b.rule)),
    undecided: on.undecided.sort((a, b) => byPlace(a.rule, b.rule)),
    omitted: on.omitted,
  };
}

function byPlace(a: RuleRef, b: RuleRef): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.line - b.line || a.column - b.column;
}
