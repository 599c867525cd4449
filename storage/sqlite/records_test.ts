import assert from "node:assert/strict";
import fc from "fast-check";
import { SQLITE_LIMITS } from "./limits.ts";
import type { Mutation, RecordRange, StateStore, StoredRecord } from "./records.ts";
import { SqliteStore } from "./store.ts";
import { MemoryStore } from "../memory/store.ts";

async function allOf(store: StateStore, range?: RecordRange): Promise<StoredRecord[]> {
  return (await Array.fromAsync(store.records("approvals", range))).flat();
}

function put(key: string, value: unknown = {}): Mutation {
  return { kind: "put_record", collection: "approvals", key, value: JSON.stringify(value) };
}

Deno.test("the records of a room survive a restart, apart from those of other rooms", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/state.db`;
    {
      await using store = await SqliteStore.open({ path });
      await store.commit([put("b", { n: 2 }), put("a"), put("b", { n: 3 })]);
      await store.commit([{ kind: "put_record", collection: "edges", key: "a", value: "[]" }]);
    }
    await using store = await SqliteStore.open({ path });
    assert.deepEqual(await allOf(store), [
      { key: "a", value: "{}" },
      { key: "b", value: '{"n":3}' },
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("more records than one page holds are all read, in order", async () => {
  await using store = await SqliteStore.open({ path: ":memory:" });
  const count = SQLITE_LIMITS.read_page_rows * 2 + 1;
  const keys = Array.from({ length: count }, (_, index) => String(index).padStart(8, "0"));
  await store.commit(keys.map((key) => put(key)));
  assert.deepEqual((await allOf(store)).map((record) => record.key), keys);
  assert.deepEqual(
    (await allOf(store, { after: "00000003", through: "00000005" })).map((record) => record.key),
    ["00000004", "00000005"],
  );
});

Deno.test("what is not JSON, has no key or is too long is refused, and nothing beside it is stored", async () => {
  await using store = await SqliteStore.open({ path: ":memory:" });
  const bad: Mutation[] = [
    { kind: "put_record", collection: "approvals", key: "x", value: "{not json" },
    { kind: "put_record", collection: "approvals", key: "", value: "{}" },
    put("x", "y".repeat(SQLITE_LIMITS.record_chars)),
    put("null\u0000inside"),
  ];
  for (const mutation of bad) {
    await assert.rejects(store.commit([put("beside"), mutation]), { code: "constraint" });
  }
  assert.deepEqual(await allOf(store), []);
});

Deno.test("the memory store keeps records exactly as the database does", async () => {
  const key = fc.constantFrom("a", "b", "c", "d", "\u{1F600}", "\uFF5E");
  const mutation = fc.oneof(
    fc.record({ put: key, n: fc.integer() }).map(({ put: at, n }) => put(at, n)),
    key.map((at): Mutation => ({ kind: "delete_record", collection: "approvals", key: at })),
    key.map((at): Mutation => ({
      kind: "delete_records_through",
      collection: "approvals",
      key: at,
    })),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(mutation, { maxLength: 20 }), key, async (mutations, after) => {
      await using database = await SqliteStore.open({ path: ":memory:" });
      const memory = new MemoryStore();
      for (const one of mutations) {
        await database.commit([one]);
        await memory.commit([one]);
      }
      assert.deepEqual(await allOf(memory), await allOf(database));
      assert.deepEqual(await allOf(memory, { after }), await allOf(database, { after }));
    }),
    { numRuns: 30 },
  );
});
