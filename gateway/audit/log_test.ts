import assert from "node:assert/strict";
import fc from "fast-check";
import { eventTypesOf, hash16 } from "../../core/audit/entry.ts";
import { parseLine } from "../../core/audit/line.ts";
import { verifyLog, verifyProof } from "../../core/audit/verify/mod.ts";
import { draft, SampleDirectory } from "./_sample_directory.ts";
import { AuditOpenError, AuditUnavailableError } from "./errors.ts";
import { directoryReader } from "./reading.ts";

async function verified(at: SampleDirectory, verifier_key: string) {
  return await verifyLog(directoryReader(at.directory), { verifier_key });
}

Deno.test("an appended entry is in the file, in the reference's form, before append resolves", async () => {
  using at = new SampleDirectory();
  const { log, recovery } = await at.open();
  assert.equal(recovery.entries, 0n);
  for (let i = 0; i < 5; i++) {
    const { seq, entry_hash } = await log.append(draft(i));
    assert.equal(seq, BigInt(i));
    const entry = parseLine(at.lines().at(-1) ?? "");
    assert.equal(entry.seq, seq);
    assert.deepEqual(entry.entry_hash, entry_hash);
    assert.equal(entry.payload, `{"reason":"step ${i}"}`);
  }
  await log.close();
});

Deno.test("trap 48: concurrent appends make one chain, in the order they were asked", async () => {
  using at = new SampleDirectory();
  const { log } = await at.open();
  const results = await Promise.all(Array.from({ length: 700 }, (_, i) => log.append(draft(i))));
  await log.close();
  assert.deepEqual(results.map(({ seq }) => seq), results.map((_, i) => BigInt(i)));
  const report = await verified(at, log.status().verifier_key);
  assert.deepEqual([report.ok, report.entries, report.covered], [true, 700, 700], report.summary);
});

Deno.test("a log closed and opened again goes on where it ended, reading only its end", async () => {
  using at = new SampleDirectory();
  const verifier_key = await at.fill(300);
  const { log, recovery } = await at.open();
  assert.deepEqual([recovery.entries, recovery.rebuilt, recovery.checked_entries], [
    300n,
    false,
    0,
  ]);
  assert.equal((await log.append(draft(300))).seq, 300n);
  await log.close();
  const report = await verified(at, verifier_key);
  assert.deepEqual([report.ok, report.covered], [true, 301], report.summary);
});

Deno.test("a checkpoint covers every entry that is durable when it is asked for", async () => {
  using at = new SampleDirectory();
  const { log } = await at.open();
  assert.match(await log.checkpoint(), /^agent-assembly\/[0-9a-f]{8}\n0\n/);
  for (let i = 0; i < 3; i++) await log.append(draft(i));
  const text = await log.checkpoint();
  assert.match(text, /\n3\n/);
  assert.equal(await log.checkpoint(), text);
  const stored = await log.readResource("checkpoint");
  assert.equal(new TextDecoder().decode(stored), text);
  await log.close();
});

Deno.test("new entries are signed within the checkpoint interval, unasked", async () => {
  using at = new SampleDirectory();
  const { log } = await at.open({ checkpoint_interval_ms: 10 });
  await log.append(draft(0));
  while (log.status().checkpoint?.size !== 1) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await log.close();
});

Deno.test("every entry can be proven, also across a growing tree", async () => {
  using at = new SampleDirectory();
  const { log } = await at.open();
  const { verifier_key } = log.status();
  for (const size of [1, 255, 256, 257, 520]) {
    const have = Number(log.status().entries);
    await Promise.all(
      Array.from({ length: size - have }, (_, i) => log.append(draft(have + i))),
    );
    const lines = at.lines();
    for (const index of new Set([0, size >> 1, size - 1])) {
      const proof = await log.prove(BigInt(index));
      const report = verifyProof(proof, lines[index] ?? "", verifier_key);
      assert.ok(report.ok, `${index} of ${size}: ${report.ok}`);
    }
  }
  await assert.rejects(log.prove(520n), RangeError);
  await assert.rejects(log.prove(-1n), RangeError);
  await log.close();
});

