import assert from "node:assert/strict";
import fc from "fast-check";
import { formatProof } from "../proof.ts";
import { inclusionProof } from "../merkle.ts";
import { nodesFromTiles, tilePath } from "../tiles.ts";
import { GENESIS, headAfter, seal } from "../chain.ts";
import { parseTreeHead, signTreeHead } from "../checkpoint.ts";
import { checkDraft } from "../entry.ts";
import { encodeLine, parseLine } from "../line.ts";
import { filesOf, sampleDraft, sampleLines, sampleSigner } from "../_sample_log.ts";
import { type LogReader, verifyChainJsonl, verifyLog, verifyProof } from "./mod.ts";

const SIZE = 700;
const { signer, verifier_key } = sampleSigner();
const LINES = sampleLines(Array.from({ length: SIZE }, (_, i) => sampleDraft(i)));
const FILES = filesOf(LINES, signer);
const LOG = "gateway-default.jsonl";

function readerOf(files: ReadonlyMap<string, Uint8Array>): LogReader {
  return { read: (name) => Promise.resolve(files.get(name)) };
}

function encode(lines: readonly string[]): Uint8Array {
  return new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""));
}

function withLines(lines: readonly string[]): Map<string, Uint8Array> {
  return new Map(FILES).set(LOG, encode(lines));
}

/** The lines from `at` on, chained again by someone who knows how. */
function rechained(lines: readonly string[], at: number): string[] {
  const before = at === 0 ? undefined : parseLine(lines[at - 1] ?? "");
  let head = before === undefined ? GENESIS : headAfter(before.seq, before.entry_hash.toHex());
  return lines.map((line, i) => {
    if (i < at) return line;
    const { seq: _seq, previous_hash: _previous, entry_hash: _own, ...draft } = parseLine(line);
    const sealed = seal(checkDraft(draft), head);
    head = sealed.next;
    return sealed.line;
  });
}

async function verify(files: ReadonlyMap<string, Uint8Array>, key = verifier_key) {
  return await verifyLog(readerOf(files), { verifier_key: key });
}

async function assertFirst(
  files: ReadonlyMap<string, Uint8Array>,
  kind: string,
  index: number | undefined,
  what: string,
): Promise<void> {
  const report = await verify(files);
  assert.equal(report.ok, false, what);
  const { first } = report;
  assert.deepEqual([first?.kind, first?.index], [kind, index], `${what}: ${first?.message}`);
  assert.equal(first?.line, index === undefined ? undefined : index + 1, what);
}

Deno.test("a whole log verifies, and the report says how much it covers", async () => {
  const seen: number[] = [];
  const report = await verifyLog(readerOf(FILES), {
    verifier_key,
    onProgress: (n) => seen.push(n),
  });
  assert.deepEqual(
    { ok: report.ok, entries: report.entries, covered: report.covered, problems: report.problems },
    { ok: true, entries: SIZE, covered: SIZE, problems: [] },
  );
  assert.equal(report.checkpoint?.signature, "valid");
  assert.equal(report.summary, "OK: 700 entries verified");
  assert.deepEqual(seen, [1]);
});

Deno.test("without a verifier key a log is never called OK", async () => {
  const report = await verifyLog(readerOf(FILES));
  assert.equal(report.ok, false);
  assert.equal(report.checkpoint?.signature, "unchecked");
  assert.deepEqual(report.problems, []);
  assert.match(report.summary, /no verifier key/);
});

Deno.test("a log read in pieces of any size verifies the same", async () => {
  const whole = FILES.get(LOG) ?? new Uint8Array(0);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 5_000 }), async (size) => {
      async function* pieces() {
        for (let at = 0; at < whole.length; at += size) yield whole.subarray(at, at + size);
      }
      const report = await verifyLog({
        read: (name) => Promise.resolve(name === LOG ? undefined : FILES.get(name)),
        stream: (name) => Promise.resolve(name === LOG ? pieces() : undefined),
      }, { verifier_key });
      assert.equal(report.ok, true);
    }),
    { numRuns: 5 },
  );
});

/** Changes bytes of one entry, one at a time, and expects that entry to be named. */
async function assertEveryByte(
  files: ReadonlyMap<string, Uint8Array>,
  entry: number,
  step: number,
): Promise<void> {
  const whole = files.get(LOG) ?? assert.fail();
  const starts = [0];
  for (const [i, byte] of whole.entries()) if (byte === 10) starts.push(i + 1);
  const start = starts[entry] ?? assert.fail();
  for (let at = start; at < (starts[entry + 1] ?? 0) - 1; at += step) {
    const changed = whole.slice();
    changed[at] = changed[at] === 0x31 ? 0x32 : 0x31;
    const report = await verify(new Map(files).set(LOG, changed));
    const where = `byte ${at - start} of entry ${entry}: ${report.first?.message}`;
    assert.deepEqual([report.ok, report.first?.index], [false, entry], where);
  }
}

