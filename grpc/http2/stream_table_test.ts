import assert from "node:assert/strict";
import fc from "fast-check";
import { StreamTable } from "./stream_table.ts";

Deno.test("a stream table holds what a map would, however its ids meet", () => {
  // Few ids, so that they come again, and some that stand in each other's way.
  const id = fc.oneof(fc.nat(30), fc.nat(12).map((n) => n * 64 + 1), fc.nat(2 ** 31 - 1));
  const step = fc.record({ id, add: fc.boolean() });
  fc.assert(fc.property(fc.array(step, { minLength: 40, maxLength: 200 }), (steps) => {
    const table = new StreamTable<{ id: number }>();
    const model = new Map<number, { id: number }>();
    for (const { id, add } of steps) {
      if (add && !model.has(id)) {
        const stream = { id };
        table.add(stream);
        model.set(id, stream);
      } else {
        table.delete(id);
        model.delete(id);
      }
      assert.equal(table.size, model.size);
    }
    for (const { id } of steps) assert.equal(table.get(id), model.get(id));
    const expected = [...model.values()].sort((a, b) => a.id - b.id);
    assert.deepEqual(table.values(), expected);
  }));
});
