import assert from "node:assert/strict";
import fc from "fast-check";
import { HpackDecoder, HpackError } from "./decoder.ts";
import { encodeBlock, encodeField } from "./encoder.ts";
import { decodeHuffman, encodeHuffman } from "./huffman.ts";

const LIST_BYTES = 1 << 20;

const hex = (text: string) => Uint8Array.fromHex(text.replace(/\s/g, ""));

function decode(decoder: HpackDecoder, text: string): string[] {
  const block = hex(text);
  return decoder.decode(block, 0, block.length, LIST_BYTES).fields;
}

function decodeFails(text: string, table_bytes?: number): void {
  assert.throws(() => decode(new HpackDecoder(table_bytes), text), HpackError);
}

Deno.test("HPACK reads the single-field examples of RFC 7541 C.2", () => {
  const literal = new HpackDecoder();
  assert.deepEqual(
    decode(literal, "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572"),
    ["custom-key", "custom-header"],
  );
  assert.equal(literal.table_bytes, 55);
  const plain = new HpackDecoder();
  assert.deepEqual(decode(plain, "040c 2f73 616d 706c 652f 7061 7468"), [":path", "/sample/path"]);
  assert.deepEqual(decode(plain, "1008 7061 7373 776f 7264 0673 6563 7265 74"), [
    "password",
    "secret",
  ]);
  assert.deepEqual(decode(plain, "82"), [":method", "GET"]);
  assert.equal(plain.table_bytes, 0);
});

const FIRST = [":method", "GET", ":scheme", "http", ":path", "/", ":authority", "www.example.com"];
const SECOND = [...FIRST, "cache-control", "no-cache"];
const THIRD = [
  ...[":method", "GET", ":scheme", "https", ":path", "/index.html"],
  ...[":authority", "www.example.com", "custom-key", "custom-value"],
];

