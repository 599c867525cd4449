/**
 * Reads what h2spec and h2specd print about their cases.
 *
 * @module
 */

/** One case as its program judged it. */
export interface SpecCase {
  /** h2spec's own address of the case, for example `http2/6.9.1/2`. */
  readonly id: string;
  readonly title: string;
  readonly verdict: "passed" | "failed" | "skipped";
  /** What was expected and what came; empty unless it failed. */
  readonly detail: string;
}

/** What a run printed. */
export interface SpecOutput {
  readonly cases: readonly SpecCase[];
  /** The program's own count of its cases; undefined when it ended before its summary. */
  readonly stated: number | undefined;
}

const SPECIFICATIONS: readonly (readonly [RegExp, string])[] = [
  [/^Generic tests for HTTP\/2/, "generic"],
  [/^Hypertext Transfer Protocol Version 2/, "http2"],
  [/^HPACK: Header Compression/, "hpack"],
];
const SECTION = /^\s+(\d+(?:\.\d+)*)\. \S/;
const CASE = /^\s*([✔×])?\s*(\d+): (.*)$/;
const SUMMARY = /^(\d+) tests, \d+ passed, \d+ skipped, \d+ failed/;

/** Cases in the order they ran. */
export function readSpecOutput(text: string): SpecOutput {
  const cases: SpecCase[] = [];
  let specification = "";
  let section = "";
  let stated: number | undefined;
  let repeated = false;
  for (const raw of text.split("\n")) {
    // A case's line is printed when it begins and overwritten when it ends.
    const line = (raw.split("\r").at(-1) ?? "").replaceAll("\0", "");
    const summary = SUMMARY.exec(line);
    if (summary !== null) stated = Number(summary[1]);
    // The failed cases are printed a second time below this line.
    if (line.startsWith("Failures:")) repeated = true;
    if (repeated) continue;
    const found = SPECIFICATIONS.find(([pattern]) => pattern.test(line));
    if (found !== undefined) {
      specification = found[1];
      continue;
    }
    const heading = SECTION.exec(line);
    const case_line = CASE.exec(line);
    if (case_line !== null) {
      const [, mark, number = "", title = ""] = case_line;
      const verdict = mark === "✔" ? "passed" : mark === "×" ? "failed" : "skipped";
      cases.push({ id: `${specification}/${section}/${number}`, title, verdict, detail: "" });
    } else if (heading !== null) {
      section = heading[1] ?? "";
    } else if (line.trim() !== "") {
      const last = cases.at(-1);
      if (last?.verdict !== "failed") continue;
      cases[cases.length - 1] = { ...last, detail: `${last.detail} ${line.trim()}`.trim() };
    }
  }
  return { cases, stated };
}
