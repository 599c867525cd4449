import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { StoreError, type StoreFailure } from "./failure.ts";
import type { Mutation } from "./records.ts";
import { agentNumber } from "./records_arbitrary.ts";
import { agentParameters } from "./rows.ts";
import { APPLICATION_ID, MIGRATIONS } from "./schema.ts";
import { SqliteStore } from "./store.ts";

async function withFile(work: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await work(`${folder}/state.db`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function assertRefused(
  attempt: Promise<unknown>,
  code: StoreFailure,
  text: RegExp,
): Promise<void> {
  await assert.rejects(attempt, (error) => {
    assert.ok(error instanceof StoreError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    return true;
  });
}

/** A closed database with one agent in it. */
async function seeded(path: string): Promise<void> {
  await using store = await SqliteStore.open({ path });
  await store.commit([{ kind: "put_agent", agent: agentNumber(1) }]);
}

const meta = (index: number): Mutation[] => [
  { kind: "put_meta", key: `k${index}`, value: "v".repeat(2_000) },
];

Deno.test("a database of a newer program is refused and left as it is", async () => {
  await withFile(async (path) => {
    await seeded(path);
    const newer = MIGRATIONS.length + 1;
    const database = new DatabaseSync(path);
    database.exec(`PRAGMA user_version = ${newer}`);
    database.close();
    await assertRefused(SqliteStore.open({ path }), "newer_schema", /start the newer program/);
    const after = new DatabaseSync(path);
    assert.equal(after.prepare("PRAGMA user_version").get()?.user_version, newer);
    after.close();
  });
});

Deno.test("another application's database is refused", async () => {
  await withFile(async (path) => {
    const database = new DatabaseSync(path);
    database.exec("CREATE TABLE theirs (a) STRICT".replace("(a)", "(a TEXT)"));
    database.close();
    await assertRefused(SqliteStore.open({ path }), "foreign_file", /another application/);
  });
});

Deno.test("a file that is no database is refused with what to do next", async () => {
  await withFile(async (path) => {
    await Deno.writeTextFile(path, "this is not a database. ".repeat(500));
    await assertRefused(SqliteStore.open({ path }), "corrupt", /not a database.*restore a backup/);
  });
});

Deno.test("a damaged page is found at start, not at the first denied agent", async () => {
  await withFile(async (path) => {
    {
      await using store = await SqliteStore.open({ path });
      for (let index = 0; index < 60; index++) await store.commit(meta(index));
    }
    const bytes = await Deno.readFile(path);
    for (let offset = 4096 * 6; offset < 4096 * 9; offset++) bytes[offset] = 0xa5;
    await Deno.writeFile(path, bytes);
    await assertRefused(SqliteStore.open({ path }), "corrupt", /restore a backup/);
  });
});

Deno.test("a truncated database is refused", async () => {
  await withFile(async (path) => {
    {
      await using store = await SqliteStore.open({ path });
      for (let index = 0; index < 60; index++) await store.commit(meta(index));
    }
    await Deno.truncate(path, 4096 * 8);
    await assertRefused(SqliteStore.open({ path }), "corrupt", /restore a backup/);
  });
});

Deno.test("a row that breaks its shape is refused by name", async () => {
  await withFile(async (path) => {
    await seeded(path);
    const database = new DatabaseSync(path);
    database.exec("UPDATE agents SET metadata = '[1]'");
    database.close();
    await using store = await SqliteStore.open({ path });
    await assertRefused(
      Array.fromAsync(store.agents()),
      "corrupt",
      /row `0{31}1` of `agents`: column `metadata`/,
    );
  });
});

Deno.test("a full disk refuses the write, keeps what was acknowledged, and stays in service", async () => {
  await withFile(async (path) => {
    {
      await using store = await SqliteStore.open({ path, max_pages: 24 });
      let acknowledged = 0;
      const failure = await (async () => {
        for (; acknowledged < 1_000; acknowledged++) await store.commit(meta(acknowledged));
      })().catch((error: unknown) => error);
      assert.ok(failure instanceof StoreError, String(failure));
      assert.equal(failure.code, "disk_full");
      assert.match(failure.message, /free space/);
      assert.equal(store.status.state, "durable");
      assert.ok(acknowledged > 0);
      assert.equal(await store.meta(`k${acknowledged - 1}`), "v".repeat(2_000));
      assert.equal(await store.meta(`k${acknowledged}`), undefined);
      // Replacing a value needs no new page.
      await store.commit([{ kind: "put_meta", key: "k0", value: "w".repeat(2_000) }]);
    }
    await using store = await SqliteStore.open({ path });
    assert.equal(await store.meta("k0"), "w".repeat(2_000));
  });
});

Deno.test("in a shared transaction a full disk refuses only the writes that did not fit", async () => {
  await withFile(async (path) => {
    await using store = await SqliteStore.open({ path, max_pages: 24 });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 100 }, (_, index) => store.commit(meta(index))),
    );
    const kept = outcomes.filter((outcome) => outcome.status === "fulfilled").length;
    assert.ok(kept > 0 && kept < 100, `${kept}`);
    for (const [index, outcome] of outcomes.entries()) {
      const stored = (await store.meta(`k${index}`)) !== undefined;
      assert.equal(stored, outcome.status === "fulfilled", `k${index}`);
    }
  });
});

