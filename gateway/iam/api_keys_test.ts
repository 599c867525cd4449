import assert from "node:assert/strict";
import fc from "fast-check";
import type { Mutation } from "../../storage/sqlite/records.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import { type NewOperator, Operators } from "../identity/operators.ts";
import { tokenHash } from "../identity/tokens.ts";
import { keyText, readKey } from "./api_key.ts";
import { ApiKeyError, ApiKeys, type NewKey } from "./api_keys.ts";
import { IAM_LIMITS } from "./limits.ts";

const NOW = 1_700_000_000_000;

/** A store that can be told to fail, or to hold its writes back. */
class TestStore extends MemoryStore {
  failing = false;
  gate: Promise<void> | undefined;

  override async commit(mutations: readonly Mutation[]): Promise<void> {
    await this.gate;
    if (this.failing) throw new Error("disk full");
    await super.commit(mutations);
  }

  async texts(): Promise<string[]> {
    const pages = await Array.fromAsync(this.records("api_keys"));
    return pages.flat().map(({ value }) => value);
  }
}

async function opened() {
  const clock = { now: NOW };
  const store = new TestStore();
  const operators = await Operators.open(store, () => clock.now);
  const keys = await ApiKeys.open(store, operators, () => clock.now);
  operators.useKeys(keys);
  const operator = async (change: Partial<NewOperator> & Pick<NewOperator, "name">) => {
    const token = await operators.create({ role: "owner", created_by: "gateway", ...change });
    const actor = operators.authenticate(token);
    assert.ok(actor);
    return actor;
  };
  const reopened = async () => {
    const again = await Operators.open(store, () => clock.now);
    const loaded = await ApiKeys.open(store, again, () => clock.now);
    again.useKeys(loaded);
    return { operators: again, keys: loaded };
  };
  return { clock, store, operators, keys, operator, reopened };
}

function wanted(change: Partial<NewKey> = {}): NewKey {
  return {
    role: "owner",
    label: "ci",
    key_scopes: ["read:policies"],
    ttl_seconds: 3_600,
    ...change,
  };
}

Deno.test("trap 40: a key's secret comes from the CSPRNG, is shown once, and is kept as a hash", async () => {
  const { keys, operator, store, reopened } = await opened();
  const owner = await operator({ name: "ops" });
  const { key, secret } = await keys.prepareCreate(owner, wanted()).apply();
  assert.match(secret, /^aa_live_[A-Za-z0-9_-]{43}$/);
  assert.equal(key.prefix, secret.slice(0, 12));
  assert.equal(key.hash, tokenHash(secret));
  assert.ok((await store.texts()).every((text) => !text.includes(secret.slice(12))));
  const restarted = await reopened();
  assert.deepEqual(restarted.operators.authenticate(secret), {
    name: "ops",
    role: "owner",
    scope: "admin",
    key_scopes: ["read:policies"],
    key_id: key.id,
  });
});

Deno.test("a key acts in its owner's name with at most what the owner has", async () => {
  const { keys, operator } = await opened();
  const admin = await operator({
    name: "lead",
    role: "team_admin",
    org_id: "o1",
    team_id: "t1",
  });
  const within = { org_id: "o1", team_id: "t1" };
  await keys.prepareCreate(admin, wanted({ role: "developer", ...within })).apply();
  const beyond: Partial<NewKey>[] = [
    { role: "org_admin", org_id: "o1" },
    { role: "owner" },
    { role: "viewer" },
    { role: "viewer", org_id: "o1" },
    { role: "viewer", org_id: "o1", team_id: "t2" },
    { role: "viewer", org_id: "o2", team_id: "t1" },
  ];
  for (const change of beyond) {
    assert.throws(() => keys.prepareCreate(admin, wanted(change)), { code: "not_allowed" });
  }
});

Deno.test("a narrowed key makes no key with scopes it lacks, and rotates none but itself", async () => {
  const { keys, operators, operator } = await opened();
  const owner = await operator({ name: "ops" });
  const wide = await keys.prepareCreate(owner, wanted({ key_scopes: ["admin"] })).apply();
  const narrow = await keys.prepareCreate(owner, wanted()).apply();
  const actor = operators.authenticate(narrow.secret);
  assert.ok(actor);
  assert.throws(() => keys.prepareCreate(actor, wanted({ key_scopes: ["admin"] })), {
    code: "not_allowed",
  });
  assert.throws(() => keys.prepareRotate(actor, wide.key.id, 0), { code: "not_found" });
  keys.prepareRotate(actor, narrow.key.id, 0);
  const may = { manages: false, repairs: false };
  assert.throws(() => keys.checkRevoke(actor, wide.key.id, may), { code: "not_found" });
});

