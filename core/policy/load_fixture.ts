/**
 * Shared by the loader's tests: load a text and say what was expected of it.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { PolicyDocument } from "./document.ts";
import { loadPolicy } from "./load.ts";
import type { PolicyProblem } from "./position.ts";

/** The document of a text that must load. */
export function loaded(text: string | Uint8Array): PolicyDocument {
  return loadedWith(text).document;
}

/** The document and warnings of a text that must load. */
export function loadedWith(text: string | Uint8Array): {
  document: PolicyDocument;
  warnings: readonly PolicyProblem[];
} {
  const result = loadPolicy("p.yaml", text);
  assert.ok(result.ok, JSON.stringify(result));
  return result;
}

/** The problems of a text that must not load. */
export function refused(text: string | Uint8Array): readonly PolicyProblem[] {
  const result = loadPolicy("p.yaml", text);
  assert.ok(!result.ok, `loaded: ${text}`);
  assert.notEqual(result.problems.length, 0);
  return result.problems;
}

/** The one problem of a text that must not load; its message must hold the phrase. */
export function refusedFor(
  text: string | Uint8Array,
  field: string,
  phrase: string,
): PolicyProblem {
  const [problem, ...others] = refused(text);
  assert.deepEqual(others, [], "one problem only");
  assert.ok(problem !== undefined);
  assert.equal(problem.field, field);
  assert.ok(problem.message.includes(phrase), problem.message);
  return problem;
}

/** `line:column` of a problem. */
export function place(problem: PolicyProblem | undefined): string {
  return `${problem?.line}:${problem?.column}`;
}
