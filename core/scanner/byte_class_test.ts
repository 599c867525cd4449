import assert from "node:assert/strict";
import { nextTerminator, spaceBytes } from "./byte_class.ts";

Deno.test("exactly the characters Unicode calls white space are white space", () => {
  const bytes = new Uint8Array(8);
  for (let code = 0; code <= 0x1ffff; code++) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    const character = String.fromCodePoint(code);
    const { written } = new TextEncoder().encodeInto(character, bytes);
    const expected = /^\p{White_Space}$/u.test(character) ? written : 0;
    assert.equal(spaceBytes(bytes, 0), expected, `U+${code.toString(16)}`);
  }
});

Deno.test("a terminator is white space, a quote, a comma, a semicolon or a closing bracket", () => {
  for (let code = 1; code < 0x80; code++) {
    const character = String.fromCharCode(code);
    const ends = /[\s"',;)\]}]/.test(character);
    const bytes = new TextEncoder().encode(`ab${character}c`);
    assert.equal(nextTerminator(bytes, 0, bytes.length), ends ? 2 : 4, character);
  }
  const wide = new TextEncoder().encode("é中\u3000x");
  assert.equal(nextTerminator(wide, 0, wide.length), 5);
});
