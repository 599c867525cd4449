import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { Mutation, OperatorRecord } from "../../storage/sqlite/records.ts";
import { APPLICATION_ID, MIGRATIONS } from "../../storage/sqlite/schema.ts";
import { SqliteStore } from "../../storage/sqlite/store.ts";
import { type NewOperator, OPERATOR_LIMITS, OperatorError, Operators } from "./operators.ts";
import { tokenHash } from "./tokens.ts";

const NOW = 1_700_000_000_000;
const now_ms = () => NOW;

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

function wanted(name: string, change: Partial<NewOperator> = {}): NewOperator {
  return { name, role: "owner", created_by: "gateway", ...change };
}

Deno.test("an operator's token survives a restart of the gateway and is stored as a hash", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/state.db`;
    let token: string;
    const ops = wanted("ops", { role: "team_admin", org_id: "o1", team_id: "t1" });
    {
      await using store = await SqliteStore.open({ path });
      token = await (await Operators.open(store, now_ms)).create(ops);
    }
    for (const file of [path, `${path}-wal`]) {
      const bytes = await Deno.readFile(file).catch(() => new Uint8Array());
      assert.ok(!new TextDecoder("latin1").decode(bytes).includes(token));
    }
    await using store = await SqliteStore.open({ path });
    const operators = await Operators.open(store, now_ms);
    assert.deepEqual(operators.authenticate(token), {
      name: "ops",
      role: "team_admin",
      scope: "write",
      org_id: "o1",
      team_id: "t1",
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("operators of a store without roles keep what they had or less, and an owner remains", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/state.db`;
    const before = new DatabaseSync(path);
    for (const statement of MIGRATIONS.slice(0, 2).flat()) before.exec(statement);
    for (const scope of ["read", "write", "admin"]) {
      before.prepare("INSERT INTO operators VALUES (?, ?, ?, 5)").run(
        scope,
        scope,
        tokenHash(scope),
      );
    }
    before.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
    before.exec("PRAGMA user_version = 2");
    before.close();
    await using store = await SqliteStore.open({ path });
    const operators = await Operators.open(store, now_ms);
    const roles = ["read", "write", "admin"].map((token) => operators.authenticate(token));
    assert.deepEqual(roles.map((operator) => [operator?.role, operator?.scope, operator?.name]), [
      ["viewer", "read", "read"],
      ["developer", "write", "write"],
      ["owner", "admin", "admin"],
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("unknown, empty, cut and overlong tokens authenticate nobody", async () => {
  const operators = await Operators.open(memoryStore(), now_ms);
  const token = await operators.create(wanted("ops"));
  for (const wrong of ["", token.slice(0, -1), `${token}x`, "x".repeat(1 << 20)]) {
    assert.equal(operators.authenticate(wrong), undefined);
  }
  assert.equal(operators.authenticate(token)?.name, "ops");
});

Deno.test("an operator that could not be made durable does not exist", async () => {
  const store = memoryStore();
  const operators = await Operators.open(store, now_ms);
  store.failing = true;
  await assert.rejects(operators.create(wanted("ops")), /disk full/);
  assert.equal(operators.size, 0);
  store.failing = false;
  await operators.create(wanted("ops"));
});

Deno.test("a revoked operator's token is dead at once, and its name is never given again", async () => {
  const store = memoryStore();
  const operators = await Operators.open(store, now_ms);
  const token = await operators.create(wanted("ops", { role: "viewer" }));
  store.failing = true;
  await assert.rejects(operators.revoke("ops"), /disk full/);
  assert.deepEqual(operators.identify(token), { outcome: "revoked" });
  store.failing = false;
  await assert.rejects(operators.revoke("ops"), { code: "not_found" });
  await assert.rejects(operators.create(wanted("ops")), { code: "already_exists" });
  await assert.rejects(operators.revoke("nobody"), { code: "not_found" });
});

Deno.test("the last owner cannot be revoked, nor one who leaves only owners that will expire", async () => {
  const operators = await Operators.open(memoryStore(), now_ms);
  await operators.create(wanted("first"));
  await assert.rejects(operators.revoke("first"), { code: "last_owner" });
  await operators.create(wanted("guest", { expires_at_ms: NOW + 1 }));
  await operators.create(wanted("admin", { role: "org_admin" }));
  await assert.rejects(operators.revoke("first"), { code: "last_owner" });
  await operators.create(wanted("second"));
  const both = await Promise.allSettled([operators.revoke("first"), operators.revoke("second")]);
  assert.deepEqual(both.map((outcome) => outcome.status), ["fulfilled", "rejected"]);
});

Deno.test("an expired token stays expired when the clock is set back", async () => {
  let now = NOW;
  const operators = await Operators.open(memoryStore(), () => now);
  const token = await operators.create(wanted("guest", { expires_at_ms: NOW + 1_000 }));
  assert.equal(operators.identify(token).outcome, "known");
  now = NOW + 1_000;
  assert.deepEqual(operators.identify(token), { outcome: "expired" });
  now = NOW;
  assert.deepEqual(operators.identify(token), { outcome: "expired" });
});

Deno.test("a name is taken once, also by two requests at the same time", async () => {
  const operators = await Operators.open(memoryStore(), now_ms);
  const outcomes = await Promise.allSettled([
    operators.create(wanted("ops", { role: "viewer" })),
    operators.create(wanted("ops")),
  ]);
  assert.deepEqual(outcomes.map((outcome) => outcome.status), ["fulfilled", "rejected"]);
  assert.equal(operators.list()[0]?.role, "viewer");
});

Deno.test("names that need quoting or are too long, and bindings that cannot be, are refused", async () => {
  const operators = await Operators.open(memoryStore(), now_ms);
  for (
    const name of ["", " ops", "a b", "a\nb", "-x", "x".repeat(OPERATOR_LIMITS.name_chars + 1)]
  ) {
    await assert.rejects(operators.create(wanted(name)), (error) => {
      return error instanceof OperatorError && error.code === "invalid_name";
    });
  }
  const bad: Partial<NewOperator>[] = [
    { role: "owner", org_id: "o1" },
    { role: "team_admin" },
    { role: "viewer", org_id: "" },
    { role: "viewer", org_id: "a\u0000b" },
    { role: "viewer", team_id: "x".repeat(OPERATOR_LIMITS.name_chars + 1) },
    { expires_at_ms: NOW },
    { expires_at_ms: Infinity },
    { expires_at_ms: NaN },
  ];
  for (const change of bad) {
    await assert.rejects(operators.create(wanted("ops", change)), { code: "invalid_field" });
  }
  assert.equal(operators.size, 0);
});

Deno.test("at the bound one more operator is refused by name", async () => {
  const records = Array.from({ length: OPERATOR_LIMITS.operators }, (_, index) => ({
    name: `op${index}`,
    role: "viewer" as const,
    status: "active" as const,
    token_hash: index.toString(16).padStart(64, "0"),
    created_at_ms: 0,
    created_by: "gateway",
  }));
  const operators = await Operators.open(memoryStore(records), now_ms);
  await assert.rejects(operators.create(wanted("one-more")), { code: "limit_reached" });
  await operators.revoke("op0");
  await operators.create(wanted("one-more"));
});
