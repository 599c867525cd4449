/**
 * From loaded documents to an immutable, indexed policy set.
 *
 * @module
 */
import { ScopeIndex } from "./cascade.ts";
import { type CompiledDocument, compileDocument } from "./compiled_document.ts";
import { builtinScanner, type ScannerFactory } from "./detection.ts";
import type { PolicyDocument } from "./document.ts";
import type { Action } from "../action.ts";
import type { Principal } from "../principal.ts";
import { LIMITS } from "../limits.ts";

export type { CompiledDocument } from "./compiled_document.ts";

/** A set of policy documents, ready to decide. Immutable: a reload makes a new one. */
export interface PolicySet {
  /** `unconfigured` is a set without documents: it denies everything. */
  readonly state: "configured" | "unconfigured";
  readonly mode: "single_file" | "directory";
  /** In file-name order. */
  readonly documents: readonly CompiledDocument[];
  /** Increases with every reload. */
  readonly epoch: number;
  /** What a reader of the policy should know and a loader of single files cannot. */
  readonly warnings: readonly string[];
  readonly index: ScopeIndex;
}

/** How a set is built. */
export interface CompileOptions {
  /** In a single file the document's scope is ignored (contract §3.3). @default "directory" */
  readonly mode?: "single_file" | "directory";
  /** @default 0 */
  readonly epoch?: number;
  /** Builds the scanner of a combination of documents. @default the scanner of this build */
  readonly scannerFor?: ScannerFactory;
}

/**
 * Compiles documents, given in file-name order.
 *
 * @throws {RangeError} For more documents than `LIMITS.policy_documents`, or several in
 * `single_file` mode.
 */
export function compilePolicySet(
  documents: readonly PolicyDocument[],
  options: CompileOptions = {},
): PolicySet {
  const { mode = "directory", epoch = 0, scannerFor = builtinScanner } = options;
  if (documents.length > LIMITS.policy_documents) {
    throw new RangeError(
      `cannot compile ${documents.length} policy documents: at most ${LIMITS.policy_documents}`,
    );
  }
  if (mode === "single_file" && documents.length > 1) {
    throw new RangeError("cannot compile several documents as a single file: load a directory");
  }
  const compiled = documents.map(compileDocument);
  return Object.freeze({
    state: compiled.length === 0 ? "unconfigured" : "configured",
    mode,
    documents: Object.freeze(compiled),
    epoch,
    warnings: Object.freeze(compiled.flatMap((by) => warningsOf(by, mode))),
    index: new ScopeIndex(compiled, mode === "single_file", scannerFor),
  });
}

/** Warnings listed for one kind of oddity in one document; the rest are counted. */
const WARNINGS_PER_DOCUMENT = 8;

function warningsOf(by: CompiledDocument, mode: PolicySet["mode"]): string[] {
  const { document, hosts } = by;
  const warnings: string[] = [];
  if (mode === "single_file" && document.scope.tier !== "global") {
    const { tier, id } = document.scope;
    const line = document.scope_at?.line ?? 1;
    warnings.push(
      `${document.file}:${line}: scope \`${tier}:${id}\` is ignored: a single policy file ` +
        "governs every agent; load a directory to use scopes",
    );
  }
  const inert = hosts?.inert ?? [];
  for (const entry of inert.slice(0, WARNINGS_PER_DOCUMENT)) {
    warnings.push(
      `${document.file}:${document.network?.at.line ?? 1}: network.allowlist entry \`${entry}\` ` +
        "can never match: an entry is a host, `*.domain` or `*`, without scheme, port or path",
    );
  }
  if (inert.length > WARNINGS_PER_DOCUMENT) {
    warnings.push(
      `${document.file}: ${inert.length - WARNINGS_PER_DOCUMENT} further network.allowlist ` +
        "entries can never match",
    );
  }
  return warnings;
}

/** The documents that govern an action of a principal, widest first; empty when none does. */
export function applicableDocuments(
  policy: PolicySet,
  principal: Principal,
  action: Action,
): readonly CompiledDocument[] {
  return policy.index.cascade(principal, action)?.documents ?? [];
}
