import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { withFolder } from "../_fixture.ts";
import { openAt, recordNumber } from "./_spool_fixture.ts";
import { APPLICATION_ID } from "./database.ts";
import type { SpoolFailure } from "./failure.ts";

/** A closed spool with 40 records, of which 3 are acknowledged. */
async function seeded(folder: string): Promise<string> {
  await using spool = await openAt(folder);
  for (let n = 0; n < 40; n++) await spool.append("event", recordNumber(n, 500));
  await spool.reader("gateway").acknowledge(3);
  return `${folder}/spool.db`;
}

/** Opens a spool that must not open: named, denying, and (for damage) with a copy set aside. */
async function assertFailed(folder: string, code: SpoolFailure, text: RegExp): Promise<void> {
  const before = await Deno.readFile(`${folder}/spool.db`);
  await using spool = await openAt(folder);
  const { failure } = spool.status;
  assert.equal(failure?.code, code, failure?.message);
  assert.match(failure.message, text);
  assert.equal(spool.state(), "failed");
  await assert.rejects(spool.append("decision", recordNumber(1)), { code });
  if (code !== "corrupt" && code !== "newer_schema") return;
  const copies = [...Deno.readDirSync(folder)].map(({ name }) => name)
    .filter((name) => /\.quarantined-[0-9a-f]{16}$/.test(name));
  assert.equal(copies.length, 1, copies.join());
  assert.deepEqual(await Deno.readFile(`${folder}/${copies[0]}`), before);
  assert.deepEqual(await Deno.readFile(`${folder}/spool.db`), before, "the original stays");
  assert.match(failure.message, /a copy is kept as/);
  await using again = await openAt(folder);
  assert.equal(again.status.failure?.code, code);
  const entries = [...Deno.readDirSync(folder)].length;
  assert.equal(entries, 2, "a second start makes no second copy");
}

/** Changes a closed spool behind its back. */
function edit(path: string, statement: string): void {
  const database = new DatabaseSync(path);
  database.exec(statement);
  database.exec("PRAGMA journal_mode = DELETE");
  database.close();
}

