import assert from "node:assert/strict";
import type { EntryDraft } from "../../core/audit/entry.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import type { AgentRecord, Mutation } from "../../storage/sqlite/records.ts";
import { agentNumber } from "../../storage/sqlite/records_arbitrary.ts";
import { SYSTEM_CLOCK } from "../clock.ts";
import { EdgeLog, type EdgeReport } from "./edge_log.ts";
import { EdgeDamage, edgeKey, edgeText } from "./edge_record.ts";
import { TOPOLOGY_LIMITS } from "./limits.ts";

const A = agentNumber(1);
const B = agentNumber(2);
const FOREIGN = agentNumber(3, { team_id: "sales" });

class FailingStore extends MemoryStore {
  failing = false;
  override commit(mutations: readonly Mutation[]): Promise<void> {
    return this.failing ? Promise.reject(new Error("disk full")) : super.commit(mutations);
  }
}

class Room {
  audit_failing = false;
  readonly recorded: EntryDraft[] = [];
  readonly store = new FailingStore();
  edges = undefined as unknown as EdgeLog;

  static async open(): Promise<Room> {
    const room = new Room();
    await room.restart();
    return room;
  }

  async restart(): Promise<void> {
    this.edges = await EdgeLog.open({
      store: this.store,
      clock: { ...SYSTEM_CLOCK, now_ms: () => 1_700_000_000_000 },
      redact: (text) => text.replaceAll("SECRET", "[REDACTED]"),
      record: (entry) => {
        if (this.audit_failing) return Promise.reject(new Error("audit failed"));
        this.recorded.push(entry);
        return Promise.resolve(BigInt(this.recorded.length - 1));
      },
    });
  }

  report(change: Partial<EdgeReport> = {}) {
    return this.edges.report({
      source: A,
      target: B,
      kind: "calls",
      metadata: "",
      by: { kind: "agent", agent: A },
      ...change,
    });
  }

  ids(filter: Parameters<EdgeLog["list"]>[0] = {}): number[] {
    return this.edges.list(filter, 1_000).map(({ id }) => id);
  }
}

Deno.test("reported edges are kept in order, across a restart, newest first", async () => {
  const room = await Room.open();
  await room.report();
  await room.report({ source: B, target: A, kind: "messages", metadata: '{"n":1}' });
  const before = room.edges.list({}, 10);
  await room.restart();
  assert.deepEqual(room.edges.list({}, 10), before);
  assert.deepEqual(room.ids(), [2, 1]);
  assert.equal((await room.report()).edge.id, 3);
});

Deno.test("edges that are reported at the same time all stay, in the order of their ids", async () => {
  const room = await Room.open();
  const reported = await Promise.all(Array.from({ length: 50 }, () => room.report()));
  const ids = reported.map(({ edge }) => edge.id);
  assert.equal(new Set(ids).size, 50);
  assert.deepEqual(room.ids(), ids.toSorted((a, b) => b - a));
});

Deno.test("an edge is evidence before it is kept; what cannot be recorded or stored is not taken", async () => {
  const room = await Room.open();
  room.audit_failing = true;
  await assert.rejects(room.report(), /audit failed/);
  room.audit_failing = false;
  room.store.failing = true;
  await assert.rejects(room.report(), { code: "storage_failed" });
  room.store.failing = false;
  assert.equal(room.edges.size, 0);
  const actions = room.recorded.map(({ payload }) => JSON.parse(payload).action);
  assert.deepEqual(actions, ["edge_reported", "edge_reported_not_applied"]);
  await room.restart();
  assert.equal(room.edges.size, 0);
});

Deno.test("metadata is JSON, bounded, and keeps neither credentials nor what is never stored", async () => {
  const room = await Room.open();
  const wrong = ["{", "plain", `"${"x".repeat(TOPOLOGY_LIMITS.metadata_bytes)}"`, '"\ud800"'];
  for (const metadata of wrong) {
    await assert.rejects(room.report({ metadata }), { code: "invalid_metadata" });
  }
  const kept = async (metadata: string) => (await room.report({ metadata })).edge.metadata;
  assert.equal(await kept('{"prompt":"tell me","n":1}'), '{"n":1}');
  assert.equal(await kept('{"key":"SECRET"}'), '{"key":"[REDACTED]"}');
  assert.equal(await kept(""), undefined);
  const stored = (await Array.fromAsync(room.store.records("edges"))).flat();
  for (const { value } of stored) assert.doesNotMatch(value, /tell me|SECRET/);
});

