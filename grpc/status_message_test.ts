import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeStatusMessage, encodeStatusMessage } from "./status_message.ts";

Deno.test("whatever the status text, the same text arrives as printable ASCII", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => {
    const encoded = encodeStatusMessage(text, 1 << 20);
    assert.match(encoded, /^[\x20-\x7e]*$/);
    assert.equal(decodeStatusMessage(encoded), text);
  }));
});

Deno.test("a long status text is cut, never inside a character", () => {
  assert.equal(encodeStatusMessage("a".repeat(10), 4), "aaaa");
  assert.equal(decodeStatusMessage(encodeStatusMessage("äöü", 3)), "ä");
  fc.assert(fc.property(fc.string({ unit: "binary" }), fc.nat({ max: 20 }), (text, bytes_max) => {
    const decoded = decodeStatusMessage(encodeStatusMessage(text, bytes_max));
    assert.ok(new TextEncoder().encode(decoded).length <= bytes_max);
    assert.ok(new TextDecoder().decode(new TextEncoder().encode(text)).startsWith(decoded));
  }));
});

Deno.test("a status text with blanks at its ends, or cut behind one, makes a header value", () => {
  assert.equal(encodeStatusMessage(" a b ", 100), "%20a b%20");
  assert.equal(encodeStatusMessage("  ", 100), "%20%20");
  assert.equal(encodeStatusMessage("one two", 4), "one%20");
  fc.assert(fc.property(fc.stringMatching(/^[ ä%a]{0,8}$/), fc.nat({ max: 10 }), (text, max) => {
    assert.doesNotMatch(encodeStatusMessage(text, max), /^ | $/);
    assert.equal(decodeStatusMessage(encodeStatusMessage(text, 100)), text);
  }));
});

Deno.test("a status text keeps a byte order mark", () => {
  assert.equal(decodeStatusMessage(encodeStatusMessage("\ufeffa", 100)), "\ufeffa");
});

Deno.test("what is no escape stays as it is", () => {
  for (const text of ["%", "%a", "%zz", "100%", "%%"]) {
    assert.equal(decodeStatusMessage(text), text);
  }
  assert.equal(decodeStatusMessage("%41%4"), "A%4");
});