Deno.test("one changed byte of a log is found at its entry, every byte of a line", async () => {
  const small = filesOf(LINES.slice(0, 8), signer);
  for (const entry of [0, 3, 7]) await assertEveryByte(small, entry, 1);
});

Deno.test("one changed byte of a log of several tiles is found at its entry", async () => {
  for (const entry of [0, 255, 256, 512, 699]) await assertEveryByte(FILES, entry, 101);
});

Deno.test("a lost newline is found at the first entry it spoils", async () => {
  const whole = FILES.get(LOG) ?? assert.fail();
  const at = encode(LINES.slice(0, 11)).length - 1;
  const without = new Uint8Array([...whole.subarray(0, at), ...whole.subarray(at + 1)]);
  await assertFirst(new Map(FILES).set(LOG, without), "edit", 10, "joined lines");
});

Deno.test("an edit with its own hash made right is found at the edited entry", async () => {
  for (const at of [0, 1, 255, 256, 350, 699]) {
    const entry = parseLine(LINES[at] ?? "");
    const forged = { ...entry, payload: '{"reason":"nothing happened"}' };
    const head = { ...GENESIS, seq: entry.seq, previous_hex: entry.previous_hash.toHex() };
    const { next } = seal(forged, head);
    const line = encodeLine({ ...forged, entry_hash: Uint8Array.fromHex(next.previous_hex) });
    await assertFirst(withLines(LINES.with(at, line)), "edit", at, `entry ${at}`);
  }
});

Deno.test("an edit with the whole chain made right again is found at the edited entry", async () => {
  for (const at of [0, 255, 350, 699]) {
    const edited = LINES.with(at, (LINES[at] ?? "").replace(/step \d+/, "step zero"));
    const forged = rechained(edited, at);
    assert.equal((await verifyChainJsonl(encode(forged))).ok, true, "the chain alone is fooled");
    await assertFirst(withLines(forged), "edit", at, `entry ${at}`);
  }
});

Deno.test("an edit the chain does not hash, of a finding's kind or of white space, is found", async () => {
  const at = 3;
  const kind = (LINES[at] ?? "").replace('"kind":"AwsAccessKey"', '"kind":"Custom"');
  assert.notEqual(kind, LINES[at]);
  assert.equal((await verifyChainJsonl(encode(LINES.with(at, kind)))).ok, true);
  await assertFirst(withLines(LINES.with(at, kind)), "edit", at, "finding kind");
  const spaced = (LINES[at] ?? "").replace(",", ", ");
  await assertFirst(withLines(LINES.with(at, spaced)), "edit", at, "white space");
});

Deno.test("two entries in each other's place are found at the first of them", async () => {
  for (const [a, b] of [[0, 1], [254, 255], [255, 256], [10, 600], [698, 699]] as const) {
    const swapped = LINES.with(a, LINES[b] ?? "").with(b, LINES[a] ?? "");
    await assertFirst(withLines(swapped), "reorder", a, `${a} and ${b}`);
    await assertFirst(withLines(rechained(swapped, a)), "edit", a, `${a} and ${b}, rechained`);
  }
});

Deno.test("a dropped entry is found where it was", async () => {
  for (const at of [0, 1, 255, 256, 511, 512, 697, 698]) {
    await assertFirst(withLines(LINES.toSpliced(at, 1)), "omission", at, `entry ${at}`);
    const hidden = rechained(LINES.toSpliced(at, 1), at);
    assert.equal((await verify(withLines(hidden))).first?.index, at, `entry ${at}, rechained`);
  }
  await assertFirst(withLines(LINES.toSpliced(300, 50)), "omission", 300, "fifty entries");
});

Deno.test("an entry put in is found where it stands", async () => {
  const foreign = sampleLines([sampleDraft(5_000)])[0] ?? "";
  for (const at of [0, 1, 256, 699]) {
    await assertFirst(withLines(LINES.toSpliced(at, 0, foreign)), "insertion", at, `at ${at}`);
  }
  for (const at of [1, 256, 699]) {
    const twice = LINES.toSpliced(at, 0, LINES[at - 1] ?? "");
    await assertFirst(withLines(twice), "insertion", at, `entry ${at - 1} twice`);
  }
});

