import assert from "node:assert/strict";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { Fields } from "./fields.ts";

const FIELD = fc.oneof(
  fc.record({
    kind: fc.constant("number" as const),
    value: fc.oneof(fc.nat(), fc.maxSafeInteger(), fc.constantFrom(127, 128, 2 ** 28, 2 ** 32)),
  }),
  fc.record({
    kind: fc.constant("text" as const),
    value: fc.oneof(fc.string(), fc.string({ unit: "binary", maxLength: 700 })),
  }),
  fc.record({ kind: fc.constant("bytes" as const), value: fc.uint8Array({ maxLength: 700 }) }),
);

Deno.test("fields are written as the library writes them, in a scratch buffer of any size", () => {
  fc.assert(fc.property(
    fc.array(fc.tuple(fc.integer({ min: 1, max: 2_000 }), FIELD), { maxLength: 8 }),
    fc.integer({ min: 0, max: 64 }),
    (fields, scratch_bytes) => {
      const ours = new Fields(new Uint8Array(scratch_bytes).fill(0xaa));
      const theirs = new BinaryWriter();
      for (const [field, { kind, value }] of fields) {
        if (kind === "number") {
          ours.number(field, value);
          if (value === 0) continue;
          theirs.uint32(field << 3);
          if (value < 0) theirs.int64(value);
          else theirs.uint64(value);
        } else if (kind === "text") {
          ours.text(field, value);
          if (value !== "") theirs.uint32(field << 3 | 2).string(value.toWellFormed());
        } else {
          ours.bytes(field, value);
          if (value.length > 0) theirs.uint32(field << 3 | 2).bytes(value);
        }
      }
      assert.deepEqual([...ours.finish()], [...theirs.finish()]);
    },
  ));
});
