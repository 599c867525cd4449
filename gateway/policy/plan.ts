/**
 * What a change would make of the policy: the whole new set, checked together, and which documents
 * it touches.
 *
 * @module
 */
import type { PolicyDocument, Scope } from "../../core/policy/document.ts";
import { type NamedDocument, semanticDiff } from "../../core/policy/history/semantic_diff.ts";
import type { RuleChange } from "../../core/policy/history/semantic_diff.ts";
import {
  digestOfTexts,
  nameProblem,
  type PolicyText,
} from "../../core/policy/history/policy_set.ts";
import { LIMITS } from "../../core/limits.ts";
import { type LoadedPolicy, loadPolicyTexts, PolicyLoadError } from "../engine/policy_files.ts";
import { POLICY_CHANGE_LIMITS } from "./limits.ts";
import { scopeText } from "./open.ts";

/** A file to be put, with the scope its sender believes it to have. */
export interface PutFile extends PolicyText {
  /** Absent: not stated. */
  readonly stated_scope?: string;
}

/** What is to change. */
export interface WantedChange {
  readonly put: readonly PutFile[];
  readonly remove: readonly string[];
  /** Remove whatever is not put. */
  readonly replace_all: boolean;
}

/** One document that a change creates, changes or removes. */
export interface TouchedDocument {
  readonly name: string;
  readonly before?: PolicyDocument;
  readonly after?: PolicyDocument;
}

/** A checked change. */
export interface Plan {
  readonly next: LoadedPolicy;
  /** Digest of the new set. */
  readonly digest: string;
  readonly touched: readonly TouchedDocument[];
  readonly changes: readonly RuleChange[];
}

/** Why a change cannot be planned. */
export class PlanError extends Error {
  override readonly name = "PlanError";
  readonly code: "invalid_field" | "invalid_policy" | "scope_mismatch";

  constructor(code: PlanError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Plans a change of the set in force.
 *
 * @param shown Name of a single file in explanations.
 * @throws {PlanError} and nothing of it counts.
 */
export function planChange(current: LoadedPolicy, wanted: WantedChange, shown?: string): Plan {
  const { put, remove, replace_all } = wanted;
  refuseNames(current, wanted);
  const gone = new Set(replace_all ? current.texts.map(({ name }) => name) : remove);
  const merged = new Map<string, PolicyText>();
  for (const text of current.texts) if (!gone.has(text.name)) merged.set(text.name, text);
  for (const { name, content } of put) merged.set(name, { name, content });
  const texts = [...merged.values()].sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  if (texts.length === 0) {
    throw new PlanError(
      "invalid_policy",
      "no document would be left, which would deny everything: put one that says so instead",
    );
  }
  const [only] = current.texts;
  if (current.mode === "single_file" && (texts.length > 1 || texts[0]?.name !== only?.name)) {
    throw new PlanError(
      "invalid_field",
      `files: this gateway was started on a single policy file: put exactly \`${only?.name}\`, or ` +
        "start it on a directory",
    );
  }
  if (texts.length > LIMITS.policy_documents) {
    throw new PlanError("invalid_field", `files: more than ${LIMITS.policy_documents} documents`);
  }
  const next = loaded(current, texts, shown);
  refuseStatedScopes(put, next);
  return planOf(current, next);
}

/** The plan of replacing the set in force by another whole one. */
export function planOf(current: LoadedPolicy, next: LoadedPolicy): Plan {
  const [before, after] = [named(current), named(next)];
  return {
    next,
    digest: digestOfTexts(next.mode, next.texts),
    touched: touched(current, next),
    changes: semanticDiff(before, after),
  };
}

/** The documents of a set by file name. */
export function named({ texts, documents }: LoadedPolicy): NamedDocument[] {
  return texts.flatMap(({ name }, at) => {
    const document = documents[at];
    return document === undefined ? [] : [{ name, document }];
  });
}

/** Whom a document of a set really governs: in a single file its scope counts for nothing. */
export function governs(mode: LoadedPolicy["mode"], document: PolicyDocument): Scope {
  return mode === "single_file" ? { tier: "global" } : document.scope;
}

function loaded(
  current: LoadedPolicy,
  texts: readonly PolicyText[],
  shown: string | undefined,
): LoadedPolicy {
  try {
    return loadPolicyTexts(current.mode, texts, shown);
  } catch (error) {
    if (!(error instanceof PolicyLoadError)) throw error;
    throw new PlanError("invalid_policy", `invalid policy\n${error.message}`);
  }
}

function refuseNames(current: LoadedPolicy, { put, remove }: WantedChange): void {
  if (put.length + remove.length > POLICY_CHANGE_LIMITS.changed_files) {
    throw new PlanError(
      "invalid_field",
      `files: \`${
        put.length + remove.length
      }\` in one change, at most ${POLICY_CHANGE_LIMITS.changed_files}`,
    );
  }
  const known = new Set(current.texts.map(({ name }) => name));
  const folded = new Map([...known].map((name) => [name.toLowerCase(), name]));
  const seen = new Set<string>();
  for (const { name } of put) {
    // A name in force may be one that is not given any more; it can be written again.
    const problem = known.has(name) ? undefined : nameProblem(name);
    if (problem !== undefined) {
      throw new PlanError("invalid_field", `files: name \`${name.slice(0, 80)}\`: ${problem}`);
    }
    const same = folded.get(name.toLowerCase());
    if (seen.has(name.toLowerCase()) || (same !== undefined && same !== name)) {
      throw new PlanError(
        "invalid_field",
        `files: \`${name}\` and \`${same ?? name}\` are one file on some file systems: rename one`,
      );
    }
    seen.add(name.toLowerCase());
  }
  for (const name of remove) {
    if (!known.has(name)) {
      throw new PlanError("invalid_field", `remove: there is no file \`${name.slice(0, 80)}\``);
    }
    if (seen.has(name.toLowerCase())) {
      throw new PlanError("invalid_field", `remove: \`${name.slice(0, 80)}\` is put, too`);
    }
  }
}

/** The document's own scope counts; a sender that believes another one is stopped (contract §11.1). */
function refuseStatedScopes(put: readonly PutFile[], next: LoadedPolicy): void {
  const documents = new Map(named(next).map(({ name, document }) => [name, document]));
  for (const { name, stated_scope } of put) {
    const document = documents.get(name);
    if (stated_scope === undefined || document === undefined) continue;
    const own = scopeText(document.scope);
    if (own === stated_scope) continue;
    throw new PlanError(
      "scope_mismatch",
      `scope mismatch: \`${name}\` is stated to be \`${
        stated_scope.slice(0, 80)
      }\`, its document says \`${own}\``,
    );
  }
}

/** By bytes, not by meaning: who may not write a document may not write its comments either. */
function touched(current: LoadedPolicy, next: LoadedPolicy): TouchedDocument[] {
  const old = contents(current);
  const now = contents(next);
  return [...new Set([...old.keys(), ...now.keys()])].sort().flatMap((name) => {
    const [before, after] = [old.get(name), now.get(name)];
    if (before?.hash === after?.hash) return [];
    return [{
      name,
      ...(before === undefined ? {} : { before: before.document }),
      ...(after === undefined ? {} : { after: after.document }),
    }];
  });
}

function contents(
  set: LoadedPolicy,
): Map<string, { readonly hash: string; readonly document: PolicyDocument }> {
  const texts = new Map(set.texts.map((text) => [text.name, text]));
  return new Map(
    named(set).map(({ name, document }) => {
      const text = texts.get(name);
      return [name, {
        hash: text === undefined ? "" : digestOfTexts(set.mode, [text]),
        document,
      }];
    }),
  );
}
