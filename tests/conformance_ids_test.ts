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

/** Cases of contract `interception` §10 that belong to the scanner and to the runtime. */
const INTERCEPTION: readonly (readonly [group: string, first: number, last: number])[] = [
  ["10.1", 1, 36],
  ["10.6", 101, 105],
];
/** Traps of contract `interception` §9.1 to §9.3; R17 is the kernel program's, R15 the proxy's. */
const INTERCEPTION_TRAPS = [
  ...Array.from({ length: 14 }, (_, at) => `R${at + 1}`),
  "R16",
  ...Array.from({ length: 14 }, (_, at) => `S${at + 1}`),
  ...Array.from({ length: 4 }, (_, at) => `C${at + 1}`),
];

Deno.test("every scanner and runtime case of the interception contract is a test of that name", async () => {
  const found = new Set<string>();
  for await (const path of testFiles(ROOT.replace(/\/$/, ""))) {
    if (path.endsWith("/conformance_ids_test.ts")) continue;
    const text = await Deno.readTextFile(path);
    // `interception 10.1 #7: …`, `interception 10.1 #10/#11`, `interception 10.6 #101`, ranges `#2–3`.
    for (
      const [, group = "", list = ""] of text.matchAll(
        /interception (10\.\d) ((?:[#\d/, –-]|and)+)/g,
      )
    ) {
      for (const [, first = "", last = first] of list.matchAll(/#?(\d+)(?:[–-]#?(\d+))?/g)) {
        for (let n = Number(first); n <= Number(last); n++) found.add(`${group} #${n}`);
      }
    }
    // A table of cases, `[7, "text", …]`, each made a test by its number.
    if (text.includes("`interception 10.1 #${id}")) {
      for (const [, id = ""] of text.matchAll(/\[\s*(\d{1,2}),/g)) found.add(`10.1 #${id}`);
    }
  }
  const missing: string[] = [];
  for (const [group, first, last] of INTERCEPTION) {
    for (let n = first; n <= last; n++) {
      if (!found.has(`${group} #${n}`)) missing.push(`${group} #${n}`);
    }
  }
  assert.deepEqual(missing, []);
});

Deno.test("every trap of the runtime, the scanner and the SDK is pinned by a test named after it", async () => {
  const found = new Set<string>();
  for await (const path of testFiles(ROOT.replace(/\/$/, ""))) {
    const text = await Deno.readTextFile(path);
    for (const [, names = ""] of text.matchAll(/["'`][Tt]raps? ((?:[RSC]\d+(?:, | and )?)+)/g)) {
      for (const [name] of names.matchAll(/[RSC]\d+/g)) found.add(name);
    }
  }
  assert.deepEqual(INTERCEPTION_TRAPS.filter((name) => !found.has(name)), []);
});
