import assert from "node:assert/strict";
import fc from "fast-check";
import { ManualTimers, SeenMetrics, until, withFolder } from "../_fixture.ts";
import { forwarderOf, numberIn, openAt, recordNumber, RememberingSink } from "./_spool_fixture.ts";
import { FORWARD_LIMITS } from "./limits.ts";

Deno.test("what is appended is delivered in order and then forgotten", async () => {
  await withFolder(async (folder) => {
    await using spool = await openAt(folder);
    const sink = new RememberingSink();
    await using forwarder = forwarderOf(spool, sink, new ManualTimers());
    for (let n = 0; n < 50; n++) await spool.append("event", recordNumber(n));
    await until(() => spool.status.kept_rows === 0, "delivered");
    assert.deepEqual(sink.order, Array.from({ length: 50 }, (_, n) => n + 1));
    assert.equal(forwarder.status.delivered_rows, 50);
    assert.equal(sink.duplicates, 0);
  });
});

Deno.test("a failed delivery is tried again after 1, 2, 4 … 32 s, half of it chance, then all arrives", async () => {
  await withFolder(async (folder) => {
    const timers = new ManualTimers();
    const metrics = new SeenMetrics();
    await using spool = await openAt(folder, { timers });
    const sink = new RememberingSink();
    sink.fails = "before";
    await using forwarder = forwarderOf(spool, sink, timers, metrics);
    await spool.append("event", recordNumber(1));
    const waits_ms = [750, 1_500, 3_000, 6_000, 12_000, 24_000, 24_000];
    for (const [round, wait_ms] of waits_ms.entries()) {
      await until(() => forwarder.status.state === "waiting", "a failure");
      assert.deepEqual(timers.waits_ms(), [wait_ms]);
      assert.match(forwarder.status.detail, /cannot deliver to `gateway`: gateway away/);
      // A new record does not shorten the wait.
      await spool.append("event", recordNumber(2));
      const { calls } = sink;
      await timers.pass(wait_ms - 1);
      assert.equal(sink.calls, calls);
      if (round === waits_ms.length - 1) sink.fails = "no";
      await timers.pass(1);
    }
    await until(() => spool.status.kept_rows === 0, "delivered");
    assert.equal(forwarder.status.detail, "");
    assert.equal(metrics.count("aa_spool_delivery_failures_total{reader=gateway}"), 7);
  });
});

Deno.test("records gather for a while after a delivery and go together; a flush does not wait", async () => {
  await withFolder(async (folder) => {
    const timers = new ManualTimers();
    await using spool = await openAt(folder, { timers });
    const sink = new RememberingSink();
    await using forwarder = forwarderOf(spool, sink, timers, undefined, { gather_ms: 25 });
    await spool.append("event", recordNumber(1));
    await until(() => spool.status.kept_rows === 0, "the first is delivered at once");
    const { calls } = sink;
    for (let n = 2; n < 12; n++) await spool.append("event", recordNumber(n));
    assert.equal(sink.calls, calls);
    await timers.pass(25);
    await until(() => spool.status.kept_rows === 0, "the others are delivered");
    assert.equal(sink.calls, calls + 1);
    await spool.append("event", recordNumber(12));
    await forwarder.flush(new AbortController().signal);
    assert.equal(spool.status.kept_rows, 0);
  });
});

Deno.test("an answer that was lost on the way doubles nothing", async () => {
  await withFolder(async (folder) => {
    const timers = new ManualTimers();
    await using spool = await openAt(folder, { timers });
    const sink = new RememberingSink();
    sink.fails = "after";
    await using forwarder = forwarderOf(spool, sink, timers);
    await spool.append("event", recordNumber(1));
    await until(() => forwarder.status.state === "waiting", "a failure");
    sink.fails = "no";
    await timers.pass(FORWARD_LIMITS.backoff_max_ms);
    await until(() => spool.status.kept_rows === 0, "delivered");
    assert.equal(sink.duplicates, 1);
    assert.deepEqual(sink.order, [1]);
  });
});

Deno.test("a receiver that says it has more than it was given makes nothing be forgotten", async () => {
  await withFolder(async (folder) => {
    await using spool = await openAt(folder);
    const sink = new RememberingSink();
    for (const lie of [9, -5, 0.5, NaN]) {
      sink.says = () => lie;
      await using forwarder = forwarderOf(spool, sink, new ManualTimers());
      if (spool.status.kept_rows === 0) await spool.append("event", recordNumber(1));
      await until(() => forwarder.status.state === "waiting", "a failure");
      assert.equal(spool.status.kept_rows, 1);
      assert.match(forwarder.status.detail, /it says it has records up to/);
    }
  });
});