Deno.test("a proof made while others append and checkpoint holds", async () => {
  using at = new SampleDirectory();
  const { log } = await at.open({ checkpoint_interval_ms: 1 });
  const { verifier_key } = log.status();
  const writers = Array.from({ length: 4 }, async (_, w) => {
    for (let i = 0; i < 150; i++) await log.append(draft(w * 1_000 + i));
  });
  const proofs: [number, string][] = [];
  const prover = (async () => {
    for (let i = 0; i < 40; i++) {
      const { seq } = await log.append(draft(9_000 + i));
      proofs.push([Number(seq), await log.prove(seq)]);
    }
  })();
  await Promise.all([...writers, prover]);
  const lines = at.lines();
  for (const [index, proof] of proofs) {
    assert.ok(verifyProof(proof, lines[index] ?? "", verifier_key).ok, `entry ${index}`);
  }
  await log.close();
});

Deno.test("trap 51: banned members and redacted text never reach the file", async () => {
  using at = new SampleDirectory();
  const { log } = await at.open();
  const secret = "words-of-the-prompt";
  const nested = JSON.stringify({ Tool_Args: secret, ok: 1 });
  await log.append(
    draft(0, {
      payload: JSON.stringify({ action: "a", PROMPT: secret, detail: nested }),
      redacted_payload: secret,
      credential_findings: [{ kind: "Custom", offset: 3, matched: secret }],
    }),
  );
  assert.equal(log.status().removed_members, 2);
  await log.close();
  for (const file of [at.file, `${at.directory}/log/tile/entries/000.p/1`]) {
    assert.ok(!Deno.readTextFileSync(file).includes(secret), file);
  }
  assert.deepEqual(JSON.parse(parseLine(at.lines()[0] ?? "").payload), {
    action: "a",
    detail: '{"ok":1}',
  });
});

Deno.test("an entry of any size is recorded, with what did not fit named", async () => {
  using at = new SampleDirectory();
  const { log } = await at.open();
  const sizes = fc.record({
    quotes: fc.integer({ min: 0, max: 60_000 }),
    accents: fc.integer({ min: 0, max: 60_000 }),
  });
  await fc.assert(
    fc.asyncProperty(sizes, async ({ quotes, accents }) => {
      const payload = JSON.stringify({ q: '"'.repeat(quotes), e: "é".repeat(accents), x: 1 });
      const { seq } = await log.append(draft(0, { payload, team_id: '"'.repeat(1_000) }));
      const line = at.lines()[Number(seq)] ?? "";
      assert.ok(new TextEncoder().encode(line).length <= 65_535);
      const stored = JSON.parse(parseLine(line).payload);
      for (const name of ["q", "e"]) {
        assert.ok(name in stored || stored.audit_omitted.includes(name), name);
      }
    }),
    { numRuns: 25 },
  );
  await log.close();
});

