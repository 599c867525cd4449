/**
 * Two texts as a unified diff with three lines of context (contract `policy-and-gateway` §1.10).
 *
 * The shortest edit script is found by Myers' algorithm ("An O(ND) Difference Algorithm and Its
 * Variations", 1986); beyond a bound on its length the whole middle counts as replaced.
 *
 * @module
 */

/** Lines of context around a change. */
const CONTEXT_LINES = 3;
/** Edits looked for; two texts further apart are shown as removed and added as a whole. */
export const DIFF_EDITS_MAX = 400;

/** What became of one line. */
interface Line {
  readonly mark: " " | "-" | "+";
  readonly text: string;
}

/**
 * A unified diff; empty when the texts are equal.
 *
 * @param before Its name and text; `undefined` when there was no file.
 * @param after Its name and text; `undefined` when there is none any more.
 */
export function unifiedDiff(
  name: string,
  before: string | undefined,
  after: string | undefined,
): string {
  if (before === after) return "";
  const lines = compare(linesOf(before), linesOf(after));
  const head = [
    `--- ${before === undefined ? "/dev/null" : `a/${name}`}`,
    `+++ ${after === undefined ? "/dev/null" : `b/${name}`}`,
  ];
  return [...head, ...hunks(lines)].map((line) => `${line}\n`).join("");
}

/** Lines without their ends; a text that does not end in one says so, as `diff` does. */
function linesOf(text: string | undefined): string[] {
  if (text === undefined || text === "") return [];
  const lines = text.split("\n");
  if (lines.at(-1) === "") return lines.slice(0, -1);
  lines[lines.length - 1] += "\n\\ No newline at end of file";
  return lines;
}

function compare(before: readonly string[], after: readonly string[]): Line[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start++;
  let end = 0;
  while (
    end < before.length - start && end < after.length - start &&
    before[before.length - 1 - end] === after[after.length - 1 - end]
  ) end++;
  const old = before.slice(start, before.length - end);
  const now = after.slice(start, after.length - end);
  return [
    ...before.slice(0, start).map((text): Line => ({ mark: " ", text })),
    ...shortest(old, now) ?? replaced(old, now),
    ...before.slice(before.length - end).map((text): Line => ({ mark: " ", text })),
  ];
}

function replaced(before: readonly string[], after: readonly string[]): Line[] {
  return [
    ...before.map((text): Line => ({ mark: "-", text })),
    ...after.map((text): Line => ({ mark: "+", text })),
  ];
}

/** The furthest reach of each diagonal for every number of edits, until the end is reached. */
function shortest(before: readonly string[], after: readonly string[]): Line[] | undefined {
  const most = Math.min(before.length + after.length, DIFF_EDITS_MAX);
  const trace: Map<number, number>[] = [];
  let reach = new Map([[1, 0]]);
  for (let edits = 0; edits <= most; edits++) {
    trace.push(reach);
    const next = new Map(reach);
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      let x = startOf(reach, diagonal, edits);
      while (
        x < before.length && x - diagonal < after.length && before[x] === after[x - diagonal]
      ) {
        x++;
      }
      next.set(diagonal, x);
      if (x >= before.length && x - diagonal >= after.length) return walk(trace, before, after);
    }
    // Only the diagonals of this round are read by the next one.
    reach = new Map([...next].filter(([diagonal]) => Math.abs(diagonal) <= edits + 1));
  }
  return undefined;
}

function startOf(reach: ReadonlyMap<number, number>, diagonal: number, edits: number): number {
  const down = reach.get(diagonal + 1) ?? -1;
  const right = reach.get(diagonal - 1) ?? -1;
  const takesDown = diagonal === -edits || (diagonal !== edits && right < down);
  return takesDown ? down : right + 1;
}

/** Follows the reaches back from the end to the beginning. */
function walk(
  trace: readonly Map<number, number>[],
  before: readonly string[],
  after: readonly string[],
): Line[] {
  const lines: Line[] = [];
  let x = before.length;
  let y = after.length;
  for (let edits = trace.length - 1; edits >= 0; edits--) {
    const reach = trace[edits] ?? new Map();
    const diagonal = x - y;
    const down = reach.get(diagonal + 1) ?? -1;
    const right = reach.get(diagonal - 1) ?? -1;
    const takesDown = diagonal === -edits || (diagonal !== edits && right < down);
    const from_x = takesDown ? down : right;
    const from_y = from_x - (takesDown ? diagonal + 1 : diagonal - 1);
    while (x > from_x && y > from_y && x > 0 && y > 0 && before[x - 1] === after[y - 1]) {
      lines.push({ mark: " ", text: before[--x] ?? "" });
      y--;
    }
    if (edits === 0) break;
    if (takesDown) lines.push({ mark: "+", text: after[--y] ?? "" });
    else lines.push({ mark: "-", text: before[--x] ?? "" });
  }
  return lines.reverse();
}

function* hunks(lines: readonly Line[]): Generator<string> {
  const changed = lines.flatMap(({ mark }, at) => mark === " " ? [] : [at]);
  let first = 0;
  while (first < changed.length) {
    let last = first;
    while (
      last + 1 < changed.length &&
      (changed[last + 1] ?? 0) - (changed[last] ?? 0) <= 2 * CONTEXT_LINES
    ) last++;
    const from = Math.max(0, (changed[first] ?? 0) - CONTEXT_LINES);
    const to = Math.min(lines.length, (changed[last] ?? 0) + CONTEXT_LINES + 1);
    yield* hunk(lines, from, to);
    first = last + 1;
  }
}

function* hunk(lines: readonly Line[], from: number, to: number): Generator<string> {
  const count = (part: readonly Line[], mark: "-" | "+") =>
    part.filter((line) => line.mark === " " || line.mark === mark).length;
  const shown = lines.slice(from, to);
  const range = (mark: "-" | "+") => {
    const length = count(shown, mark);
    const start = count(lines.slice(0, from), mark) + (length === 0 ? 0 : 1);
    return length === 1 ? String(start) : `${start},${length}`;
  };
  yield `@@ -${range("-")} +${range("+")} @@`;
  for (const { mark, text } of shown) yield mark + text;
}
