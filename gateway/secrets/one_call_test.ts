import assert from "node:assert/strict";
import { MemoryStore } from "../../storage/memory/store.ts";
import type { Mutation } from "../../storage/sqlite/records.ts";
import { SECRET_LIMITS } from "../../core/secrets/limits.ts";
import { SecretError } from "./failure.ts";
import { OneCallCredentials, type OneCallScope } from "./one_call.ts";

class FaultyStore extends MemoryStore {
  fault = false;

  override commit(mutations: readonly Mutation[]): Promise<void> {
    return this.fault ? Promise.reject(new Error("disk full")) : super.commit(mutations);
  }
}

const SCOPE: OneCallScope = {
  ...{ org_id: "o", team_id: "t", agent_key: "ab", tool: "http", names: ["A"] },
  ...{ audit_index: 7n, action_digest: "d" },
};
const CALL = { agent_key: "ab", tool: "http", action_digest: "d" };

function open(store: FaultyStore, now_ms = 1_000) {
  return OneCallCredentials.open({
    store,
    record: () => Promise.resolve(1n),
    now_ms: () => now_ms,
  });
}

Deno.test("a credential survives a restart unused, and is used once over any number of them", async () => {
  const store = new FaultyStore();
  const { token } = await (await open(store)).issue(SCOPE, 0, "operator:a");
  const second = await open(store);
  assert.deepEqual((await second.redeem(token, CALL, "operator:p")).names, ["A"]);
  await assert.rejects((await open(store)).redeem(token, CALL, "operator:p"), /was used before/);
  await assert.rejects((await open(store)).issue(SCOPE, 0, "operator:a"), /already issued/);
});

Deno.test("many who redeem at once: one gets the values", async () => {
  const credentials = await open(new FaultyStore());
  const { token } = await credentials.issue(SCOPE, 0, "operator:a");
  const tries = await Promise.allSettled(
    Array.from({ length: 50 }, () => credentials.redeem(token, CALL, "operator:p")),
  );
  assert.equal(tries.filter(({ status }) => status === "fulfilled").length, 1);
});

Deno.test("a use that could not be stored gives nothing, and the credential is spent all the same", async () => {
  const store = new FaultyStore();
  const credentials = await open(store);
  const { token } = await credentials.issue(SCOPE, 0, "operator:a");
  store.fault = true;
  await assert.rejects(
    credentials.redeem(token, CALL, "operator:p"),
    (error) => error instanceof SecretError && error.code === "storage_failed",
  );
  store.fault = false;
  await assert.rejects(credentials.redeem(token, CALL, "operator:p"), /was used before/);
});

Deno.test("no token is stored, a damaged record redeems nothing, and old ones are forgotten", async () => {
  const store = new FaultyStore();
  const credentials = await open(store);
  const { token } = await credentials.issue(SCOPE, 0, "operator:a");
  for await (const page of store.records("issued_credentials")) {
    for (const { key, value } of page) {
      assert.ok(!`${key}${value}`.includes(token));
      const damaged = value.replace('"http"', "7");
      await store.commit([
        { kind: "put_record", collection: "issued_credentials", key, value: damaged },
      ]);
    }
  }
  const again = await open(store);
  assert.equal(again.damaged, 1);
  await assert.rejects(again.redeem(token, CALL, "operator:p"), /is unknown/);
  assert.equal(credentials.found(`x ${token} y`).length, 1);
  const life_ms = SECRET_LIMITS.one_call_ms_default + SECRET_LIMITS.one_call_remembered_ms;
  await credentials.tick(1_000 + life_ms + 1);
  assert.equal(credentials.found(token).length, 0);
});
