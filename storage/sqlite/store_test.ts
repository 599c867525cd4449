import assert from "node:assert/strict";
import fc from "fast-check";
import { SQLITE_LIMITS } from "./limits.ts";
import type { AgentRecord } from "./records.ts";
import { agentNumber, anyAgent } from "./records_arbitrary.ts";
import { SqliteStore } from "./store.ts";

async function allAgents(store: SqliteStore): Promise<AgentRecord[]> {
  return (await Array.fromAsync(store.agents())).flat();
}

async function withFile(work: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await work(`${folder}/state.db`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("every field of an agent survives a restart", async () => {
  await fc.assert(
    fc.asyncProperty(anyAgent(), async (agent) => {
      await withFile(async (path) => {
        {
          await using store = await SqliteStore.open({ path });
          await store.commit([{ kind: "put_agent", agent }]);
        }
        await using store = await SqliteStore.open({ path });
        assert.deepEqual(await allAgents(store), [agent]);
      });
    }),
    { numRuns: 15 },
  );
});

Deno.test("every field of an agent is read back as it was written", async () => {
  await using store = await SqliteStore.open({ path: ":memory:" });
  await fc.assert(
    fc.asyncProperty(anyAgent(), async (agent) => {
      await store.commit([{ kind: "put_agent", agent }]);
      const kept = await allAgents(store);
      await store.commit([{ kind: "forget_agent", key: agent.key }]);
      assert.deepEqual(kept, [agent]);
      assert.deepEqual(await allAgents(store), []);
    }),
    { numRuns: 200 },
  );
});

Deno.test("operators and named values survive a restart", async () => {
  await withFile(async (path) => {
    const operator = {
      name: "ops",
      role: "team_admin",
      org_id: "o1",
      team_id: "t1",
      status: "active",
      expires_at_ms: 9,
      token_hash: "a".repeat(64),
      created_at_ms: 5,
      created_by: "gateway",
    } as const;
    {
      await using store = await SqliteStore.open({ path });
      await store.commit([
        { kind: "put_operator", operator },
        { kind: "put_meta", key: "origin", value: "log.example" },
      ]);
    }
    await using store = await SqliteStore.open({ path });
    assert.deepEqual(await store.operators(), [operator]);
    assert.equal(await store.meta("origin"), "log.example");
    assert.equal(await store.meta("absent"), undefined);
    await store.commit([{ kind: "delete_operator", name: "ops" }]);
    assert.deepEqual(await store.operators(), []);
  });
});

Deno.test("agents come back in pages and in key order", async () => {
  await using store = await SqliteStore.open({ path: ":memory:" });
  const count = SQLITE_LIMITS.read_page_rows + 5;
  await store.commit(
    Array.from({ length: count }, (_, index) => ({
      kind: "put_agent" as const,
      agent: agentNumber(count - index),
    })),
  );
  const pages = await Array.fromAsync(store.agents());
  assert.deepEqual(pages.map((page) => page.length), [SQLITE_LIMITS.read_page_rows, 5]);
  const keys = pages.flat().map((agent) => agent.key);
  assert.deepEqual(keys, keys.toSorted());
});

Deno.test("writes of one turn share a transaction", async () => {
  await using store = await SqliteStore.open({ path: ":memory:" });
  const writes = Array.from(
    { length: 100 },
    (_, index) => store.commit([{ kind: "put_agent", agent: agentNumber(index) }]),
  );
  await Promise.all(writes);
  assert.equal(store.status.transactions, 1);
  assert.equal(store.status.committed_writes, 100);
});

Deno.test("a refused write takes nobody else's write with it", async () => {
  await using store = await SqliteStore.open({ path: ":memory:" });
  const clash = agentNumber(3, { token_hash: agentNumber(1).token_hash ?? "" });
  const [first, second, third] = await Promise.allSettled([
    store.commit([{ kind: "put_agent", agent: agentNumber(1) }]),
    store.commit([{ kind: "put_agent", agent: clash }]),
    store.commit([{ kind: "put_agent", agent: agentNumber(2) }]),
  ]);
  assert.equal(first?.status, "fulfilled");
  assert.equal(third?.status, "fulfilled");
  assert.ok(second?.status === "rejected");
  assert.equal(second.reason.code, "constraint");
  assert.deepEqual(await allAgents(store), [agentNumber(1), agentNumber(2)]);
  assert.equal(store.status.state, "durable");
});

Deno.test("changes of one write are stored together or not at all", async () => {
  await using store = await SqliteStore.open({ path: ":memory:" });
  await assert.rejects(
    store.commit([
      { kind: "put_agent", agent: agentNumber(1) },
      { kind: "put_agent", agent: agentNumber(2, { depth: 10, parent_key: "0".repeat(32) }) },
    ]),
    { code: "constraint" },
  );
  assert.deepEqual(await allAgents(store), []);
});

Deno.test("text that would come back changed is refused instead of stored", async () => {
  await using store = await SqliteStore.open({ path: ":memory:" });
  for (const agent_id of ["a\u0000b", "a\ud800"]) {
    const agent = agentNumber(1, { agent_id });
    await assert.rejects(store.commit([{ kind: "put_agent", agent }]), {
      code: "constraint",
      message: /`agent_id`/,
    });
  }
  await assert.rejects(store.commit([{ kind: "put_meta", key: "k\u0000", value: "v" }]), {
    code: "constraint",
  });
  // Inside JSON columns such text is escaped and survives.
  const agent = agentNumber(2, { metadata: { "a\u0000": "\u0000" }, tool_names: ["\u0000"] });
  await store.commit([{ kind: "put_agent", agent }]);
  assert.deepEqual(await allAgents(store), [agent]);
});

Deno.test("two agents can never share a credential token", async () => {
  await using store = await SqliteStore.open({ path: ":memory:" });
  const token_hash = "a".repeat(64);
  await store.commit([{ kind: "put_agent", agent: agentNumber(1, { token_hash }) }]);
  await assert.rejects(
    store.commit([{ kind: "put_agent", agent: agentNumber(2, { token_hash }) }]),
    { code: "constraint" },
  );
  assert.deepEqual(await allAgents(store), [agentNumber(1, { token_hash })]);
});

Deno.test("a late heartbeat write never moves the last heartbeat back", async () => {
  await using store = await SqliteStore.open({ path: ":memory:" });
  const agent = agentNumber(1);
  await store.commit([{ kind: "put_agent", agent }]);
  await store.commit([{ kind: "heartbeat", key: agent.key, at_ms: 20 }]);
  await store.commit([{ kind: "heartbeat", key: agent.key, at_ms: 10 }]);
  assert.equal((await allAgents(store))[0]?.last_heartbeat_ms, 20);
});

Deno.test("writes accepted before the store closes are durable, later ones are refused", async () => {
  await withFile(async (path) => {
    const store = await SqliteStore.open({ path });
    const accepted = store.commit([{ kind: "put_agent", agent: agentNumber(1) }]);
    const closing = store.close();
    await assert.rejects(store.commit([{ kind: "put_meta", key: "k", value: "v" }]), {
      code: "closed",
    });
    await Promise.all([accepted, closing]);
    assert.equal(store.status.state, "closed");
    await using again = await SqliteStore.open({ path });
    assert.deepEqual(await allAgents(again), [agentNumber(1)]);
  });
});

Deno.test("a full queue refuses the next write by name", async () => {
  await using store = await SqliteStore.open({ path: ":memory:" });
  const write = () => store.commit([{ kind: "put_meta", key: "k", value: "v" }]);
  const accepted = Array.from({ length: SQLITE_LIMITS.queued_writes }, write);
  await assert.rejects(write(), { code: "queue_full" });
  await Promise.all(accepted);
  await write();
});

Deno.test("the database file is readable by its owner alone, the files beside it too", async () => {
  await withFile(async (path) => {
    await Deno.writeFile(path, new Uint8Array(), { mode: 0o644 });
    await using store = await SqliteStore.open({ path });
    await store.commit([{ kind: "put_meta", key: "k", value: "v" }]);
    for (const file of [path, `${path}-wal`]) {
      assert.equal(((await Deno.stat(file)).mode ?? 0) & 0o777, 0o600, file);
    }
  });
});
