import assert from "node:assert/strict";
import fc from "fast-check";
import { didYouMean, editDistance, nearest, received } from "./suggest.ts";

Deno.test("the nearest word within two edits is suggested", () => {
  assert.equal(nearest("agnt.depth", ["agent.depth", "agent.age"]), "agent.depth");
  assert.equal(nearest("ALLOW", ["deny", "allow"]), "allow");
  assert.equal(nearest("completely", ["different"]), undefined);
  assert.equal(nearest("ab", ["cd"]), undefined, "two edits of two letters are no likeness");
  assert.equal(didYouMean("alow", ["allow"]), "did you mean `allow`? ");
  assert.equal(didYouMean("zzz", ["allow"]), "");
});

Deno.test("a text of hostile length is not compared", () => {
  assert.equal(nearest("a".repeat(1_000_000), ["a".repeat(1_000_000)]), undefined);
});

Deno.test("edit distance is a metric", () => {
  const word = fc.string({ maxLength: 8 });
  fc.assert(fc.property(word, word, word, (a, b, c) => {
    assert.equal(editDistance(a, a), 0);
    assert.equal(editDistance(a, b), editDistance(b, a));
    assert.ok(editDistance(a, c) <= editDistance(a, b) + editDistance(b, c));
    assert.ok(editDistance(a, b) >= Math.abs(a.length - b.length));
  }));
});

Deno.test("a received value cannot rewrite a terminal or flood a log", () => {
  assert.equal(received("a\u001b[2Jb\n\u202ec"), "`a\\u{1b}[2Jb\\u{a}\\u{202e}c`");
  assert.ok(received("x".repeat(1_000)).length < 100);
});
