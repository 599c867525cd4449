/** The numbers of contract `interception` §2.4 to §2.6, each on both sides. */
import assert from "node:assert/strict";
import { DEFAULT_SCANNER } from "../mod.ts";

function spans(text: string): string[] {
  return DEFAULT_SCANNER.scan(text).map((finding) =>
    `${finding.source === "locale" ? "" : finding.kind}@${finding.offset}-${finding.end}`
  );
}

Deno.test("a local part has 1 to 64 bytes", () => {
  assert.deepEqual(spans(`${"x=".repeat(32)}@a.bc`), ["EmailAddress@0-69"]);
  assert.deepEqual(spans(`=${"x=".repeat(32)}@a.bc`), [], "65 bytes, and none of it an address");
  assert.deepEqual(spans(" @a.bc"), []);
});

Deno.test("a domain has a dot, 3 bytes at least, and is read for 255", () => {
  assert.deepEqual(spans("x@a."), []);
  assert.deepEqual(spans("x@abc"), []);
  assert.deepEqual(spans("x@a.b"), ["EmailAddress@0-5"]);
  assert.deepEqual(spans(`x@a.${"z".repeat(400)}`), ["EmailAddress@0-257"]);
  assert.deepEqual(spans(`x@${"z".repeat(254)}.b`), ["EmailAddress@0-257"]);
  assert.deepEqual(spans(`x@${"z".repeat(255)}.b`), []);
  assert.deepEqual(spans(`x@a.${"é".repeat(200)}`), ["EmailAddress@0-256"], "no half character");
});

Deno.test("a card has 13 to 19 digits in a chain of 24 characters", () => {
  assert.deepEqual(spans("422222222222"), []);
  assert.deepEqual(spans("4222222222222"), ["CreditCardLuhn@0-13"]);
  assert.deepEqual(spans("4000000000000000006"), ["CreditCardLuhn@0-19"]);
  assert.deepEqual(spans("40000000000000000000"), []);
  assert.deepEqual(spans("40 00 00 00 00 00 00 02"), ["CreditCardLuhn@0-23"]);
  assert.deepEqual(spans("4 0 0 0 0 0 0 0 0 0 0 0 0 0 0 2"), []);
});

Deno.test("a card whose groups run on over other separators is none", () => {
  assert.deepEqual(spans("4532,0151,1283,0366"), []);
  assert.deepEqual(spans("4532_0151_1283_0366"), []);
  assert.deepEqual(spans("4532\t0151\t1283\t0366"), []);
  assert.deepEqual(spans("4532  0151  1283  0366"), []);
  assert.deepEqual(spans("4532\u00a00151\u00a01283\u00a00366"), []);
});

Deno.test("one half of a secret belongs to one pair, so a third part stays", () => {
  const [a, b, c] = ["aB3dEf7hJk9mNp2q", "Rs5tUv8wXy4zC6gL", "hQ1VjD0aKb7Mc2Zn"];
  assert.deepEqual(spans(`: ${a} ${b} ${c}`), [
    "GenericHighEntropy@2-18",
    "GenericHighEntropy@19-35",
  ]);
});

Deno.test("a base64 run below the gate passes at 40 characters, without a repeat of four", () => {
  // 40 characters, 24 different: between 4.25 and 4.5 bits.
  const run = "ABCDEFGHIJKLMNOPQRSTUVWXAABBCCDDEEFFAABB";
  assert.deepEqual(spans(run), ["GenericHighEntropy@0-40"]);
  assert.deepEqual(spans(run.slice(0, 39).replace("X", "B")), []);
  const rest = "BCDEFGHIJKLMNBCDEFGHIJKLMNOPQRSTUVWX";
  assert.deepEqual(spans(`AAA${rest}A`), ["GenericHighEntropy@0-40"]);
  assert.deepEqual(spans(`AAAA${rest}`), []);
});

Deno.test("hex is a secret from 64 digits on, in one run or in groups", () => {
  const hex = "0123456789abcdef".repeat(4);
  assert.deepEqual(spans(`x=${hex}`), ["GenericHighEntropy@2-66"]);
  assert.deepEqual(spans(`x=${hex.slice(1)}`), []);
  assert.deepEqual(spans(`x=:-${hex.match(/.{8}/g)?.join("-")}-:`), ["GenericHighEntropy@4-75"]);
});
