import assert from "node:assert/strict";
import { RateBuckets } from "../../core/policy/rate_limit.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import type { Mutation } from "../../storage/sqlite/records.ts";
import { clean } from "../engine/evidence.ts";
import { RateWindows } from "./windows.ts";

const HOUR_MS = 3_600_000;

class FragileStore extends MemoryStore {
  broken = false;

  override commit(mutations: readonly Mutation[]): Promise<void> {
    return this.broken ? Promise.reject(new Error("disk full")) : super.commit(mutations);
  }

  async keys(): Promise<string[]> {
    const keys: string[] = [];
    for await (const page of this.records("rate_windows")) keys.push(...page.map(({ key }) => key));
    return keys;
  }
}

const charge = (bucket: string, limit = 2, scope = "team:t1") => ({
  scope,
  bucket,
  limit,
  window_ms: HOUR_MS,
});

async function opened(store: FragileStore, now = { ms: 0 }) {
  const buckets = new RateBuckets();
  const options = { store, buckets, now_ms: () => now.ms, redact: clean };
  return { buckets, windows: await RateWindows.open(options), now };
}

Deno.test("a restart refills nothing", async () => {
  const store = new FragileStore();
  const first = await opened(store);
  assert.equal(first.buckets.take([charge("search"), charge("x", 5, "limit global")], 0), true);
  assert.equal(first.buckets.take([charge("search")], 0), true);
  await first.windows.close();
  const second = await opened(store);
  assert.equal(second.buckets.take([charge("search")], 0), false);
  assert.equal(second.buckets.tokens(charge("x", 5, "limit global"), 0), 4);
});

Deno.test("a window that filled up again leaves the store", async () => {
  const store = new FragileStore();
  const { buckets, windows, now } = await opened(store);
  buckets.take([charge("search")], 0);
  await windows.tick();
  assert.equal((await store.keys()).length, 1);
  now.ms = 2 * HOUR_MS;
  await windows.tick();
  assert.equal((await store.keys()).length, 0);
});

Deno.test("a tool name that holds a credential is not stored, nor one of a megabyte", async () => {
  const store = new FragileStore();
  const { buckets, windows } = await opened(store);
  buckets.take([charge(`ghp_${"a1B2".repeat(9)}`), charge("x".repeat(1_000_000)), charge("ok")], 0);
  await windows.close();
  assert.deepEqual(await store.keys(), ['["team:t1","ok"]']);
});

Deno.test("a window that cannot be read counts as used up, and fills within an hour", async () => {
  const store = new FragileStore();
  const key = '["team:t1","search"]';
  const put = (value: string): Mutation => ({
    kind: "put_record",
    collection: "rate_windows",
    key,
    value,
  });
  for (const value of ["", "{}", "[1,2]", "[2,3600000,-1,0]", "[2,3600000,1e99,0]"]) {
    await store.commit([put(value)]);
    const { buckets, windows } = await opened(store);
    assert.equal(windows.status().damaged.size, 1, value);
    assert.equal(buckets.tokens(charge("search"), 0), 0, value);
    assert.equal(buckets.tokens(charge("search"), HOUR_MS), 2, value);
  }
});

Deno.test("a name that cannot be read is named and stops nothing", async () => {
  const store = new FragileStore();
  await store.commit([
    { kind: "put_record", collection: "rate_windows", key: "nonsense", value: "[]" },
  ]);
  const { buckets, windows } = await opened(store);
  assert.deepEqual([...windows.status().damaged.keys()], ["nonsense"]);
  assert.equal(buckets.take([charge("search")], 0), true);
});

Deno.test("a disk that fails loses nothing that can still be written later", async () => {
  const store = new FragileStore();
  const { buckets, windows } = await opened(store);
  buckets.take([charge("search")], 0);
  store.broken = true;
  await windows.tick();
  assert.equal(windows.status().failures, 1);
  store.broken = false;
  await windows.tick();
  assert.equal((await store.keys()).length, 1);
});
