import assert from "node:assert/strict";
import fc from "fast-check";
import { parseDuration, parseDurationSecs } from "./duration.ts";

Deno.test("durations are numbers with units, added up", () => {
  assert.equal(parseDuration("1h"), 3_600_000_000_000n);
  assert.equal(parseDuration("1h 30m"), 5_400_000_000_000n);
  assert.equal(parseDuration("1h30m"), 5_400_000_000_000n);
  assert.equal(parseDuration("2 days"), 172_800_000_000_000n);
  assert.equal(parseDuration("500ms"), 500_000_000n);
  assert.equal(parseDuration("1M"), 2_630_016_000_000_000n);
  assert.equal(parseDuration("0"), 0n);
  assert.equal(parseDuration("0s"), 0n);
});

Deno.test("what is no duration is none", () => {
  const texts = [
    "",
    "soon",
    "5",
    "1h5",
    "1.5h",
    "-1h",
    "1 fortnight",
    "h",
    "1hh",
    "9".repeat(30) + "s",
  ];
  for (const text of texts) assert.equal(parseDuration(text), undefined, text);
});

Deno.test("seconds are rounded down, and countable", () => {
  assert.equal(parseDurationSecs("24h"), 86_400);
  assert.equal(parseDurationSecs("1999ms"), 1);
  assert.equal(parseDurationSecs(`${"9".repeat(20)}y`), undefined);
});

Deno.test("any text is a duration or is not: never an exception", () => {
  fc.assert(fc.property(fc.string(), (text) => {
    const nanos = parseDuration(text);
    assert.ok(nanos === undefined || nanos >= 0n);
  }));
});