Deno.test("a file that is no database is a named state with a copy set aside", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/spool.db`, "this is not a database. ".repeat(500));
    await assertFailed(folder, "corrupt", /not a database/);
  });
});

Deno.test("a damaged page and a truncated file are found at start", async () => {
  for (const harm of ["page", "cut"] as const) {
    await withFolder(async (folder) => {
      const path = await seeded(folder);
      if (harm === "cut") await Deno.truncate(path, 4096 * 5);
      else {
        const bytes = await Deno.readFile(path);
        bytes.fill(0xa5, 4096 * 5, 4096 * 7);
        await Deno.writeFile(path, bytes);
      }
      await assertFailed(folder, "corrupt", /damaged|malformed|misses|no room|not a database/);
    });
  }
});

Deno.test("an edit, a removal, a swap, a cut tail and a moved place each show at start", async () => {
  const harms: readonly [string, RegExp][] = [
    ["UPDATE records SET bytes = x'00' WHERE seq = 20", /record `20` was changed/],
    ["UPDATE records SET kind = 2 WHERE seq = 20", /record `20` was changed/],
    ["DELETE FROM records WHERE seq = 20", /misses record `20`/],
    ["DELETE FROM records WHERE seq = 40", /ends at record `39`/],
    ["DELETE FROM records WHERE seq = 4", /misses record `4`/],
    ["UPDATE spool SET base_seq = 10", /misses record `11`|was changed|forgotten/],
    ["UPDATE readers SET acknowledged_seq = 90", /has more than was written/],
    [
      `UPDATE records SET seq = 1000 WHERE seq = 20; UPDATE records SET seq = 20 WHERE seq = 21;
       UPDATE records SET seq = 21 WHERE seq = 1000`,
      /record `20` was changed/,
    ],
  ];
  for (const [statement, text] of harms) {
    await withFolder(async (folder) => {
      edit(await seeded(folder), statement);
      await assertFailed(folder, "corrupt", text);
    });
  }
});

Deno.test("a spool without its tables is damage, not a fresh start", async () => {
  await withFolder(async (folder) => {
    edit(await seeded(folder), "DROP TABLE records");
    await using spool = await openAt(folder);
    assert.equal(spool.state(), "failed");
    assert.match(spool.status.failure?.message ?? "", /no such table.*a copy is kept as/);
  });
});

Deno.test("another program's database is refused and left as it is", async () => {
  await withFolder(async (folder) => {
    edit(`${folder}/spool.db`, "CREATE TABLE theirs (a TEXT)");
    await assertFailed(folder, "foreign_file", /another application/);
  });
});

Deno.test("a spool of another version is refused by name, with a copy set aside", async () => {
  await withFolder(async (folder) => {
    edit(await seeded(folder), "PRAGMA user_version = 2");
    await assertFailed(folder, "newer_schema", /schema `2`, this program knows `1`/);
  });
});

Deno.test("a read-only spool is a named state", async () => {
  await withFolder(async (folder) => {
    const path = await seeded(folder);
    const bytes = await Deno.readFile(path);
    // A write format above 2 makes SQLite treat the file as read-only, whoever runs the test
    // (https://www.sqlite.org/fileformat2.html#file_format_version_numbers).
    bytes[18] = 3;
    await Deno.writeFile(path, bytes);
    await using spool = await openAt(folder);
    await assert.rejects(spool.append("event", recordNumber(1)), { code: /read_only/ });
    assert.equal(spool.state(), "failed");
    assert.match(spool.status.failure?.message ?? "", /writable/);
  });
});

Deno.test("damage that comes while the spool is open is named when it is read, and ends it", async () => {
  await withFolder(async (folder) => {
    await using spool = await openAt(folder);
    // More than the page cache keeps, so that reading goes to the disk again.
    for (let n = 0; n < 20; n++) {
      const many = Array.from({ length: 50 }, (_, i) => recordNumber(n * 50 + i, 20_000));
      await Promise.all(many.map((bytes) => spool.append("event", bytes)));
    }
    using file = Deno.openSync(`${folder}/spool.db`, { read: true, write: true });
    for (let page = 20; page < 200; page++) {
      file.seekSync(page * 4096 + 2_000, Deno.SeekMode.Start);
      file.writeSync(new Uint8Array(16).fill(0x5a));
    }
    await assert.rejects(spool.reader("gateway").pending(1_000), { code: "corrupt" });
    await assert.rejects(spool.append("decision", recordNumber(1)), { code: "corrupt" });
  });
});

Deno.test("a spool that is removed or replaced while it is open acknowledges nothing any more", async () => {
  for (const name of ["spool.db", "spool.db-wal"]) {
    for (const harm of ["removed", "replaced"] as const) {
      await withFolder(async (folder) => {
        await using spool = await openAt(folder);
        await spool.append("event", recordNumber(1));
        const path = `${folder}/${name}`;
        if (harm === "replaced") await Deno.copyFile(path, `${path}.copy`);
        await Deno.remove(path);
        if (harm === "replaced") await Deno.rename(`${path}.copy`, path);
        await assert.rejects(spool.append("decision", recordNumber(2)), { code: "replaced" });
        await assert.rejects(spool.append("decision", recordNumber(3)), { code: "replaced" });
        assert.equal(spool.state(), "failed");
        assert.match(spool.status.failure?.message ?? "", /was removed or replaced/);
      });
    }
  }
});

Deno.test("whatever bytes of a spool are changed, it delivers what was written or nothing at all", async () => {
  await withFolder(async (origin) => {
    const sound = await Deno.readFile(await seeded(origin));
    const wrong = fc.record({
      at: fc.integer({ min: 0, max: sound.length - 1 }),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(wrong, { minLength: 1, maxLength: 4 }), async (changes) => {
        await withFolder(async (folder) => {
          const changed = sound.slice();
          for (const { at, bytes } of changes) {
            changed.set(bytes.subarray(0, changed.length - at), at);
          }
          await Deno.writeFile(`${folder}/spool.db`, changed, { mode: 0o600 });
          await using spool = await openAt(folder);
          if (spool.state() === "failed") {
            await assert.rejects(spool.append("decision", recordNumber(1)));
            return;
          }
          const kept = await spool.reader("gateway").pending(100).catch(() => []);
          const known = Array.from({ length: 40 }, (_, n) => recordNumber(n, 500));
          for (const { seq, bytes } of kept) assert.deepEqual(bytes, known[seq - 1], `${seq}`);
        });
      }),
      { numRuns: 20 },
    );
  });
});

Deno.test("the file is marked as ours", async () => {
  await withFolder(async (folder) => {
    const database = new DatabaseSync(await seeded(folder));
    assert.equal(database.prepare("PRAGMA application_id").get()?.application_id, APPLICATION_ID);
    database.close();
  });
});
