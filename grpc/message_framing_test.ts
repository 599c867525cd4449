import assert from "node:assert/strict";
import fc from "fast-check";
import { isSingleMessage, MessageReader } from "./message_framing.ts";
import { MessageSlab } from "./message_slab.ts";
import { concat, prefixed } from "./testing/raw_peer.ts";

Deno.test("messages are the same wherever their bytes are split", () => {
  const messages = fc.array(
    fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 1000, maxLength: 9000 })),
    { maxLength: 8 },
  );
  const sizes = fc.array(
    fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 5000 })),
    { minLength: 1, maxLength: 20 },
  );
  fc.assert(fc.property(messages, sizes, fc.boolean(), (expected, pieces, eager) => {
    const bytes = concat(...expected.map((message) => prefixed(message)));
    const slab = new MessageSlab();
    slab.copy(new Uint8Array(1), 0, 1);
    const reader = new MessageReader(9000, eager ? slab : undefined);
    const seen: Uint8Array[] = [];
    const drain = () => {
      while (reader.head() === "message") seen.push(reader.take());
    };
    let at = 0;
    for (let turn = 0; at < bytes.length; turn++) {
      const end = Math.min(bytes.length, at + (pieces[turn % pieces.length] ?? 1));
      reader.append(bytes, at, end);
      at = end;
      if (eager) drain();
    }
    drain();
    assert.deepEqual(seen, expected);
    assert.equal(reader.head(), "empty");
    assert.equal(reader.bufferedBytes, 0);
  }));
});

Deno.test("what can never be taken is named as soon as it can be known", () => {
  const headOf = (...bytes: number[]) => {
    const reader = new MessageReader(100);
    reader.append(Uint8Array.from(bytes), 0, bytes.length);
    return reader.head();
  };
  assert.equal(headOf(), "empty");
  assert.equal(headOf(1), "compressed");
  assert.equal(headOf(2), "bad_flag");
  assert.equal(headOf(0, 0, 0, 0), "partial");
  assert.equal(headOf(0, 0, 0, 0, 101), "too_long");
  assert.equal(headOf(0, 255, 255, 255, 255), "too_long");
  assert.equal(headOf(0, 0, 0, 0, 100), "partial");
  assert.equal(headOf(0, 0, 0, 0, 0), "message");
});

Deno.test("a taken message is a copy that later data cannot change", () => {
  const reader = new MessageReader(100);
  const first = prefixed([1, 2, 3]);
  reader.append(first, 0, first.length);
  const taken = reader.take();
  first.fill(9);
  reader.append(prefixed([4, 5, 6]), 0, 8);
  assert.deepEqual(taken, Uint8Array.of(1, 2, 3));
});

Deno.test("only exactly one plain message within its bound takes the short way", () => {
  const is = (bytes: Uint8Array) => isSingleMessage(bytes, 0, bytes.length, 3);
  assert.ok(is(prefixed([])));
  assert.ok(is(prefixed([1, 2, 3])));
  assert.ok(!is(prefixed([1, 2, 3, 4])));
  assert.ok(!is(prefixed([1], 1)));
  assert.ok(!is(concat(prefixed([1]), prefixed([2]))));
  assert.ok(!is(prefixed([1, 2]).subarray(0, 6)));
  assert.ok(!is(new Uint8Array(4)));
});
