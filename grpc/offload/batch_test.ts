import assert from "node:assert/strict";
import fc from "fast-check";
import { BATCH_HEAD_BYTES, BatchError, BatchReader, BatchWriter, FrameKind } from "./batch.ts";

const FIELD = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)),
});
const FRAME = fc.record({
  kind: fc.constantFrom(...Object.values(FrameKind)),
  id: fc.nat(2 ** 32 - 1),
  byte: fc.nat(255),
  number: fc.double(),
  message: fc.uint8Array({ maxLength: 20_000 }),
  text: fc.string({ unit: "grapheme", maxLength: 9_000 }),
  fields: fc.array(fc.tuple(FIELD, FIELD), { maxLength: 5 }).map((pairs) => pairs.flat()),
});

Deno.test("what is written into a batch is read from it, whatever its size", () => {
  fc.assert(
    fc.property(fc.array(FRAME, { maxLength: 8 }), fc.nat(1_000), (frames, taken) => {
      const writer = new BatchWriter();
      for (const frame of frames) {
        writer.frame(frame.kind, frame.id);
        writer.u8(frame.byte);
        writer.f64(frame.number);
        writer.message(frame.message);
        writer.text(frame.text);
        writer.fields(frame.fields);
      }
      assert.equal(writer.empty, frames.length === 0);
      const batch = writer.take(taken);
      assert.ok(writer.empty, "the next batch starts empty");
      const reader = new BatchReader(batch);
      assert.equal(reader.u32(), taken);
      for (const frame of frames) {
        assert.equal(reader.u8(), frame.kind);
        assert.equal(reader.u32(), frame.id);
        assert.equal(reader.u8(), frame.byte);
        assert.ok(Object.is(reader.f64(), frame.number));
        const length = reader.u32();
        const start = reader.span(length);
        assert.equal(reader.bytes[start], 0, "not compressed");
        assert.deepEqual(reader.bytes.subarray(start + 5, start + length), frame.message);
        assert.equal(reader.text(), frame.text);
        assert.deepEqual(reader.fields(), frame.fields);
      }
      assert.ok(reader.atEnd);
    }),
    { numRuns: 200 },
  );
});

Deno.test("a batch of any bytes is read within its bounds or is a BatchError, never more", () => {
  const reads = ["u8", "u32", "f64", "text", "fields"] as const;
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 64 }),
      fc.array(fc.constantFrom(...reads), { maxLength: 8 }),
      (bytes, steps) => {
        const reader = new BatchReader(bytes);
        try {
          for (const step of steps) reader[step]();
        } catch (error) {
          assert.ok(error instanceof BatchError, String(error));
        }
      },
    ),
    { numRuns: 3_000 },
  );
});

Deno.test("a claimed count of fields makes no room before it is there", () => {
  const bytes = new Uint8Array(BATCH_HEAD_BYTES + 4).fill(0xff);
  bytes[bytes.length - 1] = 0xfe;
  const reader = new BatchReader(bytes);
  reader.u32();
  assert.throws(() => reader.fields(), BatchError);
});
