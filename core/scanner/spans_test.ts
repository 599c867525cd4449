import assert from "node:assert/strict";
import fc from "fast-check";
import type { CredentialKind } from "./finding.ts";
import { Spans } from "./spans.ts";

type Input = readonly [kind: CredentialKind, offset: number, size: number];

function findings(inputs: readonly Input[]): [CredentialKind, number, number][] {
  const spans = new Spans();
  for (const [kind, offset, size] of inputs) spans.add(kind, offset, offset + size);
  return spans.findings().map(({ kind, offset, end }) => [kind, offset, end]);
}

Deno.test("overlaps of one kind are one finding, touching ones and other kinds stay apart", () => {
  assert.deepEqual(findings([["Custom", 5, 5], ["Custom", 0, 6]]), [["Custom", 0, 10]]);
  assert.deepEqual(findings([["Custom", 0, 5], ["Custom", 5, 5]]), [
    ["Custom", 0, 5],
    ["Custom", 5, 10],
  ]);
  assert.deepEqual(findings([["OpenAiKey", 3, 5], ["Custom", 0, 5]]), [
    ["Custom", 0, 5],
    ["OpenAiKey", 3, 8],
  ]);
});

Deno.test("findings that start together keep the order in which they were found", () => {
  assert.deepEqual(
    findings([["EmailAddress", 0, 2], ["GenericHighEntropy", 0, 9], ["Custom", 0, 1]])
      .map(([kind]) => kind),
    ["EmailAddress", "GenericHighEntropy", "Custom"],
  );
});

Deno.test("united findings cover the same bytes as what was added", () => {
  const kind = fc.constantFrom<CredentialKind>("Custom", "OpenAiKey");
  const input = fc.tuple(kind, fc.nat({ max: 30 }), fc.integer({ min: 1, max: 10 }));
  const covered = (kind: CredentialKind, list: readonly Input[]): boolean[] =>
    Array.from(
      { length: 50 },
      (_, at) => list.some((one) => one[0] === kind && one[1] <= at && at < one[1] + one[2]),
    );
  fc.assert(fc.property(fc.array(input, { maxLength: 12 }), (inputs) => {
    const united = findings(inputs).map(([kind, offset, end]) =>
      [kind, offset, end - offset] as const
    );
    for (const kind of ["Custom", "OpenAiKey"] as const) {
      assert.deepEqual(covered(kind, united), covered(kind, inputs));
      const own = united.filter((one) => one[0] === kind);
      own.forEach((one, index) => {
        const before = own[index - 1];
        assert.ok(before === undefined || before[1] + before[2] <= one[1]);
      });
    }
  }));
});