Deno.test("HPACK reads the request sequences of RFC 7541 C.3 and C.4", () => {
  const sequences = [
    [
      "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "8286 84be 5808 6e6f 2d63 6163 6865",
      "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ],
    [
      "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
      "8286 84be 5886 a8eb 1064 9cbf",
      "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ],
  ];
  for (const [first, second, third] of sequences) {
    const decoder = new HpackDecoder();
    assert.deepEqual(decode(decoder, first ?? ""), FIRST);
    assert.equal(decoder.table_bytes, 57);
    assert.deepEqual(decode(decoder, second ?? ""), SECOND);
    assert.equal(decoder.table_bytes, 110);
    assert.deepEqual(decode(decoder, third ?? ""), THIRD);
    assert.equal(decoder.table_bytes, 164);
  }
});

Deno.test("HPACK reads the response sequences of RFC 7541 C.5 and C.6, evictions included", () => {
  const sequences = [
    [
      `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a
       3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
      "4803 3330 37c1 c0bf",
      `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04
       677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49
       553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31`,
    ],
    [
      `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e
       919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`,
      "4883 640e ffc1 c0bf",
      `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7
       821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed
       4ee5 b106 3d50 07`,
    ],
  ];
  const date = "Mon, 21 Oct 2013 20:13:21 GMT";
  const later = "Mon, 21 Oct 2013 20:13:22 GMT";
  const location = "https://www.example.com";
  const cookie = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
  for (const [first, second, third] of sequences) {
    const decoder = new HpackDecoder(256);
    assert.deepEqual(decode(decoder, "3f e1 01"), []); // a table size of 256
    const rest = ["cache-control", "private", "date", date, "location", location];
    assert.deepEqual(decode(decoder, first ?? ""), [":status", "302", ...rest]);
    assert.equal(decoder.table_bytes, 222);
    assert.deepEqual(decode(decoder, second ?? ""), [":status", "307", ...rest]);
    assert.equal(decoder.table_bytes, 222);
    assert.deepEqual(decode(decoder, third ?? ""), [
      ...[":status", "200", "cache-control", "private", "date", later, "location", location],
      ...["content-encoding", "gzip", "set-cookie", cookie],
    ]);
    assert.equal(decoder.table_bytes, 215);
  }
});

const text = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)),
});
const field = fc.tuple(text, text, fc.constantFrom("plain" as const, "never_indexed" as const));

Deno.test("whatever fields are encoded, the same fields are decoded", () => {
  fc.assert(fc.property(fc.array(field), (fields) => {
    const out: number[] = [];
    for (const [name, value, sensitivity] of fields) encodeField(out, name, value, sensitivity);
    const block = Uint8Array.from(out);
    const decoded = new HpackDecoder().decode(block, 0, block.length, LIST_BYTES);
    assert.deepEqual(decoded.fields, fields.flatMap(([name, value]) => [name, value]));
  }));
});

Deno.test("whatever text is Huffman-coded, the same text is decoded", () => {
  fc.assert(fc.property(text, (original) => {
    const out: number[] = [];
    encodeHuffman(original, out);
    assert.equal(decodeHuffman(Uint8Array.from(out), 0, out.length), original);
  }));
});

Deno.test("Huffman code is what RFC 7541 writes down, the longest words too", () => {
  const coded = (original: string) => {
    const out: number[] = [];
    encodeHuffman(original, out);
    return Uint8Array.from(out).toHex();
  };
  assert.equal(coded("www.example.com"), "f1e3c2e5f23a6ba0ab90f4ff");
  assert.equal(
    coded("Mon, 21 Oct 2013 20:13:21 GMT"),
    "d07abe941054d444a8200595040b8166e082a62d1bff",
  );
  assert.equal(coded("\n"), "fffffff3"); // thirty bits
});

Deno.test("random bytes decode to a bounded list or an HpackError, nothing else", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }), (blocks) => {
      const decoder = new HpackDecoder();
      for (const block of blocks) {
        try {
          decoder.decode(block, 0, block.length, 1000);
        } catch (reason) {
          assert.ok(reason instanceof HpackError);
          return;
        }
        assert.ok(decoder.table_bytes <= 4096);
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("Huffman text with EOS, long padding or zero padding is refused", () => {
  decodeFails("0001 61 84 ffff ffff"); // EOS inside
  decodeFails("0001 61 82 1fff"); // "a" and eleven bits of padding
  decodeFails("0001 61 81 18"); // "a" and padding of zeros
  assert.deepEqual(decode(new HpackDecoder(), "0001 61 81 1f"), ["a", "a"]);
});

Deno.test("integers that overflow are refused, long forms of small ones are not", () => {
  decodeFails("ff ff ff ff ff ff ff ff ff 7f");
  decodeFails("7f ff ff ff ff 0f");
  decodeFails("00 7f ff ff ff ff 0f 61");
  assert.deepEqual(decode(new HpackDecoder(), "3f9a0a"), []); // a table size of 1337
  // A length of 127 in two bytes, the second of which adds nothing.
  const padded = `0001 61 7f 8000 ${"62".repeat(127)}`;
  assert.deepEqual(decode(new HpackDecoder(), padded), ["a", "b".repeat(127)]);
});

Deno.test("a block that ends inside a field is refused", () => {
  const whole = encodeBlock(["x-name", "a value", ":path", "/somewhere/long"]);
  const boundaries = new Set<number>([0]);
  for (const count of [2, 4]) {
    boundaries.add(
      encodeBlock(["x-name", "a value", ":path", "/somewhere/long"].slice(0, count)).length,
    );
  }
  for (let end = 1; end < whole.length; end++) {
    if (boundaries.has(end)) continue;
    assert.throws(() => new HpackDecoder().decode(whole, 0, end, LIST_BYTES), HpackError);
  }
});

Deno.test("indexes outside the tables are refused", () => {
  decodeFails("80");
  decodeFails("be");
  decodeFails("ff00");
  decodeFails("7e 01 61");
});

Deno.test("a table size update may not pass the limit, stand late, or come three times", () => {
  decodeFails("3fe2 1f"); // 4097
  decodeFails("82 20");
  decodeFails("20 20 20");
  assert.deepEqual(decode(new HpackDecoder(), "20 3fe1 1f 82"), [":method", "GET"]);
});

Deno.test("a smaller table holds from the peer's acknowledgement on, and must be said", () => {
  const insert = "40 01 61 01 62"; // a: b, indexed
  const decoder = new HpackDecoder(0, false);
  assert.deepEqual(decode(decoder, insert), ["a", "b"]);
  assert.deepEqual(decode(decoder, "be"), ["a", "b"]);
  decoder.onLimitAcknowledged();
  assert.throws(() => decode(decoder, "82"), HpackError);
  assert.deepEqual(decode(decoder, "20 82"), [":method", "GET"]);
  assert.equal(decoder.table_bytes, 0);
  assert.throws(() => decode(decoder, "be"), HpackError);
});

Deno.test("a larger table counts only once the peer has asked for it", () => {
  const decoder = new HpackDecoder(65_536, false);
  decoder.onLimitAcknowledged();
  const large = new Uint8Array(6 + 5000).fill(0x78);
  large.set([0x40, 1, 0x61, 0x7f, 5000 - 127 & 127 | 128, 5000 - 127 >> 7]);
  decoder.decode(large, 0, large.length, LIST_BYTES);
  assert.equal(decoder.table_bytes, 0);
  assert.deepEqual(decode(decoder, "3f e1 ff 03"), []); // a table size of 65536
  decoder.decode(large, 0, large.length, LIST_BYTES);
  assert.equal(decoder.table_bytes, 5033);
});

Deno.test("a table shrunk to zero forgets everything and keeps nothing", () => {
  const decoder = new HpackDecoder();
  decode(decoder, "4001 61 01 62");
  assert.deepEqual(decode(decoder, "be"), ["a", "b"]);
  const before = decoder.generation;
  decode(decoder, "20");
  assert.notEqual(decoder.generation, before);
  assert.equal(decoder.table_bytes, 0);
  assert.throws(() => decode(decoder, "be"), HpackError);
  decode(decoder, "4001 61 01 62");
  assert.equal(decoder.table_bytes, 0);
});

Deno.test("an HPACK bomb is cut at the list bound and leaves the table in step", () => {
  const decoder = new HpackDecoder();
  const insert: number[] = [0x40, 1, 0x61, 0x7f, 0xa1, 0x1e]; // a value of 4000 bytes
  const bomb = Uint8Array.from([
    ...insert,
    ...new Array(4000).fill(0x62),
    ...new Array(9000).fill(0xbe),
  ]);
  const decoded = decoder.decode(bomb, 0, bomb.length, 16_384);
  assert.ok(decoded.too_large);
  assert.equal(decoded.fields.length, 2 * 4);
  assert.equal(decoder.table_bytes, 4033);
  const after = Uint8Array.of(0xbe);
  assert.equal(decoder.decode(after, 0, 1, 16_384).fields[0], "a");
});
