import assert from "node:assert/strict";
import fc from "fast-check";
import { base64Bytes, Base64Reader } from "./base64_stream.ts";

const encoder = new TextEncoder();

Deno.test("base64 texts one after the other decode to their bytes, however they are cut", () => {
  const texts = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 });
  fc.assert(fc.property(texts, fc.array(fc.nat(300)), (parts, cuts) => {
    const joined = new Uint8Array(parts.flatMap((part) => [...base64Bytes(part)]));
    const reader = new Base64Reader();
    const decoded: number[] = [];
    const ends = [
      ...cuts.filter((cut) => cut < joined.length).sort((a, b) => a - b),
      joined.length,
    ];
    let from = 0;
    for (const to of ends) {
      const bytes = reader.read(joined.subarray(from, to));
      assert.ok(bytes !== undefined);
      decoded.push(...bytes);
      from = to;
    }
    assert.equal(reader.inGroup, false);
    assert.deepEqual(decoded, parts.flatMap((part) => [...part]));
  }));
});

for (const text of ["A===", "=AAA", "AA=A", "A A=", "AA\n=", "AA-_", "AAA=====", "ä"]) {
  Deno.test(`\`${text.replace("\n", "\\n")}\` is not base64`, () => {
    const reader = new Base64Reader();
    assert.ok(reader.read(encoder.encode(text)) === undefined || reader.inGroup);
  });
}
