/** A gateway that dies between its log and its store still takes each record once. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { create, toBinary } from "@bufbuild/protobuf";
import type { EntryDraft } from "../../core/audit/entry.ts";
import { RateBuckets } from "../../core/policy/rate_limit.ts";
import { compilePolicySet } from "../../core/policy/compile.ts";
import { AuditEventSchema } from "../../proto/gen/assembly/audit/v1/audit_pb.ts";
import {
  ReportRequestSchema,
  RuntimeDecisionSchema,
} from "../../proto/gen/assembly/admin/v1/runtime_pb.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import type { AgentRecord, Mutation } from "../../storage/sqlite/records.ts";
import { StoreError } from "../../storage/sqlite/failure.ts";
import { Counters } from "../counters.ts";
import type { Raise } from "../alerts/alert.ts";
import { Cursors } from "./cursors.ts";
import { Leases } from "./leases.ts";
import { RememberedPolicies } from "./policies.ts";
import { ReportError, Reports, type ReportsOptions } from "./reports.ts";

const AGENT = {
  key: "a".repeat(32),
  root_key: "a".repeat(32),
  org_id: "o",
  team_id: "t",
  agent_id: "did:key:z",
  depth: 0,
  state: { status: "active" },
} as unknown as AgentRecord;

const SPOOL = "0b5f1f5e-6c0f-4f4e-9d61-4b8f6f0a7c11";

const RECORD = {
  kind: "decision",
  content: toBinary(
    RuntimeDecisionSchema,
    create(RuntimeDecisionSchema, {
      decision: 2,
      action: { action: { case: "toolCall", value: { toolName: "x" } } },
      because: "policy",
    }),
  ),
};

/** A log that keeps what it is given, and may say that it did not. */
class MemoryLog {
  readonly drafts: EntryDraft[] = [];
  /** Entries that are still taken before every further one is refused. */
  room = Infinity;
  /** Whether the last entries are kept although they were refused. */
  keeps_refused = false;

  append = (draft: EntryDraft): Promise<{ seq: bigint }> => {
    if (this.room-- > 0) return Promise.resolve({ seq: BigInt(this.drafts.push(draft) - 1) });
    if (this.keeps_refused) this.drafts.push(draft);
    return Promise.reject(new Error("log failed"));
  };
  status = () => ({ entries: BigInt(this.drafts.length) });
  list = ({ before_seq, limit }: { before_seq: bigint; limit: number }) => {
    const end = Number(before_seq);
    const entries = this.drafts.slice(Math.max(0, end - limit), end).map(({ payload }, at) => ({
      seq: BigInt(Math.max(0, end - limit) + at),
      line: JSON.stringify({ payload }),
    }));
    return Promise.resolve({ entries: entries.reverse(), scan_limit_reached: false });
  };
  positions(): unknown[] {
    return this.drafts.map(({ payload }) => JSON.parse(payload)["spool_seq"])
      .filter((seq) => seq !== undefined);
  }
}

/** A store that fails when told to. */
class FailingStore extends MemoryStore {
  left = Infinity;

  override commit(mutations: readonly Mutation[]): Promise<void> {
    if (this.left-- <= 0) return Promise.reject(new StoreError("newer_schema", "disk full"));
    return super.commit(mutations);
  }
}

async function opened(
  store: MemoryStore,
  log: MemoryLog,
  raised: Raise[] = [],
  leases?: Leases,
): Promise<Reports> {
  const policy = compilePolicySet([]);
  return new Reports({
    cursors: await Cursors.open({ store }),
    audit: log as unknown as ReportsOptions["audit"],
    registry: {
      principalOf: () => ({
        assurance: "bound",
        agent_id: AGENT.agent_id,
        engine_key: AGENT.key,
        registry_key: AGENT.key,
        status: "active",
      }),
    },
    policies: new RememberedPolicies(),
    leases: leases ?? new Leases({
      ledger: undefined,
      buckets: new RateBuckets(),
      policy: () => policy,
      now_ms: () => 1_000,
      newId: () => crypto.randomUUID(),
    }),
    raise: (raise: Raise) => void raised.push(raise),
    counters: new Counters(),
    clock: { now_ms: () => 1_000, now_ns: () => 1_000_000_000n, monotonic_us: () => 0 },
  });
}

const request = (first: number, count: number) =>
  create(ReportRequestSchema, {
    spoolId: SPOOL,
    firstSeq: BigInt(first),
    records: Array.from({ length: count }, () => ({ ...RECORD })),
  });

