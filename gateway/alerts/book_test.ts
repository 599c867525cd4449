import assert from "node:assert/strict";
import type { Mutation } from "../../storage/sqlite/records.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import type { Raise } from "./alert.ts";
import { AlertBook, AlertError } from "./book.ts";
import { ALERT_LIMITS } from "./limits.ts";
import { readAlert } from "./stored.ts";
import { WatchEnded } from "./watchers.ts";

const HOUR_MS = 3_600_000;
const OPERATOR = { actor: "operator:ann", reason: "looked at it" };

/** A store that can be made to fail. */
class FragileStore extends MemoryStore {
  broken = false;
  commits = 0;

  override commit(mutations: readonly Mutation[]): Promise<void> {
    this.commits++;
    return this.broken ? Promise.reject(new Error("disk full")) : super.commit(mutations);
  }
}

class Fixture {
  now_ms = 1_000_000;
  readonly store = new FragileStore();
  readonly recorded: string[] = [];
  record_fails = false;
  #random = 0;
  book: AlertBook | undefined;

  async open(): Promise<AlertBook> {
    this.book = await AlertBook.open({
      store: this.store,
      now_ms: () => this.now_ms,
      random: () => new Uint8Array(16).fill(++this.#random % 32),
      record: (action, { actor = "gateway" }) => {
        if (this.record_fails) return Promise.reject(new Error("log failed"));
        this.recorded.push(`${action} ${actor}`);
        return Promise.resolve();
      },
    });
    return this.book;
  }
}

function raise(difference: Partial<Raise> = {}): Raise {
  return {
    category: "anomaly",
    severity: "info",
    dedup_key: "anomaly:behavior_spike:a1",
    source: "behavior_spike",
    message: "40 actions, usually 2",
    ...difference,
  };
}

Deno.test("the same thing again is the same alert, counted, until it is resolved", async () => {
  const on = new Fixture();
  const book = await on.open();
  const first = book.raise(raise());
  on.now_ms += 5_000;
  const again = book.raise(raise({ severity: "critical", message: "80 actions" }));
  assert.equal(again.id, first.id);
  assert.deepEqual([again.times, again.severity, again.message], [2, "critical", "80 actions"]);
  await book.resolve(first.id, OPERATOR);
  on.now_ms += 5_000;
  const later = book.raise(raise());
  assert.notEqual(later.id, first.id);
  assert.ok(later.id > first.id, "ids sort by time");
  assert.deepEqual(book.list({}, 10).map((alert) => alert.state), ["open", "resolved"]);
});

Deno.test("what an operator does is recorded, on disk and in the history, in that order", async () => {
  const on = new Fixture();
  const book = await on.open();
  const { id } = book.raise(raise());
  await book.acknowledge(id, OPERATOR);
  const resolved = await book.resolve(id, OPERATOR);
  assert.deepEqual(on.recorded, [
    "alert_raised gateway",
    "alert_acknowledge operator:ann",
    "alert_resolve operator:ann",
  ]);
  assert.deepEqual(resolved.history.map((step) => `${step.state} ${step.actor}`), [
    "open gateway",
    "acknowledged operator:ann",
    "resolved operator:ann",
  ]);
  const after = await on.open();
  assert.deepEqual(after.get(id), resolved);
});

Deno.test("a change that cannot be recorded, or not be written, changes nothing", async () => {
  const on = new Fixture();
  const book = await on.open();
  const { id } = book.raise(raise());
  on.record_fails = true;
  await assert.rejects(book.resolve(id, OPERATOR), /log failed/);
  on.record_fails = false;
  on.store.broken = true;
  await assert.rejects(book.resolve(id, OPERATOR), /disk full/);
  assert.equal(book.get(id)?.state, "open");
  on.store.broken = false;
  assert.equal((await book.resolve(id, OPERATOR)).state, "resolved");
});

Deno.test("resolving and acknowledging again change nothing; after the end nothing else can", async () => {
  const on = new Fixture();
  const book = await on.open();
  const { id } = book.raise(raise());
  const once = await book.resolve(id, OPERATOR);
  assert.deepEqual(await book.resolve(id, { actor: "operator:bob", reason: "" }), once);
  await assert.rejects(
    book.acknowledge(id, OPERATOR),
    (error) => error instanceof AlertError && error.code === "resolved",
  );
  await assert.rejects(
    book.silence("01", 60, OPERATOR),
    (error) => error instanceof AlertError && error.code === "not_found",
  );
});

Deno.test("a silence ends by itself: back to where it was, or open when it stirred meanwhile", async () => {
  const on = new Fixture();
  const book = await on.open();
  const quiet = book.raise(raise());
  const loud = book.raise(raise({ dedup_key: "other" }));
  await book.acknowledge(quiet.id, OPERATOR);
  await book.acknowledge(loud.id, OPERATOR);
  for (const { id } of [quiet, loud]) await book.silence(id, 3_600, OPERATOR);
  await assert.rejects(
    book.silence(quiet.id, 60, OPERATOR),
    (error) => error instanceof AlertError && error.code === "already_silenced",
  );
  book.raise(raise({ dedup_key: "other" }));
  await book.tick(on.now_ms + HOUR_MS - 1);
  assert.equal(book.get(quiet.id)?.state, "silenced");
  await book.tick(on.now_ms + HOUR_MS);
  assert.equal(book.get(quiet.id)?.state, "acknowledged");
  assert.equal(book.get(loud.id)?.state, "open");
  const after = await on.open();
  assert.equal(after.get(loud.id)?.state, "open");
});

Deno.test("a silence of no length, of years, or of nonsense is refused", async () => {
  const book = await new Fixture().open();
  const { id } = book.raise(raise());
  for (const seconds of [0, -1, 604_801, NaN, 1.5]) {
    await assert.rejects(
      book.silence(id, seconds, OPERATOR),
      (error) => error instanceof AlertError && error.code === "invalid",
    );
  }
  await assert.rejects(book.resolve(id, { actor: "x", reason: "y".repeat(501) }), /reason: longer/);
  assert.equal(book.get(id)?.state, "open");
});

Deno.test("ten thousand repetitions cost the disk a handful of writes", async () => {
  const on = new Fixture();
  const book = await on.open();
  for (let at = 0; at < 10_000; at++) book.raise(raise());
  await book.tick(on.now_ms);
  assert.ok(on.store.commits <= 2);
  assert.equal((await on.open()).list({}, 1)[0]?.times, 10_000);
});

Deno.test("at the bound what is resolved goes first, then the least grave", async () => {
  const on = new Fixture();
  const book = await on.open();
  const grave = book.raise(raise({ severity: "critical", dedup_key: "grave" }));
  on.now_ms++;
  const done = book.raise(raise({ severity: "critical", dedup_key: "done" }));
  await book.resolve(done.id, OPERATOR);
  for (let at = 0; at < ALERT_LIMITS.alerts; at++) {
    on.now_ms++;
    book.raise(raise({ dedup_key: `k${at}` }));
  }
  assert.equal(book.status().kept, ALERT_LIMITS.alerts);
  assert.equal(book.status().dropped, 2);
  assert.equal(book.get(done.id), undefined);
  assert.equal(book.get(grave.id)?.state, "open");
  await book.close();
  const after = await on.open();
  assert.equal(after.status().kept, ALERT_LIMITS.alerts);
});

Deno.test("a disk that fails loses no alert: it is written when it can be", async () => {
  const on = new Fixture();
  const book = await on.open();
  on.store.broken = true;
  const { id } = book.raise(raise());
  await book.tick(on.now_ms);
  assert.deepEqual([book.status().unsaved, book.status().failures], [1, 1]);
  on.store.broken = false;
  await book.tick(on.now_ms);
  assert.equal((await on.open()).get(id)?.times, 1);
});

Deno.test("a watcher hears what happens; a silenced alert is quiet; a slow one is sent away", async () => {
  const on = new Fixture();
  const book = await on.open();
  const stop = new AbortController();
  const events = book.watchers.watch(stop.signal);
  const next = events.next();
  const { id } = book.raise(raise());
  assert.equal((await next).value?.kind, "fire");
  await book.silence(id, 60, OPERATOR);
  book.raise(raise());
  await book.resolve(id, OPERATOR);
  assert.deepEqual([(await events.next()).value?.kind, (await events.next()).value?.kind], [
    "silence",
    "resolve",
  ]);
  for (let at = 0; at <= ALERT_LIMITS.watcher_events; at++) {
    book.raise(raise({ dedup_key: `k${at}` }));
  }
  await assert.rejects(
    events.next(),
    (error) => error instanceof WatchEnded && error.why === "lagging",
  );
  assert.equal(book.watchers.size, 0);
});

Deno.test("a damaged record is named, left alone, and hides no other", async () => {
  const on = new Fixture();
  const book = await on.open();
  const { id } = book.raise(raise());
  await book.close();
  await on.store.commit([
    { kind: "put_record", collection: "alerts", key: "00BAD", value: '{"id":"00BAD"}' },
  ]);
  const after = await on.open();
  assert.deepEqual([...after.damaged.keys()], ["00BAD"]);
  assert.equal(after.get(id)?.state, "open");
  for (const text of ["", "[]", "null", '{"id":"x","state":"open"}']) {
    assert.equal(typeof readAlert("x", text), "string", text);
  }
});
