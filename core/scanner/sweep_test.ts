/** What the one walk wakes must cover everything that a slow look finds. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { EntropyWatch } from "./detectors/entropy.ts";
import { sweep, type Watch } from "./sweep.ts";
import { copyText, forgetText } from "./utf8.ts";

/** Does nothing; tests replace what they look at. */
const ASLEEP: Watch = {
  prefix: () => {},
  digits: () => {},
  email: () => {},
  escape: () => {},
  run: (at) => at,
  token: (at) => at,
  split: (at) => at,
  wide: () => false,
};

const piece = fc.oneof(
  fc.string({ unit: fc.constantFrom(..."aZ09+/-_"), minLength: 12, maxLength: 40 }),
  fc.constantFrom(" ", "=", ".", "é", "中", "\n", "a", "Zz9"),
);
const text = fc.array(piece, { maxLength: 12 }).map((parts) => parts.join(""));

Deno.test("every run of 16 base64 characters or more is noted, once and whole", () => {
  let runs = 0;
  fc.assert(
    fc.property(text, fc.nat({ max: 9 }), (body, shift) => {
      const bytes = new TextEncoder().encode(" ".repeat(shift) + body);
      const utf8 = copyText(bytes);
      const entropy = new EntropyWatch(utf8, false);
      sweep(utf8, { ...ASLEEP, run: (at) => entropy.run(at) }, false);
      forgetText(utf8);
      const latin1 = String.fromCharCode(...bytes);
      const expected = [...latin1.matchAll(/[A-Za-z0-9+/_-]{16,}/g)]
        .flatMap((run) => [run.index, run.index + run[0].length]);
      runs += expected.length / 2;
      assert.deepEqual(entropy.long_runs, expected);
    }),
    { numRuns: 2_000 },
  );
  assert.ok(runs > 1_000, "the texts must be worth walking");
});

Deno.test("every chain of nine digits and every sign of an address wakes its detector", () => {
  const digit = fc.constantFrom(..."0123456789");
  const chain = fc.array(fc.tuple(digit, fc.constantFrom("", "", "-", " ", ".")), {
    minLength: 8,
    maxLength: 12,
  }).map((pairs) => pairs.map(([sign, separator]) => sign + separator).join("") + "0");
  fc.assert(
    fc.property(fc.nat({ max: 17 }), chain, (shift, digits) => {
      const before = "x".repeat(shift);
      const utf8 = copyText(new TextEncoder().encode(`${before}${digits}x@`));
      const woken: number[] = [];
      const signs: number[] = [];
      const watch = {
        digits: (at: number) => woken.push(at),
        email: (at: number) => signs.push(at),
      };
      sweep(utf8, { ...ASLEEP, ...watch }, false);
      forgetText(utf8);
      assert.ok(woken.some((at) => at >= shift - 1 && at < shift + digits.length));
      const sign = shift + digits.length + 1;
      assert.deepEqual(signs, [sign - sign % 2]);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("what stands behind a text in the shared buffer is no part of it", () => {
  const secret = copyText(new TextEncoder().encode("x".repeat(64) + "a1B2".repeat(32)));
  forgetText(secret);
  for (let size = 0; size < 40; size++) {
    const utf8 = copyText(new TextEncoder().encode("y".repeat(size)));
    let furthest = 0;
    sweep(utf8, {
      ...ASLEEP,
      run: (at) => furthest = Math.max(furthest, at),
      token: (at) => furthest = Math.max(furthest, at),
    }, true);
    forgetText(utf8);
    assert.ok(furthest <= size);
  }
});
