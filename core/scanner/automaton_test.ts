import assert from "node:assert/strict";
import fc from "fast-check";
import { buildAutomaton, patternAt } from "./automaton.ts";

/** Ends of all matches with their pattern, by the automaton. */
function walk(patterns: readonly string[], text: string): string[] {
  const automaton = buildAutomaton(patterns);
  const found: string[] = [];
  let state = 0;
  new TextEncoder().encode(text).forEach((byte, at) => {
    state = automaton.next[state | (automaton.classes[byte] ?? 0)] ?? 0;
    if (state >= automaton.first_accepting) found.push(`${at}:${patternAt(automaton, state)}`);
  });
  return found;
}

Deno.test("the automaton finds every pattern a search by hand finds, in any case", () => {
  const word = fc.string({ unit: fc.constantFrom("a", "b", "-"), minLength: 1, maxLength: 4 });
  const patterns = fc.uniqueArray(word, { minLength: 1, maxLength: 6 })
    .filter((list) => !list.some((a) => list.some((b) => a !== b && b.endsWith(a))));
  const text = fc.string({ unit: fc.constantFrom("a", "B", "b", "A", "-", "é"), maxLength: 40 });
  fc.assert(
    fc.property(patterns, text, (list, body) => {
      const bytes = String.fromCharCode(...new TextEncoder().encode(body)).toLowerCase();
      const expected: string[] = [];
      for (let end = 0; end < bytes.length; end++) {
        const index = list.findIndex((pattern) => bytes.slice(0, end + 1).endsWith(pattern));
        if (index >= 0) expected.push(`${end}:${index}`);
      }
      assert.deepEqual(walk(list, body), expected);
    }),
    { numRuns: 500 },
  );
});

Deno.test("patterns that would hide each other are refused", () => {
  assert.throws(() => buildAutomaton([""]), /empty or repeated/);
  assert.throws(() => buildAutomaton(["ab", "AB"]), /empty or repeated/);
  assert.throws(() => buildAutomaton(["b", "ab"]), /suffix of another/);
  assert.throws(() => buildAutomaton(["a".repeat(1_100)]), /states/);
});
