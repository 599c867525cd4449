/**
 * A question with everything its answer depends on, in a form that edits can be tried on.
 *
 * @module
 */
import type { Action } from "../../action.ts";
import type { Change, Decision, RuleRef } from "../../verdict.ts";
import { applicableDocuments, compilePolicySet, type PolicySet } from "../compile.ts";
import { decide, type Facts } from "../decide.ts";
import type { ScannerFactory } from "../detection.ts";
import type { PolicyDocument, Scope } from "../document.ts";

/** The documents that govern one action, the action and the facts. Immutable. */
export interface World {
  readonly mode: PolicySet["mode"];
  /** Only the governing documents, in file-name order: others cannot change the answer. */
  readonly documents: readonly PolicyDocument[];
  readonly action: Action;
  readonly facts: Facts;
  readonly scannerFor: ScannerFactory;
}

/** A change that can be tried: on a policy, on the request, or on the state of the world. */
export interface Edit {
  readonly change: Change;
  readonly apply: (world: World) => World;
}

/** The world of one question. Scanners are kept, so that trying edits does not rebuild them. */
export function worldOf(policy: PolicySet, action: Action, facts: Facts): World {
  const governing = [...applicableDocuments(policy, facts.principal, action)]
    .sort((a, b) => a.index - b.index);
  const kept = new Map<string, ReturnType<ScannerFactory>>();
  return {
    mode: policy.mode,
    documents: governing.map((by) => by.document),
    action,
    facts,
    scannerFor: (rules) => {
      const key = JSON.stringify(rules);
      const scanner = kept.get(key) ?? policy.index.scannerFor(rules);
      kept.set(key, scanner);
      return scanner;
    },
  };
}

/** Decides in a world with the one decision function. */
export function decideIn(world: World): Decision {
  const { mode, documents, action, facts, scannerFor } = world;
  return decide(compilePolicySet(documents, { mode, scannerFor }), action, facts);
}

/** A governing document and its place in the world, which edits keep. */
export interface Place {
  readonly at: number;
  readonly document: PolicyDocument;
}

/** The document a rule stands in. */
export function placeOf(world: World, rule: RuleRef | undefined): Place | undefined {
  if (rule === undefined) return undefined;
  const at = world.documents.findIndex((document) =>
    document.file === rule.file && document.digest === rule.policy_doc_id
  );
  const document = world.documents[at];
  return document === undefined ? undefined : { at, document };
}

/** A change of one document: what to say of it, and what it makes of the document. */
export function documentEdit(
  place: Place,
  change: Omit<Change, "who">,
  edit: (document: PolicyDocument) => PolicyDocument,
): Edit {
  return {
    change: { ...change, who: roleFor(place.document.scope) },
    apply: (world) => ({
      ...world,
      documents: world.documents.map((document, at) => at === place.at ? edit(document) : document),
    }),
  };
}

/** Who may change a document of a scope (contract §11.1). */
export function roleFor(scope: Scope): string {
  switch (scope.tier) {
    case "global":
    case "org":
      return "org_admin";
    case "team":
      return "team_admin";
    case "agent":
    case "tool":
      return "developer";
  }
}

/** The same question asked later; rate buckets have refilled in between. */
export function waitUntil(world: World, now_ms: number): World {
  const waited_ms = Math.max(0, now_ms - world.facts.now_ms);
  const { rateTokens } = world.facts;
  return {
    ...world,
    facts: {
      ...world.facts,
      now_ms,
      rateTokens: (charge) => {
        const refill = waited_ms * charge.limit / charge.window_ms;
        return Math.min(charge.limit, rateTokens(charge) + refill);
      },
    },
  };
}
