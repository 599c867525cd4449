import assert from "node:assert/strict";
import fc from "fast-check";
import { CALL_RETRY_BUFFER_BYTES } from "../bounds.ts";
import { RequestBuffer } from "./request_buffer.ts";

Deno.test("each attempt sends every request in order, until there is no other attempt", () => {
  const step = fc.constantFrom("add", "take", "rewind", "release");
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    const buffer = new RequestBuffer();
    const all: Uint8Array[] = [];
    let next = 0;
    let released = false;
    for (const each of steps) {
      if (each === "add") {
        const message = Uint8Array.of(all.length);
        all.push(message);
        assert.ok(buffer.add(message));
      } else if (each === "take") {
        assert.equal(buffer.hasUnsent, next < all.length);
        assert.equal(buffer.take(), all[next]);
        if (next < all.length) next++;
      } else if (each === "rewind" && !released) {
        buffer.rewind();
        next = 0;
      } else if (each === "release") {
        buffer.release();
        released = true;
      }
    }
  }));
});

Deno.test("a buffer says when it keeps more than it may, and not once it keeps nothing", () => {
  const buffer = new RequestBuffer();
  assert.ok(buffer.add(new Uint8Array(CALL_RETRY_BUFFER_BYTES)));
  assert.ok(!buffer.add(new Uint8Array(1)));
  buffer.release();
  assert.ok(buffer.add(new Uint8Array(CALL_RETRY_BUFFER_BYTES + 1)));
});