Deno.test("entries cut from the end are found at the first one missing", async () => {
  for (const kept of [0, 1, 255, 256, 699]) {
    await assertFirst(withLines(LINES.slice(0, kept)), "truncation", kept, `${kept} kept`);
  }
  const files = new Map(FILES);
  files.delete(LOG);
  await assertFirst(files, "truncation", 0, "the file is gone");
  const whole = FILES.get(LOG) ?? assert.fail();
  const torn = new Map(FILES).set(LOG, whole.subarray(0, -20));
  assert.equal((await verify(torn)).first?.index, 699);
});

Deno.test("every byte of every tile, bundle and checkpoint counts", async () => {
  for (const [name, bytes] of FILES) {
    if (name === LOG) continue;
    const step = Math.max(1, Math.floor(bytes.length / 25));
    for (let at = 0; at < bytes.length; at += step) {
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      const report = await verify(new Map(FILES).set(name, changed));
      assert.equal(report.ok, false, `${name} byte ${at}`);
      const kinds = report.problems.map((problem) => problem.kind);
      const expected = name === "log/checkpoint"
        ? ["signature", "checkpoint"]
        : [name.includes("entries") ? "bundle" : "tile"];
      assert.ok(kinds.some((kind) => expected.includes(kind)), `${name} byte ${at}: ${kinds}`);
    }
    const shorter = await verify(new Map(FILES).set(name, bytes.subarray(0, -1)));
    assert.equal(shorter.ok, false, `${name} shortened`);
    const gone = new Map(FILES);
    gone.delete(name);
    assert.equal((await verify(gone)).ok, false, `${name} removed`);
  }
});

Deno.test("a damaged tile is blamed on the tile, and names the entry it is wrong about", async () => {
  const name = "log/tile/0/001";
  const changed = (FILES.get(name) ?? assert.fail()).slice();
  changed[32 * 44] = (changed[32 * 44] ?? 0) ^ 1;
  const { first } = await verify(new Map(FILES).set(name, changed));
  assert.deepEqual([first?.kind, first?.index, first?.resource], ["tile", 300, name]);
});

Deno.test("a full tile may stand in for the partial one it grew from", async () => {
  const files = filesOf(LINES, signer, 300);
  const full = FILES.get("log/tile/0/001") ?? assert.fail();
  const bundle = FILES.get("log/tile/entries/001") ?? assert.fail();
  files.delete("log/tile/0/001.p/44");
  files.delete("log/tile/entries/001.p/44");
  files.set("log/tile/0/001", full).set("log/tile/entries/001", bundle);
  const report = await verify(files);
  assert.deepEqual([report.ok, report.covered], [true, 300], report.summary);
  assert.match(report.summary, /last 400 are not under the checkpoint/);
});

Deno.test("a log made anew and signed by another key is refused", async () => {
  const forged = rechained(LINES.with(5, (LINES[5] ?? "").replace("step 5", "step 6")), 5);
  const other = sampleSigner(8);
  await assertFirst(filesOf(forged, other.signer), "signature", undefined, "another key");
  const renamed = sampleSigner(7, "example.test/other");
  await assertFirst(filesOf(LINES, renamed.signer), "signature", undefined, "another origin");
});

Deno.test("a checkpoint that names another origin than its key is refused", async () => {
  const head = parseTreeHead(
    new TextDecoder().decode(FILES.get("log/checkpoint")).split("\n\n")[0] + "\n",
  );
  const note = signTreeHead({ ...head, origin: "example.test/other" }, signer);
  const files = new Map(FILES).set("log/checkpoint", new TextEncoder().encode(note));
  await assertFirst(files, "signature", undefined, "origin");
});

Deno.test("an entry that is right in itself but does not follow is found by the chain alone", async () => {
  const at = 9;
  const entry = parseLine(LINES[at] ?? "");
  const head = { ...GENESIS, seq: entry.seq };
  const unlinked = LINES.with(at, seal(entry, head).line);
  const report = await verifyChainJsonl(encode(unlinked));
  assert.deepEqual([report.first?.kind, report.first?.index], ["edit", at]);
  assert.match(report.first?.message ?? "", /does not follow the entry before it/);
  assert.deepEqual([report.ok, report.reference_ok], [false, false]);
  const later = seal(parseLine(LINES[0] ?? ""), headAfter(-1n, "11".repeat(32)));
  const first = await verifyChainJsonl(encode([later.line]));
  assert.match(first.first?.message ?? "", /does not follow the beginning of a log/);
});

Deno.test("a line in the tree at a place that is not its own number proves nothing", async () => {
  const moved = LINES.slice(1, 9);
  const files = filesOf(moved, signer);
  const nodes = nodesFromTiles(
    moved.length,
    (name) => Promise.resolve(files.get(`log/${tilePath(name)}`) ?? assert.fail()),
  );
  const path = await inclusionProof(3, moved.length, nodes);
  const checkpoint = new TextDecoder().decode(files.get("log/checkpoint"));
  const report = verifyProof(
    formatProof({ index: 3n, path, checkpoint }),
    moved[3] ?? "",
    verifier_key,
  );
  assert.ok(!report.ok && /the line is entry 4, not 3/.test(report.message));
});

