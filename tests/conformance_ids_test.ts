/**
 * Every case of the contract's conformance table (`policy-and-gateway` §14, groups L T N C E S D R
 * X M F Q P, I, G, A and B) and every numbered trap of its §13 stands as a test of that name
 * somewhere in the suite.
 */
import assert from "node:assert/strict";

const ROOT = new URL("..", import.meta.url).pathname;

/** Cases in each group. */
const GROUPS: Readonly<Record<string, number>> = {
  L: 28,
  T: 10,
  N: 14,
  C: 11,
  E: 17,
  S: 4,
  D: 12,
  R: 7,
  X: 12,
  M: 8,
  I: 4,
  F: 6,
  G: 5,
  Q: 4,
  P: 4,
  A: 6,
  B: 13,
};
/** Numbered traps of §13.1 to §13.4. */
const TRAPS = 59;

async function* testFiles(directory: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(directory)) {
    if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory) yield* testFiles(path);
    else if (entry.name.endsWith("_test.ts")) yield path;
  }
}

Deno.test("every conformance case of the contract is a test named by its id", async () => {
  const found = new Set<string>();
  for await (const path of testFiles(ROOT.replace(/\/$/, ""))) {
    const text = await Deno.readTextFile(path);
    // `Deno.test("T4: …"`, a test table keyed by id, or a sub-step: the id opens a string literal.
    for (const match of text.matchAll(/["'`]([A-Z]\d{1,2})(?:\/[A-Z]?\d+)*:? /g)) {
      found.add(match[1] ?? "");
    }
  }
  const missing: string[] = [];
  for (const [group, count] of Object.entries(GROUPS)) {
    for (let n = 1; n <= count; n++) if (!found.has(`${group}${n}`)) missing.push(`${group}${n}`);
  }
  assert.deepEqual(missing, []);
});

Deno.test("every numbered trap of the contract is pinned by a test named after it", async () => {
  const found = new Set<number>();
  for await (const path of testFiles(ROOT.replace(/\/$/, ""))) {
    const text = await Deno.readTextFile(path);
    // `trap 7: …`, `traps 7, 8 and 9: …`.
    for (const [, numbers = ""] of text.matchAll(/["'`][Tt]raps? ((?:\d+(?:, | and )?)+)/g)) {
      for (const [number] of numbers.matchAll(/\d+/g)) found.add(Number(number));
    }
  }
  const all = Array.from({ length: TRAPS }, (_, index) => index + 1);
  assert.deepEqual(all.filter((number) => !found.has(number)), []);
});