Deno.test("somebody else's key can be revoked by who manages it, and rotated by nobody but its owner", async () => {
  const { keys, operator } = await opened();
  const owner = await operator({ name: "ops" });
  const admin = await operator({ name: "admin", role: "org_admin", org_id: "o1" });
  const dev = await operator({ name: "dev", role: "developer", org_id: "o1", team_id: "t1" });
  const { key } = await keys.prepareCreate(
    dev,
    wanted({ role: "developer", org_id: "o1", team_id: "t1" }),
  ).apply();
  const { key: owners } = await keys.prepareCreate(owner, wanted()).apply();
  for (const other of [owner, admin]) {
    assert.throws(() => keys.prepareRotate(other, key.id, 0), { code: "not_found" });
  }
  const manages = { manages: true, repairs: false };
  assert.equal(keys.checkRevoke(admin, key.id, manages)?.id, key.id);
  assert.throws(() => keys.checkRevoke(admin, owners.id, manages), { code: "not_found" });
});

Deno.test("a rotation keeps the end, and the old secret for the overlap only", async () => {
  const { clock, keys, operators, operator, reopened } = await opened();
  const owner = await operator({ name: "ops" });
  const first = await keys.prepareCreate(owner, wanted()).apply();
  const second = await keys.prepareRotate(owner, first.key.id, 60).apply();
  assert.equal(second.key.expires_at_ms, first.key.expires_at_ms);
  assert.equal(second.key.id, first.key.id);
  assert.equal(operators.identify(first.secret).outcome, "known");
  assert.equal(operators.identify(second.secret).outcome, "known");
  const restarted = await reopened();
  assert.equal(restarted.operators.identify(first.secret).outcome, "known");
  clock.now += 60_000;
  assert.equal(operators.identify(first.secret).outcome, "expired");
  assert.equal(operators.identify(second.secret).outcome, "known");
  const third = await keys.prepareRotate(owner, first.key.id, 0).apply();
  assert.equal(operators.identify(second.secret).outcome, "unknown");
  assert.equal(operators.identify(third.secret).outcome, "known");
  for (const overlap of [-1, 0.5, NaN, IAM_LIMITS.overlap_seconds + 1]) {
    assert.throws(() => keys.prepareRotate(owner, first.key.id, overlap), {
      code: "invalid_field",
    });
  }
});

Deno.test("a key ends at its expiry, also when the clock is set back afterwards", async () => {
  const { clock, keys, operators, operator } = await opened();
  const owner = await operator({ name: "ops" });
  const { secret, key } = await keys.prepareCreate(owner, wanted()).apply();
  clock.now += 3_600_000;
  assert.equal(operators.identify(secret).outcome, "expired");
  clock.now = NOW;
  assert.equal(operators.identify(secret).outcome, "expired");
  assert.throws(() => keys.prepareRotate(owner, key.id, 0), { code: "ended" });
});

Deno.test("a key dies with its operator", async () => {
  const { keys, operators, operator } = await opened();
  await operator({ name: "ops" });
  const other = await operator({ name: "other" });
  const { secret } = await keys.prepareCreate(other, wanted()).apply();
  await operators.revoke("other");
  assert.equal(operators.identify(secret).outcome, "revoked");
});

Deno.test("a revoked key is dead at once, even when the write fails, and stays dead after a rotation under way", async () => {
  const { keys, operators, operator, store, reopened } = await opened();
  const owner = await operator({ name: "ops" });
  const made = await keys.prepareCreate(owner, wanted()).apply();
  const { promise, resolve } = Promise.withResolvers<void>();
  store.gate = promise;
  const rotating = keys.prepareRotate(owner, made.key.id, 60).apply();
  const revoking = keys.revoke(made.key.id);
  assert.equal(operators.identify(made.secret).outcome, "revoked");
  resolve();
  await assert.rejects(rotating, { code: "ended" });
  await revoking;
  assert.equal((await reopened()).operators.identify(made.secret).outcome, "revoked");
  const another = await keys.prepareCreate(owner, wanted()).apply();
  store.failing = true;
  await assert.rejects(keys.revoke(another.key.id), /disk full/);
  assert.equal(operators.identify(another.secret).outcome, "revoked");
});

