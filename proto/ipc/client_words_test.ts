import assert from "node:assert/strict";
import fc from "fast-check";
import { readClientWords, withClientWords } from "./mod.ts";

Deno.test("a client says what it can do in its version's build metadata", () => {
  assert.equal(withClientWords("0.4.0", {}), "0.4.0");
  assert.equal(withClientWords("0.4.0", { redacts: true }), "0.4.0+redacts");
  assert.equal(withClientWords("0.4.0+linux", { acks: true }), "0.4.0+linux.acks");
  assert.equal(withClientWords("0.4.0", { redacts: true, acks: true }), "0.4.0+redacts.acks");
});

Deno.test("what was said is read back, and the version is what it was", () => {
  const version = fc.string().map((text) => text.replaceAll("+", ""));
  const words = fc.record({ redacts: fc.boolean(), acks: fc.boolean(), explains: fc.boolean() });
  fc.assert(fc.property(version, words, (version, words) => {
    const signed = withClientWords(version, words);
    assert.deepEqual(readClientWords(signed), { version, ...words });
  }));
});

Deno.test("trap R3: a client of the reference says nothing, so that it is never sent an ack", () => {
  for (const version of ["", "0.0.1-rc.6", "1.0.0+build", "acks", "1.acks", "1+acksx", "redacts"]) {
    const { acks, redacts } = readClientWords(version);
    assert.deepEqual({ acks, redacts }, { acks: false, redacts: false }, version);
  }
});