Deno.test("entries are listed newest first, by every filter, and on from an earlier list", async () => {
  using at = new SampleDirectory();
  await at.fill(600);
  const { log } = await at.open();
  const seqs = async (filter: Parameters<typeof log.list>[0]) =>
    (await log.list(filter)).entries.map(({ seq }) => Number(seq));
  assert.deepEqual(await seqs({ limit: 3 }), [599, 598, 597]);
  assert.equal((await seqs({})).length, 50);
  assert.deepEqual(await seqs({ limit: 3, before_seq: 300n }), [299, 298, 297]);
  assert.deepEqual(await seqs({ limit: 3, before_seq: 2n }), [1, 0]);
  assert.deepEqual(await seqs({ before_seq: 0n }), []);
  assert.deepEqual(await seqs({ limit: 2, before_seq: 10_000n }), [599, 598]);
  const violation = eventTypesOf("violation") ?? [];
  assert.deepEqual(await seqs({ limit: 2, event_types: violation }), [597, 594]);
  assert.deepEqual(await seqs({ limit: 2, org_id: "acme" }), [598, 596]);
  assert.deepEqual(await seqs({ limit: 2, org_id: "" }), []);
  const agent_id_hex = hash16("agent-1").toHex();
  assert.deepEqual(await seqs({ limit: 2, agent_id_hex }), [597, 593]);
  const base = 1_714_222_134_000_000_000n;
  assert.deepEqual(await seqs({ since_ns: base + 3n, until_ns: base + 5n }), [4, 3]);
  const all = await log.list({ limit: 10_000 });
  assert.deepEqual(all.entries.map(({ line }) => line).reverse(), at.lines());
  assert.equal(all.scan_limit_reached, false);
  await log.close();
});

Deno.test("a tail gives the backlog, then each new entry once, in order, until it is stopped", async () => {
  using at = new SampleDirectory();
  await at.fill(20);
  const { log } = await at.open();
  const stop = new AbortController();
  const seen: number[] = [];
  const reading = (async () => {
    for await (const { seq, line } of log.tail({ backlog: 5, signal: stop.signal })) {
      assert.equal(parseLine(line).seq, seq);
      seen.push(Number(seq));
      if (seq === 119n) stop.abort();
    }
  })();
  for (let i = 20; i < 120; i++) await log.append(draft(i));
  await reading;
  assert.deepEqual(seen, Array.from({ length: 105 }, (_, i) => 15 + i));
  await log.close();
});

Deno.test("a tail ends when the log closes, with nothing left out", async () => {
  using at = new SampleDirectory();
  const { log } = await at.open();
  const seen: bigint[] = [];
  const reading = (async () => {
    const signal = new AbortController().signal;
    for await (const { seq } of log.tail({ backlog: 0, signal })) seen.push(seq);
  })();
  await Promise.resolve();
  await Promise.all(Array.from({ length: 10 }, (_, i) => log.append(draft(i))));
  await log.close();
  await reading;
  assert.equal(seen.length, 10);
});

Deno.test("only names of the tile layout can be read as resources", async () => {
  using at = new SampleDirectory();
  await at.fill(260);
  const { log } = await at.open();
  assert.equal((await log.readResource("tile/0/000"))?.length, 8_192);
  assert.equal((await log.readResource("tile/1/000.p/1"))?.length, 32);
  assert.equal(await log.readResource("tile/0/005"), undefined);
  for (
    const path of [
      "../gateway-default.jsonl",
      "state.json",
      "tile/0/../../../keys/audit.pem",
      "/etc/passwd",
      "tile/entries",
      "",
      "checkpoint.tmp",
    ]
  ) await assert.rejects(log.readResource(path), RangeError, path);
  await log.close();
});

Deno.test("a partial tile goes away once its full tile is signed", async () => {
  using at = new SampleDirectory();
  const { log } = await at.open();
  for (const count of [10, 20, 300]) {
    const have = Number(log.status().entries);
    await Promise.all(Array.from({ length: count - have }, (_, i) => log.append(draft(have + i))));
    await log.checkpoint();
  }
  const names = [...Deno.readDirSync(`${at.directory}/log/tile/0`)].map(({ name }) => name);
  assert.deepEqual(names.sort(), ["000", "001.p"]);
  await log.close();
});

Deno.test("a second gateway on the same directory is refused", async () => {
  using at = new SampleDirectory();
  const { log } = await at.open();
  await assert.rejects(at.open(), (error: unknown) => {
    assert.ok(error instanceof AuditOpenError);
    assert.match(error.message, /another gateway is writing/);
    return true;
  });
  await log.append(draft(0));
  await log.close();
  const again = await at.open();
  assert.equal(again.recovery.entries, 1n);
  await again.log.close();
});