Deno.test("a list filters by end, kind and age, and by who may see", async () => {
  const room = await Room.open();
  await room.report();
  await room.report({ source: B, target: A, kind: "reads" });
  await room.report({ target: FOREIGN });
  assert.deepEqual(room.ids({ agent: A.key }), [3, 1]);
  assert.deepEqual(room.ids({ agent: A.key, direction: "incoming" }), [2]);
  assert.deepEqual(room.ids({ agent: A.key, direction: "both" }), [3, 2, 1]);
  assert.deepEqual(room.ids({ kind: "reads" }), [2]);
  assert.deepEqual(room.ids({ before_id: 3 }), [2, 1]);
  assert.deepEqual(room.ids({ cross_team: true }), [3]);
  assert.deepEqual(room.ids({ visible: ({ target }) => target.team_id === "ops" }), [2, 1]);
});

Deno.test("an edge across teams is told, and named as that in the log; others are not", async () => {
  const room = await Room.open();
  const told: number[] = [];
  const end = room.edges.onCrossTeam(({ id }) => told.push(id));
  await room.report();
  await room.report({ target: FOREIGN });
  await room.report({ target: { ...B, org_id: "other" } });
  await Promise.resolve();
  assert.deepEqual(told, [2, 3]);
  end();
  await room.report({ target: FOREIGN });
  await Promise.resolve();
  assert.deepEqual(told, [2, 3]);
  assert.deepEqual(room.edges.crossTeamEvents().map(({ id }) => id), [2, 3, 4]);
  const actions = room.recorded.map(({ payload }) => JSON.parse(payload).action);
  assert.deepEqual(actions.slice(0, 2), ["edge_reported", "cross_team_edge_reported"]);
});

/** A store full of edges, as one reporter or many left it. */
async function filled(room: Room, count: number, reporters: number): Promise<void> {
  const end = ({ key, org_id, team_id }: AgentRecord) => ({ key, org_id, team_id });
  const puts = Array.from({ length: count }, (_, index): Mutation => ({
    kind: "put_record",
    collection: "edges",
    key: edgeKey(index + 1),
    value: edgeText({
      id: index + 1,
      source: end(A),
      target: end(B),
      kind: "calls",
      reported_by: `agent:${(index % reporters).toString(16).padStart(32, "e")}`,
      created_at_ms: 0,
    }),
  }));
  await room.store.commit(puts);
  await room.restart();
}

Deno.test("one reporter's edges push out its own oldest, never another's", async () => {
  const room = await Room.open();
  const key = "0".padStart(32, "e");
  await filled(room, TOPOLOGY_LIMITS.edges_per_reporter, 1);
  const agent = agentNumber(9, { key });
  await room.report({ by: { kind: "operator", name: "ana" } });
  await room.report({ by: { kind: "agent", agent } });
  assert.equal(room.edges.size, TOPOLOGY_LIMITS.edges_per_reporter + 1);
  assert.equal(room.edges.forgotten, 1);
  assert.equal(room.edges.all()[0]?.id, 2);
  await room.restart();
  assert.equal(room.edges.size, TOPOLOGY_LIMITS.edges_per_reporter + 1);
});

Deno.test("at the bound the oldest of all gives way, also when many report at once", async () => {
  const room = await Room.open();
  await filled(room, TOPOLOGY_LIMITS.edges, 20);
  await Promise.all([1, 2, 3].map(() => room.report()));
  await room.report();
  assert.equal(room.edges.size, TOPOLOGY_LIMITS.edges);
  assert.equal((await Array.fromAsync(room.store.records("edges"))).flat().length, room.edges.size);
});

Deno.test("a damaged edge stops the start by name; it is not guessed at", async () => {
  const room = await Room.open();
  const { edge } = await room.report();
  const good = JSON.parse(edgeText(edge));
  const damages: unknown[] = [
    [],
    { ...good, version: 2 },
    { ...good, id: 2 },
    { ...good, kind: "likes" },
    { ...good, source: { ...good.source, key: "x" } },
    { ...good, target: null },
    { ...good, metadata: 1 },
    { ...good, created_at_ms: -1 },
  ];
  for (const damage of damages) {
    const value = JSON.stringify(damage);
    await room.store.commit([{ kind: "put_record", collection: "edges", key: edgeKey(1), value }]);
    await assert.rejects(room.restart(), (error) => error instanceof EdgeDamage);
  }
});
