import assert from "node:assert/strict";
import fc from "fast-check";
import { GENESIS, headAfter, seal } from "../../core/audit/chain.ts";
import { checkDraft } from "../../core/audit/entry.ts";
import { parseLine } from "../../core/audit/line.ts";
import { verifyLog } from "../../core/audit/verify/mod.ts";
import { draft, SampleDirectory } from "./_sample_directory.ts";
import { AuditOpenError, AuditTamperError } from "./errors.ts";
import { directoryReader } from "./reading.ts";

function append(path: string, bytes: Uint8Array | string): void {
  const data = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
  Deno.writeFileSync(path, data, { append: true });
}

async function assertWhole(at: SampleDirectory, key: string, entries: number): Promise<void> {
  const report = await verifyLog(directoryReader(at.directory), { verifier_key: key });
  assert.deepEqual([report.ok, report.entries, report.covered], [true, entries, entries]);
}

async function assertTamper(
  at: SampleDirectory,
  index: number | undefined,
  message: RegExp,
): Promise<void> {
  const before = snapshot(at.directory);
  await assert.rejects(at.open(), (error: unknown) => {
    assert.ok(error instanceof AuditTamperError, String(error));
    assert.match(error.message, message);
    assert.match(error.message, /nothing was changed.*evidence/);
    assert.equal(error.index, index, error.message);
    return true;
  });
  assert.deepEqual(snapshot(at.directory), before, "a refused log must stay as it is");
}

function snapshot(directory: string): Record<string, string> {
  const files: Record<string, string> = {};
  for (const { name, isDirectory } of Deno.readDirSync(directory)) {
    const path = `${directory}/${name}`;
    if (isDirectory) Object.assign(files, snapshot(path));
    else files[path] = Deno.readFileSync(path).toBase64();
  }
  return files;
}

/** Lines that continue a log, as a writer that died before its next checkpoint leaves them. */
function continued(lines: readonly string[], count: number): string[] {
  const last = parseLine(lines.at(-1) ?? "");
  let head = headAfter(last.seq, last.entry_hash.toHex());
  return Array.from({ length: count }, (_, i) => {
    const sealed = seal(checkDraft(draft(i)), head);
    head = sealed.next;
    return sealed.line;
  });
}

Deno.test("a torn tail of any kind is cut, saved aside, reported and recorded", async () => {
  const line = '{"seq":20,"timestamp_ns":1714222134000000000,"event_type":"Poli';
  const tails: [string, Uint8Array][] = [
    ["half a line", new TextEncoder().encode(line)],
    ["one byte", Uint8Array.of(0x7b)],
    ["garbage", Uint8Array.of(0xff, 0xfe, 0x80)],
    ["zeros", new Uint8Array(4_096)],
    ["many zeros", new Uint8Array(200_000)],
    ["zeros, then the rest of a line", new TextEncoder().encode(`\0\0\0\0"policy_doc_id":"x"}\n`)],
    ["a whole line without its newline", new Uint8Array(0)],
  ];
  for (const [name, bytes] of tails) {
    using at = new SampleDirectory();
    const key = await at.fill(20);
    const whole = at.lines();
    const tail = bytes.length > 0
      ? bytes
      : new TextEncoder().encode(continued(whole, 1)[0] ?? assert.fail());
    append(at.file, tail);
    const { log, recovery } = await at.open();
    assert.equal(recovery.entries, 20n, name);
    assert.equal(recovery.torn?.length_bytes, tail.length, name);
    const saved = recovery.torn?.saved_as ?? assert.fail(name);
    assert.match(saved, /^gateway-default\.torn-\d+\.bin$/);
    assert.deepEqual(Deno.readFileSync(`${at.directory}/${saved}`), tail, name);
    await log.close();
    const note = parseLine(at.lines().at(-1) ?? "");
    assert.equal(note.event_type, "GovernanceMutation");
    assert.equal(JSON.parse(note.payload).action, "audit_torn_tail_cut");
    assert.equal(JSON.parse(note.payload).after.saved_as, saved);
    assert.deepEqual(at.lines().slice(0, 20), whole, name);
    await assertWhole(at, key, 21);
  }
});

