import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { ManualTimers, turns, until, withFolder } from "../_fixture.ts";
import { numberIn, openAt, recordNumber } from "./_spool_fixture.ts";
import { SpoolError, type SpoolFailure } from "./failure.ts";
import { SPOOL_LIMITS } from "./limits.ts";

async function assertRefused(attempt: Promise<unknown>, code: SpoolFailure): Promise<void> {
  await assert.rejects(attempt, (error) => error instanceof SpoolError && error.code === code);
}

Deno.test("records come back in order, after a restart too, until they are acknowledged", async () => {
  await withFolder(async (folder) => {
    let id = "";
    {
      await using spool = await openAt(folder);
      id = spool.id;
      const seqs = await Promise.all(
        [0, 1, 2, 3].map((n) => spool.append("event", recordNumber(n))),
      );
      assert.deepEqual(seqs, [1, 2, 3, 4]);
      assert.equal(await spool.append("decision", recordNumber(4)), 5);
      await spool.reader("gateway").acknowledge(2);
    }
    await using spool = await openAt(folder);
    assert.equal(spool.id, id);
    const kept = await spool.reader("gateway").pending(10);
    assert.deepEqual(kept.map(({ seq }) => seq), [3, 4, 5]);
    assert.deepEqual(kept.map(({ bytes }) => numberIn(bytes)), [2, 3, 4]);
    assert.deepEqual(kept.map(({ kind }) => kind), ["event", "event", "decision"]);
    assert.equal(spool.status.kept_rows, 3);
    assert.equal(await spool.append("event", recordNumber(9)), 6);
  });
});

Deno.test("appends of one turn share a transaction, and each resolves after it", async () => {
  await withFolder(async (folder) => {
    await using spool = await openAt(folder);
    await Promise.all(
      Array.from({ length: 500 }, (_, n) => spool.append("event", recordNumber(n))),
    );
    assert.ok(spool.status.transactions < 5, `${spool.status.transactions}`);
    assert.equal(spool.status.appended_rows, 500);
  });
});

Deno.test("a full spool refuses by name, loses nothing, and takes records again after delivery", async () => {
  await withFolder(async (folder) => {
    await using spool = await openAt(folder, { kept_rows: 10 });
    for (let n = 0; n < 10; n++) await spool.append("event", recordNumber(n));
    await assertRefused(spool.append("event", recordNumber(10)), "full");
    assert.equal(spool.state(), "full");
    const waiting = spool.writable(AbortSignal.timeout(60_000));
    await spool.reader("gateway").acknowledge(4);
    await waiting;
    assert.equal(await spool.append("event", recordNumber(10)), 11);
    assert.equal((await spool.reader("gateway").pending(100)).length, 7);
  });
});

Deno.test("bytes are capped as rows are, with what is still on its way counted", async () => {
  await withFolder(async (folder) => {
    await using spool = await openAt(folder, { kept_bytes: 1_000 });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, (_, n) => spool.append("event", recordNumber(n, 100))),
    );
    assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 10);
    assert.equal(spool.status.kept_bytes, 1_000);
    const big = new Uint8Array(SPOOL_LIMITS.record_bytes + 1);
    await assertRefused(spool.append("event", big), "too_large");
  });
});

Deno.test("a record that does not fit into what is left waits until it does", async () => {
  await withFolder(async (folder) => {
    await using spool = await openAt(folder, { kept_bytes: 1_000 });
    for (let n = 0; n < 3; n++) await spool.append("event", recordNumber(n, 300));
    await assertRefused(spool.append("event", recordNumber(3, 300)), "full");
    let writable = false;
    const waiting = spool.writable(AbortSignal.timeout(60_000)).then(() => writable = true);
    await turns();
    assert.equal(writable, false);
    assert.equal(spool.state(), "full");
    await spool.reader("gateway").acknowledge(1);
    await waiting;
    assert.equal(await spool.append("event", recordNumber(3, 300)), 4);
  });
});

Deno.test("the queue for the disk is capped", async () => {
  await withFolder(async (folder) => {
    await using spool = await openAt(folder);
    const outcomes = await Promise.allSettled(
      Array.from(
        { length: SPOOL_LIMITS.queued_rows + 5 },
        () => spool.append("event", new Uint8Array(1)),
      ),
    );
    const refused = outcomes.filter((one) => one.status === "rejected");
    assert.equal(refused.length, 5);
    for (const one of refused) assert.equal(one.reason.code, "queue_full");
  });
});

Deno.test("a mirror that is away is passed over before anyone is refused, and is told how much it lost", async () => {
  await withFolder(async (folder) => {
    const lost: [string, number][] = [];
    await using spool = await openAt(folder, {
      kept_rows: 20,
      readers: [{ name: "gateway", role: "required" }, { name: "nats", role: "mirror" }],
      onPassedOver: (reader, rows) => lost.push([reader, rows]),
    });
    const gateway = spool.reader("gateway");
    for (let n = 0; n < 60; n++) {
      const seq = await spool.append("event", recordNumber(n));
      await gateway.acknowledge(seq);
    }
    assert.ok(lost.length > 0 && lost.every(([reader]) => reader === "nats"));
    const [next] = await spool.reader("nats").pending(1);
    const missed = lost.reduce((sum, [, rows]) => sum + rows, 0);
    assert.equal(next?.seq, missed + 1);
  });
});