Deno.test("a read-only database is refused with what to do next", async () => {
  await withFile(async (path) => {
    await seeded(path);
    const bytes = await Deno.readFile(path);
    // A write format above 2 makes SQLite treat the file as read-only, whoever runs the test
    // (https://www.sqlite.org/fileformat2.html#file_format_version_numbers).
    bytes[18] = 3;
    await Deno.writeFile(path, bytes);
    const attempt = (async () => {
      await using store = await SqliteStore.open({ path });
      await store.commit(meta(1));
    })();
    await assertRefused(attempt, "read_only", /writable/);
  });
});

Deno.test("a second gateway on the same database is refused, not interleaved", async () => {
  await withFile(async (path) => {
    await using first = await SqliteStore.open({ path });
    await assertRefused(
      SqliteStore.open({ path, lock_wait_ms: 50 }),
      "locked",
      /another process holds the database/,
    );
    await first.commit(meta(1));
  });
});

Deno.test("a start waits for a predecessor that is about to let go", async () => {
  await withFile(async (path) => {
    const first = await SqliteStore.open({ path });
    await first.commit(meta(1));
    const second = SqliteStore.open({ path, lock_wait_ms: 60_000 });
    await first.close();
    await using store = await second;
    assert.equal(await store.meta("k1"), "v".repeat(2_000));
  });
});

Deno.test("a missing folder, a folder as file and an address as file are refused", async () => {
  await withFile(async (path) => {
    await assertRefused(SqliteStore.open({ path: `${path}/x.db` }), "cannot_open", /folder/);
    await Deno.mkdir(path);
    await assert.rejects(SqliteStore.open({ path }), StoreError);
    await assertRefused(SqliteStore.open({ path: "file:x.db" }), "cannot_open", /not a file path/);
    await assertRefused(SqliteStore.open({ path: "" }), "cannot_open", /not a file path/);
  });
});

Deno.test("the schema step sets owner and version, and a second start changes nothing", async () => {
  await withFile(async (path) => {
    await seeded(path);
    await seeded(path);
    const database = new DatabaseSync(path);
    assert.equal(database.prepare("PRAGMA application_id").get()?.application_id, APPLICATION_ID);
    assert.equal(database.prepare("PRAGMA user_version").get()?.user_version, MIGRATIONS.length);
    assert.equal(database.prepare("SELECT count(*) AS n FROM agents").get()?.n, 1);
    database.close();
  });
});

Deno.test("a database of an earlier version is lifted, and its agents are whole", async () => {
  await withFile(async (path) => {
    const old = new DatabaseSync(path);
    for (const statement of MIGRATIONS.slice(0, 2).flat()) old.exec(statement);
    old.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 2`);
    const { tenancy: _tenancy, enrolment_id: _enrolment, token_expires_at_ms: _end, ...columns } =
      agentParameters(agentNumber(7));
    const names = Object.keys(columns);
    old.prepare(
      `INSERT INTO agents (${names.join(", ")}) VALUES (${names.map((name) => `:${name}`)})`,
    ).run(columns);
    old.close();
    await using store = await SqliteStore.open({ path });
    const pages = await Array.fromAsync(store.agents());
    assert.deepEqual(pages.flat(), [agentNumber(7)]);
    const { token_hash: _hash, ...killed } = agentNumber(7);
    const state = { status: "suspended", cause: "killed", reason: "", since_ms: 1 } as const;
    await store.commit([{ kind: "put_agent", agent: { ...killed, state } }]);
  });
});