Deno.test("a batch whose first blocks never reached the disk is cut whole, a few zeros are not", async () => {
  for (const [sector, opens] of [[true, true], [false, false]]) {
    using at = new SampleDirectory();
    const key = await at.fill(4);
    const before = Deno.readFileSync(at.file).length;
    append(at.file, continued(at.lines(), 8).map((line) => `${line}\n`).join(""));
    const whole = Deno.readFileSync(at.file);
    const start = Math.ceil(before / 512) * 512;
    whole.fill(0, start, start + (sector ? 512 : 100));
    Deno.writeFileSync(at.file, whole);
    if (!opens) {
      await assert.rejects(at.open(), AuditTamperError);
      continue;
    }
    const { log, recovery } = await at.open();
    assert.ok(recovery.entries >= 4n && recovery.entries < 12n);
    assert.equal(recovery.torn?.length_bytes, whole.length - (recovery.torn?.offset_bytes ?? 0));
    await log.close();
    await assertWhole(at, key, Number(recovery.entries) + 1);
  }
});

Deno.test("a log cut at any byte after its checkpoint opens with every whole entry", async () => {
  using at = new SampleDirectory();
  const key = await at.fill(3);
  const covered = Deno.readFileSync(at.file).length;
  const rest = continued(at.lines(), 4).map((line) => `${line}\n`).join("");
  append(at.file, rest);
  const whole = Deno.readFileSync(at.file);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: covered, max: whole.length }), async (length) => {
      using copy = new SampleDirectory();
      copyDirectory(at.root, copy.root);
      Deno.writeFileSync(copy.file, whole.subarray(0, length));
      const newlines = whole.subarray(0, length).filter((byte) => byte === 10).length;
      const { log, recovery } = await copy.open();
      assert.equal(recovery.entries, BigInt(newlines));
      assert.equal(recovery.torn === undefined, whole[length - 1] === 10);
      await log.close();
      await assertWhole(copy, key, newlines + (recovery.torn === undefined ? 0 : 1));
    }),
    { numRuns: 30 },
  );
});

function copyDirectory(from: string, to: string): void {
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (isDirectory) {
      Deno.mkdirSync(`${to}/${name}`, { recursive: true });
      copyDirectory(`${from}/${name}`, `${to}/${name}`);
    } else Deno.copyFileSync(`${from}/${name}`, `${to}/${name}`);
  }
}

Deno.test("entries that were durable but not yet in the tree are put there", async () => {
  for (const count of [1, 255, 256, 600]) {
    using at = new SampleDirectory();
    const key = await at.fill(20);
    append(at.file, continued(at.lines(), count).map((line) => `${line}\n`).join(""));
    const { log, recovery } = await at.open();
    assert.deepEqual(
      [recovery.entries, recovery.checked_entries, recovery.rebuilt, recovery.checkpoint_size],
      [BigInt(20 + count), count, false, 20],
    );
    await log.close();
    await assertWhole(at, key, 20 + count);
  }
});

Deno.test("tiles, state note or both can be lost, stale or damaged: they are made again", async () => {
  const damages: [string, (log: string) => void][] = [
    ["no state", (log) => Deno.removeSync(`${log}/state.json`)],
    ["state of nonsense", (log) => Deno.writeTextFileSync(`${log}/state.json`, "{")],
    ["state of another entry", (log) => {
      const state = JSON.parse(Deno.readTextFileSync(`${log}/state.json`));
      Deno.writeTextFileSync(`${log}/state.json`, JSON.stringify({ ...state, size: 299 }));
    }],
    ["state of another size with whole tiles", (log) => {
      const state = JSON.parse(Deno.readTextFileSync(`${log}/state.json`));
      Deno.writeTextFileSync(`${log}/state.json`, JSON.stringify({ ...state, size: 256 }));
    }],
    ["state in the middle of a line", (log) => {
      const state = JSON.parse(Deno.readTextFileSync(`${log}/state.json`));
      const offset_bytes = state.offset_bytes - 7;
      Deno.writeTextFileSync(`${log}/state.json`, JSON.stringify({ ...state, offset_bytes }));
    }],
    ["no tiles", (log) => Deno.removeSync(`${log}/tile`, { recursive: true })],
    ["a damaged partial tile", (log) => {
      Deno.writeFileSync(`${log}/tile/0/001.p/44`, new Uint8Array(44 * 32));
    }],
    ["a short bundle", (log) => {
      Deno.writeFileSync(`${log}/tile/entries/001.p/44`, new Uint8Array(10));
    }],
  ];
  for (const [name, damage] of damages) {
    using at = new SampleDirectory();
    const key = await at.fill(300);
    damage(`${at.directory}/log`);
    const { log, recovery } = await at.open();
    assert.deepEqual([recovery.rebuilt, recovery.checked_entries], [true, 300], name);
    await assertWhole(at, key, 300);
    await log.append(draft(300));
    await log.close();
    await assertWhole(at, key, 301);
  }
});