Deno.test("a required reader is never passed over, and a reader's note moves with its place", async () => {
  await withFolder(async (folder) => {
    const readers = [{ name: "gateway", role: "required" }, {
      name: "b",
      role: "required",
    }] as const;
    {
      await using spool = await openAt(folder, { kept_rows: 4, readers });
      for (let n = 0; n < 4; n++) await spool.append("event", recordNumber(n));
      await spool.reader("gateway").acknowledge(4);
      await spool.reader("b").acknowledge(1, new Uint8Array([7, 7]));
      await spool.append("event", recordNumber(4));
      await assertRefused(spool.append("event", recordNumber(5)), "full");
    }
    await using spool = await openAt(folder, { readers });
    assert.deepEqual(await spool.reader("b").note(), new Uint8Array([7, 7]));
    assert.deepEqual((await spool.reader("b").pending(9)).map(({ seq }) => seq), [2, 3, 4, 5]);
    await assertRefused(spool.reader("b").acknowledge(6), "constraint");
    await assertRefused(spool.reader("c").pending(1), "unknown_reader");
  });
});

Deno.test("file and folder belong to the owner alone", async () => {
  await withFolder(async (folder) => {
    await using spool = await openAt(`${folder}/new/deeper`);
    await spool.append("event", recordNumber(1));
    for (const name of ["", "/spool.db", "/spool.db-wal"]) {
      const { mode } = await Deno.stat(`${folder}/new/deeper${name}`);
      assert.equal((mode ?? 0) & 0o077, 0, name);
    }
  });
});

Deno.test("a folder that others may write to, a link, and another owner's file are refused", async () => {
  await withFolder(async (folder) => {
    await Deno.mkdir(`${folder}/shared`);
    await Deno.chmod(`${folder}/shared`, 0o777);
    assert.equal((await openAt(`${folder}/shared`)).status.failure?.code, "exposed_folder");
    await Deno.mkdir(`${folder}/linked`);
    await Deno.symlink(`${folder}/elsewhere`, `${folder}/linked/spool.db`);
    assert.equal((await openAt(`${folder}/linked`)).status.failure?.code, "cannot_open");
    const other = await openAt(folder, { uid: (Deno.uid() ?? 0) + 1 });
    assert.equal(other.status.failure?.code, "foreign_owner");
    assert.equal(other.state(), "failed");
    await assertRefused(other.append("event", recordNumber(1)), "foreign_owner");
    await assertRefused(other.writable(AbortSignal.timeout(60_000)), "foreign_owner");
  });
});

Deno.test("a second runtime on the same spool is refused, not interleaved", async () => {
  await withFolder(async (folder) => {
    await using first = await openAt(folder);
    await using second = await openAt(folder);
    assert.equal(second.status.failure?.code, "locked");
    assert.equal(await first.append("event", recordNumber(1)), 1);
  });
});

Deno.test("closing keeps what was accepted, and then refuses by name", async () => {
  await withFolder(async (folder) => {
    const spool = await openAt(folder);
    const accepted = spool.append("event", recordNumber(1));
    await spool.close();
    assert.equal(await accepted, 1);
    await assertRefused(spool.append("event", recordNumber(2)), "closed");
    await assertRefused(spool.reader("gateway").pending(1), "closed");
  });
});

Deno.test("a full disk refuses only what did not fit, and the spool comes back by itself", async () => {
  await withFolder(async (folder) => {
    const timers = new ManualTimers();
    await using spool = await openAt(folder, { max_pages: 24, timers });
    let kept = 0;
    const failure = await (async () => {
      for (; kept < 1_000; kept++) await spool.append("event", recordNumber(kept, 2_000));
    })().catch((error: unknown) => error);
    assert.ok(failure instanceof SpoolError && failure.code === "disk_full", String(failure));
    assert.equal(spool.state(), "full");
    const waiting = spool.writable(AbortSignal.timeout(60_000));
    await timers.pass(SPOOL_LIMITS.disk_full_retry_ms);
    await waiting;
    await spool.reader("gateway").acknowledge(kept - 1);
    await until(() => spool.state() === "ready", "room");
    assert.equal(await spool.append("event", recordNumber(7, 2_000)), kept + 1);
    assert.deepEqual(
      (await spool.reader("gateway").pending(9)).map(({ seq }) => seq),
      [kept, kept + 1],
    );
  });
});

Deno.test("nothing in the file is another shape than the schema says", async () => {
  await withFolder(async (folder) => {
    {
      await using spool = await openAt(folder);
      await spool.append("event", recordNumber(1));
    }
    const database = new DatabaseSync(`${folder}/spool.db`);
    assert.throws(() => database.exec("UPDATE records SET kind = 9"));
    assert.throws(() => database.exec("UPDATE records SET hash = 'x'"));
    database.close();
  });
});
