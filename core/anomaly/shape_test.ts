import assert from "node:assert/strict";
import fc from "fast-check";
import { shapeOf } from "./shape.ts";

const shape = (value: unknown) => shapeOf(JSON.stringify(value), 1);

Deno.test("values of one kind and size have one shape; keys, types and sizes make another", () => {
  assert.equal(shape({ a: 1, b: "xy" }), shape({ b: "zw", a: 99 }));
  const different = [
    { a: 1 },
    { a: "1" },
    { b: 1 },
    { a: { a: 1 } },
    { a: [1] },
    { a: "x".repeat(20) },
    { a: "x".repeat(300) },
    { a: 1, b: 1 },
    { a: null },
    [],
    "a",
  ].map(shape);
  assert.equal(new Set(different).size, different.length);
});

Deno.test("any text has a shape: no JSON, too deep, too long, poisoned keys", () => {
  for (
    const args of [
      "",
      "{",
      "[".repeat(5_000),
      '{"__proto__": {"x": 1}}',
      `"${"x".repeat(100_000)}"`,
      JSON.stringify(Object.fromEntries(Array.from({ length: 1_000 }, (_, at) => [`k${at}`, at]))),
    ]
  ) {
    const shape = shapeOf(args, 1);
    assert.ok(Number.isSafeInteger(shape) && shape >= 0);
  }
});

Deno.test("a shape is a whole number for every JSON, and the same whatever the order of keys", () => {
  const value = fc.jsonValue({ maxDepth: 1 });
  fc.assert(fc.property(fc.dictionary(fc.string(), value, { maxKeys: 10 }), (value) => {
    const turned = Object.fromEntries(Object.entries(value).reverse());
    assert.ok(Number.isSafeInteger(shape(value)));
    assert.equal(shape(value), shape(turned));
  }));
});
