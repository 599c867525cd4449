/**
 * What one stage answers when it stops an action, and how a rule of a policy file is cited.
 *
 * @module
 */
import type { RuleRef, Stage } from "../verdict.ts";
import type { PolicyDocument } from "./document.ts";
import type { Position } from "./position.ts";
import type { CompiledDocument } from "./compiled_document.ts";

/** A refusal by one stage. */
export interface Denial {
  readonly stage: Stage;
  /** Exact contract text. */
  readonly reason: string;
  /** Absent when no document was involved, as for a suspended agent. */
  readonly by?: CompiledDocument;
  readonly rule?: RuleRef;
  /** True only for an exceeded budget whose document says `action_on_exceed: suspend`. */
  readonly suspend?: boolean;
}

/** Cites a rule: `path` is dotted, e.g. `tools.search.allow`. */
export function ruleAt(document: PolicyDocument, at: Position, path: string): RuleRef {
  return {
    file: document.file,
    line: at.line,
    column: at.column,
    path,
    policy_doc_id: document.digest,
  };
}