Deno.test("a key that could not be made durable does not exist", async () => {
  const { keys, operator, store } = await opened();
  const owner = await operator({ name: "ops" });
  store.failing = true;
  await assert.rejects(keys.prepareCreate(owner, wanted()).apply(), /disk full/);
  assert.deepEqual(keys.list(owner), []);
});

Deno.test("the last use is kept to the hour, with one write an hour", async () => {
  const { clock, keys, operators, operator, reopened } = await opened();
  const owner = await operator({ name: "ops" });
  const { secret, key } = await keys.prepareCreate(owner, wanted({ ttl_seconds: 86_400 })).apply();
  clock.now += 1_234_567;
  operators.authenticate(secret);
  await keys.flush();
  const used = (await reopened()).keys.get(key.id)?.last_used_ms ?? 0;
  assert.equal(used % IAM_LIMITS.last_used_ms, 0);
  assert.ok(used <= clock.now && used > clock.now - IAM_LIMITS.last_used_ms);
});

Deno.test("fields that cannot be, and one key too many, are refused by name", async () => {
  const { keys, operator } = await opened();
  const owner = await operator({ name: "ops" });
  const bad: Partial<NewKey>[] = [
    { label: "x".repeat(IAM_LIMITS.label_chars + 1) },
    { label: "a\u001b[2J" },
    { key_scopes: [] },
    { ttl_seconds: 0 },
    { ttl_seconds: -1 },
    { ttl_seconds: NaN },
    { ttl_seconds: IAM_LIMITS.ttl_seconds + 1 },
  ];
  for (const change of bad) {
    assert.throws(() => keys.prepareCreate(owner, wanted(change)), { code: "invalid_field" });
  }
  for (let n = 0; n < IAM_LIMITS.keys_of_operator; n++) {
    await keys.prepareCreate(owner, wanted()).apply();
  }
  assert.throws(() => keys.prepareCreate(owner, wanted()), { code: "limit_reached" });
});

Deno.test("a damaged record signs nobody in, is named, and can be removed by who looks after the gateway", async () => {
  const { keys, operator, store, reopened } = await opened();
  const owner = await operator({ name: "ops" });
  const made = await keys.prepareCreate(owner, wanted()).apply();
  await store.commit([{
    kind: "put_record",
    collection: "api_keys",
    key: made.key.id,
    value: keyText(made.key).replace('["read:policies"]', '["root"]'),
  }]);
  const restarted = await reopened();
  assert.equal(restarted.operators.identify(made.secret).outcome, "unknown");
  assert.deepEqual([...restarted.keys.damaged], [[
    made.key.id,
    "field `key_scopes` is missing or wrong",
  ]]);
  const may = { manages: true, repairs: false };
  assert.throws(() => restarted.keys.checkRevoke(owner, made.key.id, may), ApiKeyError);
  restarted.keys.checkRevoke(owner, made.key.id, { ...may, repairs: true });
  await restarted.keys.revoke(made.key.id);
  assert.equal((await reopened()).keys.damaged.size, 0);
});

Deno.test("no damaged record is ever taken for a key that reads otherwise", async () => {
  const { keys, operator } = await opened();
  const { key } = await keys.prepareCreate(await operator({ name: "ops" }), wanted()).apply();
  const text = keyText(key);
  assert.deepEqual(readKey(key.id, text), key);
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.keys(key)),
      fc.jsonValue(),
      (field, value) => {
        const read = readKey(key.id, JSON.stringify({ ...key, [field]: value }));
        if (typeof read === "string") return;
        assert.deepEqual(read, { ...key, [field]: value });
      },
    ),
  );
  for (const field of Object.keys(key)) {
    const { [field]: _gone, ...rest } = JSON.parse(text);
    assert.equal(typeof readKey(key.id, JSON.stringify(rest)), "string", field);
  }
  assert.equal(typeof readKey(key.id, JSON.stringify({ ...key, admin: true })), "string");
  assert.equal(typeof readKey("key_0000000000000000", text), "string");
});