Deno.test("a checkpoint over another tree is found even when file and tiles agree", async () => {
  const forged = rechained(LINES.with(5, (LINES[5] ?? "").replace("step 5", "step 6")), 5);
  const files = filesOf(forged, sampleSigner(8).signer)
    .set("log/checkpoint", FILES.get("log/checkpoint") ?? assert.fail());
  await assertFirst(files, "checkpoint", undefined, "everything but the checkpoint replaced");
});

Deno.test("entries after the checkpoint are held by the chain", async () => {
  const files = filesOf(LINES, signer, 650);
  assert.equal((await verify(files)).ok, true);
  const cut = new Map(files).set(LOG, encode(LINES.toSpliced(660, 1)));
  await assertFirst(cut, "omission", 660, "dropped");
  const swapped = LINES.with(670, LINES[680] ?? "").with(680, LINES[670] ?? "");
  await assertFirst(new Map(files).set(LOG, encode(swapped)), "reorder", 670, "swapped");
});

Deno.test("[!] an empty log is not OK: it says there are no entries", async () => {
  const empty = await verifyChainJsonl(new Uint8Array(0));
  assert.deepEqual([empty.ok, empty.reference_ok, empty.first?.kind], [false, true, "no_entries"]);
  const report = await verify(filesOf([], signer));
  assert.deepEqual([report.ok, report.first?.kind], [false, "no_entries"]);
  assert.equal((await verify(new Map())).ok, false);
});

Deno.test("the chain report says what the reference's verify-chain would, beside the strict answer", async () => {
  const good = await verifyChainJsonl(encode(LINES));
  assert.deepEqual([good.ok, good.reference_ok], [true, true]);
  assert.equal(good.summary, "OK \u2014 700 entries verified");
  const cases: [string, string[], boolean, number][] = [
    ["first entries missing", LINES.slice(5), true, 0],
    ["one missing", LINES.toSpliced(9, 1), false, 9],
    ["edited", LINES.with(9, (LINES[9] ?? "").replace("step 9", "step 8")), false, 9],
    ["not JSON", LINES.with(9, "{"), false, 9],
  ];
  for (const [name, lines, reference_ok, index] of cases) {
    const report = await verifyChainJsonl(encode(lines));
    assert.deepEqual([report.ok, report.reference_ok], [false, reference_ok], name);
    assert.equal(report.first?.index, index, name);
  }
});

Deno.test("a proof holds for its line alone, under its key alone", async () => {
  const checkpoint = new TextDecoder().decode(FILES.get("log/checkpoint"));
  const nodes = nodesFromTiles(
    SIZE,
    (name) => Promise.resolve(FILES.get(`log/${tilePath(name)}`) ?? assert.fail()),
  );
  for (const index of [0, 255, 256, 511, 512, 698, 699]) {
    const path = await inclusionProof(index, SIZE, nodes);
    const proof = formatProof({ index: BigInt(index), path, checkpoint });
    const line = LINES[index] ?? "";
    const held = verifyProof(proof, line, verifier_key);
    assert.deepEqual(held, { ok: true, index: BigInt(index), size: SIZE, origin: signer.name });
    const wrong: [string, string, string][] = [
      [proof, LINES[index - 1] ?? LINES[1] ?? "", verifier_key],
      [proof, `${line} `, verifier_key],
      [
        proof.replace(`index ${index}\n`, `index ${index === 0 ? 1 : index - 1}\n`),
        line,
        verifier_key,
      ],
      [proof, line, sampleSigner(8).verifier_key],
      [formatProof({ index: BigInt(index), path: path.slice(1), checkpoint }), line, verifier_key],
      [proof.replace(`\n${SIZE}\n`, `\n${SIZE + 1}\n`), line, verifier_key],
      ["", line, verifier_key],
    ];
    for (const [text, of, key] of wrong) assert.equal(verifyProof(text, of, key).ok, false, text);
  }
});

Deno.test("the verifier shares no code with what writes logs", async () => {
  for await (const file of Deno.readDir(new URL(".", import.meta.url))) {
    if (file.name.endsWith("_test.ts")) continue;
    const text = await Deno.readTextFile(new URL(file.name, import.meta.url));
    const imports = [...text.matchAll(/from "([^"]+)"/g)].map((match) => match[1] ?? "");
    const outside = imports.filter((name) => name.startsWith(".") && !/^\.\/\w+\.ts$/.test(name));
    assert.deepEqual(outside, [], file.name);
  }
});
