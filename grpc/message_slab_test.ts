import assert from "node:assert/strict";
import fc from "fast-check";
import { MessageSlab } from "./message_slab.ts";

Deno.test("messages that share memory are copies that nothing changes", () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 2000 }), { maxLength: 60 });
  fc.assert(fc.property(messages, (expected) => {
    const slab = new MessageSlab();
    const copies = expected.map((message) => {
      const received = Uint8Array.of(7, ...message, 7);
      const copy = slab.copy(received, 1, 1 + message.length);
      received.fill(9);
      return copy;
    });
    assert.deepEqual(copies, expected);
  }));
});

Deno.test("a small message that is kept keeps at most 8 KiB", () => {
  const slab = new MessageSlab();
  for (let length = 0; length < 1024; length++) {
    assert.ok(slab.copy(new Uint8Array(length), 0, length).buffer.byteLength <= 8192);
  }
  assert.equal(slab.copy(new Uint8Array(5000), 0, 5000).buffer.byteLength, 5000);
});