Deno.test("a closed log refuses appends and keeps its last checkpoint", async () => {
  using at = new SampleDirectory();
  const { log } = await at.open();
  const waiting = Array.from({ length: 10 }, (_, i) => log.append(draft(i)));
  const closing = log.close();
  await assert.rejects(log.append(draft(10)), AuditUnavailableError);
  await Promise.all([...waiting, closing, log.close()]);
  assert.match(await log.checkpoint(), /\n10\n/);
  assert.equal(log.status().state, "closed");
  assert.equal(at.lines().length, 10);
});

Deno.test("the key is made for its owner alone, kept, and refused when others can read it", async () => {
  using at = new SampleDirectory();
  const first = await at.fill(1);
  assert.equal((Deno.statSync(at.key).mode ?? 0) & 0o777, 0o600);
  assert.match(Deno.readTextFileSync(at.key), /^-----BEGIN PRIVATE KEY-----\n/);
  assert.equal((Deno.statSync(at.file).mode ?? 0) & 0o077, 0);
  assert.equal(await at.fill(1, 1), first);
  Deno.chmodSync(at.key, 0o640);
  await assert.rejects(at.open(), /group or others may read it .*chmod 600/);
  Deno.chmodSync(at.key, 0o600);
  Deno.renameSync(at.key, `${at.key}.real`);
  await assert.rejects(at.open(), /missing, but the log has a checkpoint.*restore the key/);
  Deno.symlinkSync(`${at.key}.real`, at.key);
  await assert.rejects(at.open(), /symbolic link/);
  Deno.removeSync(at.key);
  Deno.writeTextFileSync(at.key, "secret bytes, no key", { mode: 0o600 });
  await assert.rejects(at.open(), (error: unknown) => {
    assert.ok(error instanceof AuditOpenError && /not an Ed25519 key/.test(error.message));
    assert.ok(!error.message.includes("secret bytes"));
    return true;
  });
});

Deno.test("an origin is the operator's or the key's, and cannot change under a log", async () => {
  using at = new SampleDirectory();
  const { log } = await at.open({ origin: "example.test/audit" });
  assert.match(log.status().verifier_key, /^example\.test\/audit\+[0-9a-f]{8}\+/);
  await log.append(draft(0));
  await log.close();
  await assert.rejects(at.open({ origin: "example.test/other" }), /not one this key signed/);
  using other = new SampleDirectory();
  await assert.rejects(other.open({ origin: "two words" }), /origin/);
});

Deno.test("exports are the stored lines, a JSON array of them, or CSV", async () => {
  using at = new SampleDirectory();
  await at.fill(7);
  const { log } = await at.open();
  await log.append(draft(7, { team_id: '=cmd,"x"' }));
  const text = async (options: Parameters<typeof log.export>[0]) =>
    (await Array.fromAsync(log.export(options))).join("");
  assert.equal(await text({ format: "jsonl" }), Deno.readTextFileSync(at.file));
  const filter = { event_types: eventTypesOf("violation") ?? [] };
  const lines = at.lines();
  assert.equal(
    await text({ format: "json", filter }),
    `[\n${[0, 3, 6].map((i) => lines[i]).join(",\n")}\n]\n`,
  );
  assert.equal(await text({ format: "json", filter: { org_id: "none" } }), "[]\n");
  assert.equal(JSON.parse(await text({ format: "json" })).length, 8);
  const csv = await text({ format: "csv", compliance: "eu-ai-act\nx", filter: { since_ns: 0n } });
  const rows = csv.split("\r\n");
  assert.match(rows[0] ?? "", /^# compliance: eu-ai-actx\n# source: .*\nseq,timestamp,/);
  assert.match(rows[1] ?? "", /^0,2024-04-27T12:48:54\.000000000Z,PolicyViolation,/);
  assert.match(rows[8] ?? "", /"'=cmd,""x"""/);
  await log.close();
});
