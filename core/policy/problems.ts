/**
 * The bounded list of what is wrong in one policy text.
 *
 * @module
 */
import { LIMITS } from "../limits.ts";
import type { PolicyProblem, Position } from "./position.ts";

/** Field of a problem that concerns the file as a whole. */
export const DOCUMENT_FIELD = "(document)";

/** Collects problems; past {@linkcode LIMITS.policy_problems} they are only counted. */
export class Problems {
  readonly errors: PolicyProblem[] = [];
  readonly warnings: PolicyProblem[] = [];
  /** Errors beyond the bound. */
  omitted = 0;

  /** Records something that keeps the file from loading. */
  error(field: string, message: string, at?: Position): void {
    if (this.errors.length >= LIMITS.policy_problems) {
      this.omitted += 1;
      return;
    }
    this.errors.push(problemOf(field, message, at));
  }

  /** Records something a careful author would want to know. */
  warn(field: string, message: string, at?: Position): void {
    if (this.warnings.length >= LIMITS.policy_problems) return;
    this.warnings.push(problemOf(field, message, at));
  }
}

/** Problems in the order of the text; those without a place come first. */
export function inTextOrder(problems: readonly PolicyProblem[]): PolicyProblem[] {
  return problems.toSorted((a, b) =>
    (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0)
  );
}

function problemOf(path: string, message: string, at?: Position): PolicyProblem {
  // The empty text is a possible key at the top, and no name for a field.
  const field = path === "" ? DOCUMENT_FIELD : path;
  return at === undefined
    ? { field, message }
    : { field, message, line: at.line, column: at.column };
}
