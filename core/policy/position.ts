/**
 * Where something stands in a policy text.
 *
 * @module
 */

/** A place in a text, both 1-based; columns count UTF-16 code units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A value that remembers where it was written. */
export interface Located<T> extends Position {
  readonly value: T;
}

/** One problem in a policy text. `field` is a dotted path such as `tools.search.allow`. */
export interface PolicyProblem {
  readonly field: string;
  readonly message: string;
  readonly line?: number;
  readonly column?: number;
}

/** `file:line:column: field — message`, the form every program prints. */
export function formatProblem(file: string, problem: PolicyProblem): string {
  const at = problem.line === undefined
    ? file
    : `${file}:${problem.line}${problem.column === undefined ? "" : `:${problem.column}`}`;
  return `${at}: ${problem.field} — ${problem.message}`;
}

/** Every problem of a file as a line, and how many more there were. */
export function formatProblems(
  file: string,
  problems: readonly PolicyProblem[],
  omitted: number,
): string[] {
  const lines = problems.map((problem) => formatProblem(file, problem));
  if (omitted > 0) lines.push(`${file}: ${omitted} further problems not listed`);
  return lines;
}
