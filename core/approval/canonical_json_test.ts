import assert from "node:assert/strict";
import fc from "fast-check";
import { canonicalJson, CanonicalJsonError, type CanonicalValue } from "./canonical_json.ts";

Deno.test("RFC 8785 §3.2.2: the specification's sample gives the specification's text", () => {
  const sample = String.raw`{
    "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
    "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
    "literals": [null, true, false]
  }`;
  assert.equal(
    canonicalJson(JSON.parse(sample)),
    `{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],` +
      String.raw`"string":"€$\u000f\nA'B\"\\\\\"/"}`,
  );
});

Deno.test("RFC 8785 §3.2.3: members stand in the order of their UTF-16 units", () => {
  const sample = {
    "\u20ac": "Euro Sign",
    "\r": "Carriage Return",
    "\ufb33": "Hebrew Letter Dalet With Dagesh",
    "1": "One",
    "\ud83d\ude00": "Emoji: Grinning Face",
    "\u0080": "Control",
    "\u00f6": "Latin Small Letter O With Diaeresis",
  };
  assert.deepEqual(
    Object.values(JSON.parse(canonicalJson({ a: Object.keys(sample) })).a).length,
    7,
  );
  const order = [...canonicalJson(sample).matchAll(/:"([^"]*)"/g)].map((match) => match[1]);
  assert.deepEqual(order, [
    "Carriage Return",
    "One",
    "Control",
    "Latin Small Letter O With Diaeresis",
    "Euro Sign",
    "Emoji: Grinning Face",
    "Hebrew Letter Dalet With Dagesh",
  ]);
});

/** RFC 8785 appendix B: the bits of a double and its text. */
const NUMBERS: readonly (readonly [bits: string, text: string])[] = [
  ["0000000000000000", "0"],
  ["8000000000000000", "0"],
  ["0000000000000001", "5e-324"],
  ["8000000000000001", "-5e-324"],
  ["7fefffffffffffff", "1.7976931348623157e+308"],
  ["ffefffffffffffff", "-1.7976931348623157e+308"],
  ["4340000000000000", "9007199254740992"],
  ["c340000000000000", "-9007199254740992"],
  ["4430000000000000", "295147905179352830000"],
  ["44b52d02c7e14af5", "9.999999999999997e+22"],
  ["44b52d02c7e14af6", "1e+23"],
  ["44b52d02c7e14af7", "1.0000000000000001e+23"],
  ["444b1ae4d6e2ef4e", "999999999999999700000"],
  ["444b1ae4d6e2ef4f", "999999999999999900000"],
  ["444b1ae4d6e2ef50", "1e+21"],
  ["3eb0c6f7a0b5ed8c", "9.999999999999997e-7"],
  ["3eb0c6f7a0b5ed8d", "0.000001"],
  ["41b3de4355555553", "333333333.3333332"],
  ["41b3de4355555554", "333333333.33333325"],
  ["41b3de4355555555", "333333333.3333333"],
  ["41b3de4355555556", "333333333.3333334"],
  ["41b3de4355555557", "333333333.33333343"],
  ["becbf647612f3696", "-0.0000033333333333333333"],
  ["43143ff3c1cb0959", "1424953923781206.2"],
];

Deno.test("RFC 8785 appendix B: every number of the table, and its errors", () => {
  for (const [bits, text] of NUMBERS) {
    const view = new DataView(Uint8Array.fromHex(bits).buffer);
    assert.equal(canonicalJson(view.getFloat64(0)), text, bits);
  }
  for (const bits of ["7fffffffffffffff", "7ff0000000000000", "fff0000000000000"]) {
    const view = new DataView(Uint8Array.fromHex(bits).buffer);
    assert.throws(() => canonicalJson(view.getFloat64(0)), CanonicalJsonError);
  }
});

Deno.test("what JSON cannot say has no canonical form", () => {
  const hostile: unknown[] = [undefined, 1n, () => 1, new Date(0), { a: undefined }, "\ud800"];
  for (const value of [...hostile, { "\udc00": 1 }, [Symbol("a")]]) {
    assert.throws(() => canonicalJson(value as CanonicalValue), CanonicalJsonError);
  }
  let deep: CanonicalValue = 1;
  for (let level = 0; level < 100; level++) deep = [deep];
  assert.throws(() => canonicalJson(deep), /nested deeper than `64`/);
});

Deno.test("law: the text reads back as the value, and the order of members does not matter", () => {
  fc.assert(fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
    const text = canonicalJson(value as CanonicalValue);
    assert.equal(canonicalJson(JSON.parse(text)), text);
    assert.equal(canonicalJson(reversed(value) as CanonicalValue), text);
  }));
});

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).reverse().map(([key, item]) => [key, reversed(item)]),
  );
}
