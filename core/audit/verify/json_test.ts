import assert from "node:assert/strict";
import fc from "fast-check";
import { JsonError, readJson } from "./json.ts";

Deno.test("integers of any size are read without losing a digit", () => {
  assert.equal(readJson("18446744073709551615"), 18_446_744_073_709_551_615n);
  assert.equal(readJson("-9007199254740993"), -9_007_199_254_740_993n);
  assert.equal(readJson("0"), 0);
  assert.equal(readJson("-7"), -7);
  assert.equal(readJson("999999999999999"), 999_999_999_999_999);
  assert.equal(readJson("1000000000000000"), 1_000_000_000_000_000n);
});

Deno.test("every JSON text of the log's kind reads as JSON.parse reads it", () => {
  const plain = (value: unknown): unknown =>
    value instanceof Map
      ? Object.fromEntries([...value].map(([key, member]) => [key, plain(member)]))
      : Array.isArray(value)
      ? value.map(plain)
      : value;
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 5 },
      fc.string({ unit: "binary" }),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie("tree"), { maxLength: 4 }),
      fc.dictionary(fc.string(), tie("tree"), { maxKeys: 4 }).map((o) => ({ ...o })),
    ),
  }));
  fc.assert(fc.property(tree, fc.constantFrom(undefined, 1, "\t"), (value, indent) => {
    const text = JSON.stringify(value, null, indent);
    assert.deepEqual(plain(readJson(text)), JSON.parse(text));
  }));
});

Deno.test("what is not JSON, or says one thing twice, is refused", () => {
  const bad = [
    "",
    "{",
    "[1,]",
    "{,}",
    '{"a":1,}',
    '{"a":1,"a":1}',
    '{"\\u0061":1,"a":1}',
    "01",
    "1.5",
    "1e3",
    "-",
    "'a'",
    '"a',
    '"\\x"',
    '"\n"',
    "nul",
    "1 2",
    "\ufeff1",
    `${"[".repeat(50)}${"]".repeat(50)}`,
    "123456789012345678901",
  ];
  for (const text of bad) assert.throws(() => readJson(text), JsonError, text);
  fc.assert(fc.property(fc.string(), (text) => {
    try {
      readJson(text);
    } catch (error) {
      assert.ok(error instanceof JsonError, String(error));
    }
  }));
});
