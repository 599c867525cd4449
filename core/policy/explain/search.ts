/**
 * The smallest change that turns a verdict into an allow, found by trying: propose an edit for the
 * refusal at hand, decide again in the edited world, go on with what refuses next, and finally
 * leave out every edit that turned out not to be needed.
 *
 * @module
 */
import type { Decision } from "../../verdict.ts";
import { ENGINE_FAULT, NO_APPLICABLE_POLICY } from "../decide.ts";
import type { PolicyDocument } from "../document.ts";
import {
  approvalEdits,
  budgetEdits,
  rateEdits,
  scanEdits,
  scheduleEdits,
  statusEdits,
} from "./moment_edits.ts";
import type { Quote } from "./quote.ts";
import { capabilityEdits, filesystemEdits, networkEdits, toolEdits } from "./structure_edits.ts";
import { decideIn, type Edit, placeOf, type World } from "./world.ts";

/** Edits tried one after the other before giving up. */
export const CHANGES_MAX = 8;

/** What the search found. */
export interface SearchResult {
  /** In the order in which they are applied. */
  readonly edits: readonly Edit[];
  /** Whether the edits together were verified to give an allow. */
  readonly complete: boolean;
}

/**
 * Searches from a verdict.
 *
 * @param decision The verdict of `world`; an allow needs no edit.
 */
export function searchChanges(world: World, decision: Decision, quote: Quote): SearchResult {
  const edits: Edit[] = [];
  let tried = world;
  let verdict = decision;
  while (verdict.outcome !== "allow" && edits.length < CHANGES_MAX) {
    const step = firstUseful(tried, verdict, quote);
    if (step === undefined) break;
    edits.push(step.edit);
    tried = step.world;
    verdict = step.verdict;
  }
  const complete = verdict.outcome === "allow";
  return { edits: complete ? withoutNeedless(world, edits) : edits, complete };
}

interface Step {
  readonly edit: Edit;
  readonly world: World;
  readonly verdict: Decision;
}

function firstUseful(world: World, verdict: Decision, quote: Quote): Step | undefined {
  for (const edit of candidates(world, verdict, quote)) {
    const edited = edit.apply(world);
    const next = decideIn(edited);
    const moved = next.outcome === "allow" || next.stage !== verdict.stage ||
      next.reason !== verdict.reason || next.rule?.path !== verdict.rule?.path ||
      next.rule?.file !== verdict.rule?.file || edited.action !== world.action ||
      // A raised limit may still need a wait: the same refusal, one step nearer.
      (verdict.stage === "rate_limit" && edited.documents !== world.documents);
    if (moved && next.reason !== ENGINE_FAULT) return { edit, world: edited, verdict: next };
  }
  return undefined;
}

function candidates(world: World, verdict: Decision, quote: Quote): Edit[] {
  const place = placeOf(world, verdict.rule);
  const path = verdict.rule?.path ?? "";
  switch (verdict.stage) {
    case "configuration":
      return verdict.reason === ENGINE_FAULT ? [] : [addDocument(verdict)];
    case "status":
      return statusEdits(world);
    case "scan":
      return scanEdits(world, place, verdict);
    case undefined:
      return [];
  }
  if (place === undefined) return [];
  switch (verdict.stage) {
    case "schedule":
      return scheduleEdits(world, place);
    case "network":
      return networkEdits(world, place, quote);
    case "capability":
      return capabilityEdits(world, place, path, quote);
    case "filesystem":
      return filesystemEdits(world, place, quote);
    case "tool":
      return toolEdits(world, place, quote);
    case "rate_limit":
      return rateEdits(world, place, path, quote);
    case "approval":
      return approvalEdits(world, place, quote);
    case "budget":
      return budgetEdits(world, place, path);
  }
}

/** The document that says nothing. Everything it does not forbid is allowed (contract §3.3). */
const BLANK: PolicyDocument = {
  file: "policy.yaml",
  form: "flat",
  scope: { tier: "global" },
  tools: new Map(),
  approval_timeout_secs: 300,
  digest: "",
};

function addDocument(verdict: Decision): Edit {
  const change = verdict.reason === NO_APPLICABLE_POLICY
    ? {
      text: "add a document with `scope: global` to the policy directory, or one scoped to this " +
        "agent, its team or its organisation",
      yaml: '{"scope": "global"}',
    }
    : {
      text: "configure a policy: start the gateway with a policy file or directory; the document " +
        "`{}` is valid and allows whatever no rule forbids",
      yaml: "{}",
    };
  return {
    change: { ...change, who: "org_admin" },
    apply: (world) => ({ ...world, documents: [...world.documents, BLANK] }),
  };
}

/** Drops each edit without which the rest still gives an allow. */
function withoutNeedless(world: World, edits: readonly Edit[]): readonly Edit[] {
  let kept = edits;
  for (const edit of edits) {
    const fewer = kept.filter((other) => other !== edit);
    if (decideIn(applyAll(world, fewer)).outcome === "allow") kept = fewer;
  }
  return kept;
}

/** Applies edits in order. */
export function applyAll(world: World, edits: readonly Edit[]): World {
  return edits.reduce((edited, edit) => edit.apply(edited), world);
}