Deno.test("trap 50: a log with fewer entries than its checkpoint is refused, the first missing named", async () => {
  using at = new SampleDirectory();
  await at.fill(300);
  const lines = at.lines();
  at.write(lines.slice(0, 290));
  await assertTamper(at, 290, /covers 300 entries and the file holds 290: entry 290/);
  at.write([]);
  await assertTamper(at, 0, /entry 0 is the first one missing/);
  Deno.removeSync(at.file);
  await assertTamper(at, 0, /entry 0 is the first one missing/);
});

Deno.test("a torn tail is no excuse below the checkpoint", async () => {
  using at = new SampleDirectory();
  await at.fill(300);
  const whole = Deno.readFileSync(at.file);
  Deno.writeFileSync(at.file, whole.subarray(0, whole.length - 10));
  await assertTamper(at, 299, /line 300/);
});

Deno.test("a log changed under its checkpoint is refused with the entry, even when chained anew", async () => {
  using at = new SampleDirectory();
  await at.fill(300);
  const lines = at.lines();
  at.write(lines.with(7, (lines[7] ?? "").replace("step 7", "step 70")));
  await assertTamper(at, 7, /line 8 has an entry_hash/);
  let head = GENESIS;
  at.write(lines.map((line, i) => {
    const entry = parseLine(line);
    const changed = i === 7 ? { ...entry, payload: '{"reason":"fine"}' } : entry;
    const sealed = seal(checkDraft(changed), head);
    head = sealed.next;
    return sealed.line;
  }));
  await assertTamper(at, 7, /do not have the root.*entry 7 is not the one that was recorded/);
});

Deno.test("a change of equal length below the state note is found by full verification", async () => {
  using at = new SampleDirectory();
  await at.fill(300);
  const lines = at.lines();
  at.write(lines.with(7, (lines[7] ?? "").replace("step 7", "step 8")));
  await assert.rejects(
    at.open({ full_verification: true }),
    (error: unknown) => error instanceof AuditTamperError && error.index === 7,
  );
});

Deno.test("a bad line in the middle is refused with its number, not cut", async () => {
  for (const bad of ["{}", "", "\0\0\0", "garbage"]) {
    using at = new SampleDirectory();
    await at.fill(5);
    const more = continued(at.lines(), 4);
    append(at.file, [...more.slice(0, 2), bad, ...more.slice(2)].map((l) => `${l}\n`).join(""));
    await assertTamper(at, 7, /line 8/);
  }
  using at = new SampleDirectory();
  await at.fill(5);
  append(at.file, "a whole line that is no entry\n");
  await assertTamper(at, 5, /line 6/);
});

Deno.test("a checkpoint that is gone, damaged or another log's is refused", async () => {
  using at = new SampleDirectory();
  await at.fill(5);
  using other = new SampleDirectory();
  await other.fill(5);
  const path = `${at.directory}/log/checkpoint`;
  const own = Deno.readTextFileSync(path);
  Deno.writeTextFileSync(path, own.replace("\n5\n", "\n4\n"));
  await assertTamper(at, undefined, /not one this key signed.*bad signature/);
  Deno.writeTextFileSync(path, "nonsense");
  await assertTamper(at, undefined, /not one this key signed/);
  Deno.copyFileSync(`${other.directory}/log/checkpoint`, path);
  await assertTamper(at, undefined, /not one this key signed/);
  Deno.removeSync(path);
  await assertTamper(at, undefined, /checkpoint is missing/);
});

Deno.test("an older checkpoint of the same log is only out of date", async () => {
  using at = new SampleDirectory();
  const key = await at.fill(5);
  const old = Deno.readTextFileSync(`${at.directory}/log/checkpoint`);
  await at.fill(300, 5);
  Deno.writeTextFileSync(`${at.directory}/log/checkpoint`, old);
  const { log } = await at.open();
  await log.close();
  await assertWhole(at, key, 305);
});

Deno.test("what cannot be a log directory is refused with what to do next", async () => {
  using at = new SampleDirectory();
  Deno.writeTextFileSync(at.directory, "a file");
  await assert.rejects(at.open(), (error: unknown) => {
    assert.ok(error instanceof AuditOpenError);
    assert.match(error.message, /cannot be written.*choose another --audit-dir/);
    return true;
  });
  Deno.removeSync(at.directory);
  await at.fill(1);
  Deno.renameSync(at.file, `${at.root}/elsewhere`);
  Deno.symlinkSync(`${at.root}/elsewhere`, at.file);
  await assert.rejects(at.open(), /symbolic link/);
  Deno.removeSync(at.file);
  Deno.mkdirSync(at.file);
  await assert.rejects(at.open(), /special file/);
});
