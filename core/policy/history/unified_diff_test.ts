import assert from "node:assert/strict";
import fc from "fast-check";
import { DIFF_EDITS_MAX, unifiedDiff } from "./unified_diff.ts";

/** Applies a diff of ours, so that what it says can be held against what it was made of. */
function patched(before: string, diff: string): string {
  const source = before === "" ? [] : before.replace(/\n$/, "").split("\n");
  const out: string[] = [];
  let at = 0;
  for (const line of diff.split("\n").slice(2, -1)) {
    const head = /^@@ -(\d+)(?:,(\d+))? /.exec(line);
    if (head !== null) {
      const start = Number(head[1]) - (head[2] === "0" ? 0 : 1);
      while (at < start) out.push(source[at++] ?? "");
    } else if (line.startsWith(" ")) {
      assert.equal(line.slice(1), source[at]);
      out.push(source[at++] ?? "");
    } else if (line.startsWith("-")) {
      assert.equal(line.slice(1), source[at++]);
    } else if (line.startsWith("+")) {
      out.push(line.slice(1));
    }
  }
  while (at < source.length) out.push(source[at++] ?? "");
  return out.map((line) => `${line}\n`).join("");
}

Deno.test("a diff names both sides and keeps three lines of context", () => {
  const before = "a\nb\nc\nd\ne\nf\ng\nh\n";
  const after = "a\nb\nc\nd\nE\nf\ng\nh\n";
  assert.equal(
    unifiedDiff("p.yaml", before, after),
    "--- a/p.yaml\n+++ b/p.yaml\n@@ -2,7 +2,7 @@\n b\n c\n d\n-e\n+E\n f\n g\n h\n",
  );
  assert.equal(unifiedDiff("p.yaml", before, before), "");
});

Deno.test("a file that came or went is told by /dev/null", () => {
  assert.equal(
    unifiedDiff("p.yaml", undefined, "a\n"),
    "--- /dev/null\n+++ b/p.yaml\n@@ -0,0 +1 @@\n+a\n",
  );
  assert.equal(
    unifiedDiff("p.yaml", "a\n", undefined),
    "--- a/p.yaml\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n",
  );
});

const anyText = fc.array(fc.constantFrom("a", "b", "c", "", "d: 1"), { maxLength: 40 })
  .map((lines) => lines.map((line) => `${line}\n`).join(""));

Deno.test("applied to the old text, a diff gives exactly the new one", () => {
  fc.assert(
    fc.property(anyText, anyText, (before, after) => {
      const diff = unifiedDiff("p.yaml", before, after);
      if (before === after) assert.equal(diff, "");
      else assert.equal(patched(before, diff), after);
    }),
    { numRuns: 500 },
  );
});

Deno.test("two texts too far apart are still told completely, and in bounded time", () => {
  const before = Array.from({ length: DIFF_EDITS_MAX }, (_, n) => `old ${n}\n`).join("");
  const after = Array.from({ length: DIFF_EDITS_MAX }, (_, n) => `new ${n}\n`).join("");
  assert.equal(patched(before, unifiedDiff("p.yaml", before, after)), after);
});