Deno.test("a receiver that never answers is given up after the deadline, and asked again", async () => {
  await withFolder(async (folder) => {
    const timers = new ManualTimers();
    await using spool = await openAt(folder, { timers });
    let calls = 0;
    await using forwarder = forwarderOf(
      spool,
      { deliver: () => (calls++, new Promise<number>(() => {})) },
      timers,
    );
    await spool.append("event", recordNumber(1));
    await until(() => calls === 1, "the first try");
    await timers.pass(FORWARD_LIMITS.deliver_timeout_ms);
    await until(() => forwarder.status.state === "waiting", "given up");
    assert.match(forwarder.status.detail, /no answer within/);
    await timers.pass(FORWARD_LIMITS.backoff_max_ms);
    await until(() => calls === 2, "the second try");
    assert.equal(spool.status.kept_rows, 1);
  });
});

Deno.test("a receiver may take a part; the rest follows at once, and nothing twice", async () => {
  await withFolder(async (folder) => {
    const timers = new ManualTimers();
    await using spool = await openAt(folder, { timers });
    await Promise.all([0, 1, 2, 3].map((n) => spool.append("event", recordNumber(n))));
    const taken: number[] = [];
    await using forwarder = forwarderOf(spool, {
      deliver: (_id, [first]) => {
        taken.push(first?.seq ?? 0);
        return Promise.resolve(first?.seq ?? 0);
      },
    }, timers);
    await until(() => spool.status.kept_rows === 0, "delivered");
    assert.deepEqual(taken, [1, 2, 3, 4]);
    assert.equal(forwarder.status.failures, 0);
  });
});

Deno.test("a receiver that takes nothing is asked again after a wait", async () => {
  await withFolder(async (folder) => {
    const timers = new ManualTimers();
    await using spool = await openAt(folder, { timers });
    const sink = new RememberingSink();
    sink.says = () => 0;
    await spool.append("event", recordNumber(0));
    await using forwarder = forwarderOf(spool, sink, timers);
    await until(() => forwarder.status.state === "waiting", "took nothing");
    assert.match(forwarder.status.detail, /it took nothing/);
  });
});

Deno.test("flush waits for the last record, and gives up when the receiver is away", async () => {
  await withFolder(async (folder) => {
    await using spool = await openAt(folder);
    const sink = new RememberingSink();
    await using forwarder = forwarderOf(spool, sink, new ManualTimers());
    await Promise.all(
      Array.from({ length: 2_000 }, (_, n) => spool.append("event", recordNumber(n))),
    );
    await forwarder.flush(AbortSignal.timeout(60_000));
    assert.equal(sink.taken.size, 2_000);
    sink.fails = "before";
    await spool.append("event", recordNumber(1));
    await forwarder.flush(AbortSignal.timeout(60_000));
    assert.equal(spool.status.kept_rows, 1);
  });
});

Deno.test("whatever fails between, a receiver that drops repeats has each record once and in order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.oneof(
          fc.record({
            step: fc.constant("append" as const),
            count: fc.integer({ min: 1, max: 9 }),
          }),
          fc.record({ step: fc.constantFrom("before", "after", "no", "restart") }),
        ),
        { minLength: 3, maxLength: 12 },
      ),
      async (steps) => {
        await withFolder(async (folder) => {
          const timers = new ManualTimers();
          const sink = new RememberingSink();
          let spool = await openAt(folder, { timers });
          let forwarder = forwarderOf(spool, sink, timers);
          let appended = 0;
          for (const one of steps) {
            if ("count" in one) {
              await Promise.all(
                Array.from(
                  { length: one.count },
                  () => spool.append("event", recordNumber(appended++)),
                ),
              );
            } else if (one.step === "restart") {
              await forwarder.close();
              await spool.close();
              spool = await openAt(folder, { timers });
              forwarder = forwarderOf(spool, sink, timers);
            } else {
              sink.fails = one.step === "no" ? "no" : one.step === "after" ? "after" : "before";
            }
            await timers.pass(FORWARD_LIMITS.backoff_max_ms);
          }
          sink.fails = "no";
          await until(async () => {
            await timers.pass(FORWARD_LIMITS.backoff_max_ms);
            return spool.status.kept_rows === 0;
          }, "everything delivered");
          await forwarder.close();
          await spool.close();
          assert.deepEqual(sink.order, Array.from({ length: appended }, (_, n) => n + 1));
          assert.deepEqual(
            [...sink.taken.values()].map(numberIn),
            Array.from({ length: appended }, (_, n) => n),
          );
        });
      },
    ),
    { numRuns: 8 },
  );
});