Deno.test("records whose append was never acknowledged are found in the log after a restart, not taken twice", async () => {
  const store = new FailingStore();
  const log = new MemoryLog();
  const reports = await opened(store, log);
  assert.equal(await reports.take(request(1, 3), AGENT), 3);
  // The mark is written, the entries are, the new cursor is not.
  store.left = 1;
  await assert.rejects(reports.take(request(4, 5), AGENT), ReportError);
  assert.deepEqual(log.positions(), [1, 2, 3, 4, 5, 6, 7, 8]);
  store.left = Infinity;
  const again = await opened(store, log);
  assert.equal(await again.take(request(4, 5), AGENT), 8);
  assert.equal(await again.take(request(4, 6), AGENT), 9);
  assert.deepEqual(log.positions(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

Deno.test("other records under positions that the log has are refused and told, not passed over", async () => {
  const store = new MemoryStore();
  const log = new MemoryLog();
  const raised: Raise[] = [];
  let reports = await opened(store, log, raised);
  assert.equal(await reports.take(request(1, 4), AGENT), 4);
  assert.equal(await reports.take(request(3, 3), AGENT), 5, "the same again, and one more");
  const forged = request(4, 3);
  for (const record of forged.records) record.kind = "event";
  const older_copy = request(2, 2);
  reports = await opened(store, log, raised);
  for (const other of [forged, older_copy]) {
    await assert.rejects(
      reports.take(other, AGENT),
      (error) => error instanceof ReportError && error.code === "diverged",
    );
  }
  assert.deepEqual(raised.map(({ source }) => source), Array(2).fill("runtime_spool_diverged"));
  assert.deepEqual(log.positions(), [1, 2, 3, 4, 5]);
});

Deno.test("a call let through by a policy that nobody knows is told: it was not looked at again", async () => {
  const raised: Raise[] = [];
  const reports = await opened(new MemoryStore(), new MemoryLog(), raised);
  const allowed = request(1, 1);
  const [record] = allowed.records;
  assert.ok(record);
  record.content = toBinary(
    RuntimeDecisionSchema,
    create(RuntimeDecisionSchema, {
      decision: 1,
      action: { action: { case: "toolCall", value: { toolName: "x" } } },
      because: "policy",
      policyDigest: "sha256:invented",
    }),
  );
  await reports.take(allowed, AGENT);
  assert.ok(raised.some(({ source }) => source === "runtime_policy_unknown"));
});

Deno.test("a call that no lease covers is charged although the gateway died before it was", async () => {
  let charged = 0;
  const leases = {
    costs: () => true,
    charge: () => Promise.resolve(void charged++),
  } as unknown as Leases;
  const store = new FailingStore();
  const log = new MemoryLog();
  const allowed = (count: number) => {
    const asked = request(1, count);
    for (const record of asked.records) {
      record.content = toBinary(
        RuntimeDecisionSchema,
        create(RuntimeDecisionSchema, {
          decision: 1,
          action: { action: { case: "toolCall", value: { toolName: "x" } } },
          because: "local_rules",
        }),
      );
    }
    return asked;
  };
  log.keeps_refused = true;
  log.room = 0;
  // The log has them and did not say so: nothing was charged.
  await assert.rejects((await opened(store, log, [], leases)).take(allowed(3), AGENT));
  assert.equal(charged, 0);
  log.room = Infinity;
  assert.equal(await (await opened(store, log, [], leases)).take(allowed(4), AGENT), 4);
  assert.equal(charged, 4);
  assert.equal(await (await opened(store, log, [], leases)).take(allowed(4), AGENT), 4);
  assert.equal(charged, 4, "once each");
  assert.deepEqual(log.positions(), [1, 2, 3, 4]);
});

Deno.test("whose word a reported event is stands in its entry: a client's claim is not the runtime's", async () => {
  const log = new MemoryLog();
  const reports = await opened(new MemoryStore(), log);
  const asked = request(1, 3);
  for (const [at, source] of ["sdk", "runtime", "forged"].entries()) {
    const record = asked.records[at];
    assert.ok(record);
    record.kind = "event";
    record.content = toBinary(
      AuditEventSchema,
      create(AuditEventSchema, { labels: { "aa.runtime.source": source } }),
    );
  }
  await reports.take(asked, AGENT);
  assert.deepEqual(
    log.drafts.map(({ payload }) => JSON.parse(payload)["reported_source"]),
    ["sdk", "runtime", "unknown"],
  );
});

Deno.test("a cursor that cannot be read refuses its spool, by name, and no other", async () => {
  const store = new MemoryStore();
  const mutation = { kind: "put_record", collection: "runtime_spools", key: SPOOL } as const;
  await store.commit([{ ...mutation, value: '{"v":9}' }]);
  const reports = await opened(store, new MemoryLog());
  await assert.rejects(
    reports.take(request(1, 1), AGENT),
    (error) => error instanceof ReportError && error.code === "unavailable",
  );
  const other = { ...request(1, 1), spoolId: crypto.randomUUID() };
  assert.equal(await reports.take(other, AGENT), 1);
});

Deno.test("whatever fails between, every record is in the log once and in order", async () => {
  const attempt = fc.record({
    commits: fc.constantFrom(0, 1, 2, Infinity, Infinity),
    entries: fc.constantFrom(0, 1, 2, 3, Infinity, Infinity),
    restarts: fc.boolean(),
    count: fc.integer({ min: 1, max: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(attempt, { minLength: 1, maxLength: 12 }), async (attempts) => {
      const store = new FailingStore();
      const log = new MemoryLog();
      let reports = await opened(store, log);
      let acknowledged = 0;
      for (const { commits, entries, restarts, count } of attempts) {
        store.left = commits;
        log.room = entries;
        try {
          acknowledged = await reports.take(request(acknowledged + 1, count), AGENT);
        } catch (error) {
          assert.ok(error instanceof ReportError, String(error));
        }
        store.left = Infinity;
        log.room = Infinity;
        if (restarts) reports = await opened(store, log);
      }
      acknowledged = await reports.take(request(acknowledged + 1, 4), AGENT);
      const positions = log.positions();
      assert.deepEqual(positions, Array.from({ length: positions.length }, (_, at) => at + 1));
      assert.equal(acknowledged, positions.length);
    }),
    { numRuns: 200 },
  );
});
