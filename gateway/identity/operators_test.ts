import assert from "node:assert/strict";
import type { Mutation, OperatorRecord } from "../../storage/sqlite/records.ts";
import { SqliteStore } from "../../storage/sqlite/store.ts";
import { OPERATOR_LIMITS, OperatorError, Operators, scopeSatisfies } from "./operators.ts";

const now_ms = () => 1_700_000_000_000;

function memoryStore(records: OperatorRecord[] = []) {
  const log: Mutation[] = [];
  return {
    log,
    failing: false,
    operators: () => Promise.resolve(records),
    commit(mutations: readonly Mutation[]) {
      if (this.failing) return Promise.reject(new Error("disk full"));
      log.push(...mutations);
      return Promise.resolve();
    },
  };
}

Deno.test("an operator's token survives a restart of the gateway and is stored as a hash", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/state.db`;
    let token: string;
    {
      await using store = await SqliteStore.open({ path });
      token = await (await Operators.open(store, now_ms)).create("ops", "write");
    }
    for (const file of [path, `${path}-wal`]) {
      const bytes = await Deno.readFile(file).catch(() => new Uint8Array());
      assert.ok(!new TextDecoder("latin1").decode(bytes).includes(token));
    }
    await using store = await SqliteStore.open({ path });
    const operators = await Operators.open(store, now_ms);
    const { name, scope } = operators.authenticate(token) ?? {};
    assert.deepEqual({ name, scope }, { name: "ops", scope: "write" });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("unknown, empty, cut and overlong tokens authenticate nobody", async () => {
  const operators = await Operators.open(memoryStore(), now_ms);
  const token = await operators.create("ops", "admin");
  for (const wrong of ["", token.slice(0, -1), `${token}x`, "x".repeat(1 << 20)]) {
    assert.equal(operators.authenticate(wrong), undefined);
  }
  assert.equal(operators.authenticate(token)?.name, "ops");
});

Deno.test("an operator that could not be made durable does not exist", async () => {
  const store = memoryStore();
  const operators = await Operators.open(store, now_ms);
  store.failing = true;
  await assert.rejects(operators.create("ops", "admin"), /disk full/);
  assert.equal(operators.size, 0);
  store.failing = false;
  await operators.create("ops", "admin");
});

Deno.test("a removed operator's token is dead at once", async () => {
  const store = memoryStore();
  const operators = await Operators.open(store, now_ms);
  const token = await operators.create("ops", "admin");
  store.failing = true;
  await assert.rejects(operators.remove("ops"), /disk full/);
  assert.equal(operators.authenticate(token), undefined);
  store.failing = false;
  await operators.remove("ops");
  assert.deepEqual(operators.list(), []);
  await assert.rejects(operators.remove("ops"), { code: "not_found" });
});

Deno.test("a name is taken once, also by two requests at the same time", async () => {
  const operators = await Operators.open(memoryStore(), now_ms);
  const outcomes = await Promise.allSettled([
    operators.create("ops", "read"),
    operators.create("ops", "admin"),
  ]);
  assert.deepEqual(outcomes.map((outcome) => outcome.status), ["fulfilled", "rejected"]);
  assert.equal(operators.list()[0]?.scope, "read");
});

Deno.test("names that need quoting, or are too long, are refused", async () => {
  const operators = await Operators.open(memoryStore(), now_ms);
  for (
    const name of ["", " ops", "a b", "a\nb", "-x", "x".repeat(OPERATOR_LIMITS.name_chars + 1)]
  ) {
    await assert.rejects(operators.create(name, "read"), (error) => {
      return error instanceof OperatorError && error.code === "invalid_name";
    });
  }
});

Deno.test("at the bound one more operator is refused by name", async () => {
  const records = Array.from({ length: OPERATOR_LIMITS.operators }, (_, index) => ({
    name: `op${index}`,
    scope: "read" as const,
    token_hash: index.toString(16).padStart(64, "0"),
    created_at_ms: 0,
  }));
  const operators = await Operators.open(memoryStore(records), now_ms);
  await assert.rejects(operators.create("one-more", "read"), { code: "limit_reached" });
});

Deno.test("a higher scope satisfies a lower one, never the other way", () => {
  assert.equal(scopeSatisfies("admin", "read"), true);
  assert.equal(scopeSatisfies("write", "write"), true);
  assert.equal(scopeSatisfies("read", "write"), false);
  assert.equal(scopeSatisfies("write", "admin"), false);
});
