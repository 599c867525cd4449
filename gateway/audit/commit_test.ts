import assert from "node:assert/strict";
import fc from "fast-check";
import { chainProblem, GENESIS, headAfter } from "../../core/audit/chain.ts";
import { AuditEntryError } from "../../core/audit/entry.ts";
import { parseLine } from "../../core/audit/line.ts";
import { draft, SampleDirectory } from "./_sample_directory.ts";
import { type DurableBatch, GroupCommit } from "./commit.ts";
import { classifyWriteFailure, type DurableFile, openDurableFile } from "./durable_file.ts";
import { AuditUnavailableError } from "./errors.ts";

/** A disk in memory that fails when told to, and can be held still. */
class FakeFile implements DurableFile {
  content = "";
  durable = "";
  batches: number[] = [];
  fail_append: { error: Error; after_chars: number } | undefined;
  fail_sync: Error | undefined;
  fail_truncate: Error | undefined;
  hold: Promise<void> | undefined;

  async append(bytes: Uint8Array): Promise<void> {
    await this.hold;
    const text = new TextDecoder().decode(bytes);
    this.batches.push(text.split("\n").length - 1);
    if (this.fail_append !== undefined) {
      this.content += text.slice(0, this.fail_append.after_chars);
      throw this.fail_append.error;
    }
    this.content += text;
  }

  sync(): Promise<void> {
    if (this.fail_sync !== undefined) return Promise.reject(this.fail_sync);
    this.durable = this.content;
    return Promise.resolve();
  }

  truncate(length: number): Promise<void> {
    if (this.fail_truncate !== undefined) return Promise.reject(this.fail_truncate);
    this.content = this.content.slice(0, length);
    return Promise.resolve();
  }

  close(): void {}
}

const ENOSPC = new Error("No space left on device (os error 28)");
const EIO = new Error("Input/output error (os error 5)");

function start(file: FakeFile, more: { pending_max?: number; probe_interval_ms?: number } = {}) {
  const batches: DurableBatch[] = [];
  const commit = new GroupCommit({
    file,
    end: { head: GENESIS, offset_bytes: 0 },
    prepare: { store_redacted_payload: false },
    pending_max: more.pending_max ?? 1_000,
    probe_interval_ms: more.probe_interval_ms ?? 0,
    onDurable: (batch) => batches.push(batch),
    ready: () => undefined,
  });
  return { commit, batches };
}

/** Entries of the durable text; fails unless they are one chain. */
function assertChain(text: string): bigint {
  let head = GENESIS;
  for (const line of text.split("\n").slice(0, -1)) {
    const entry = parseLine(line);
    assert.equal(chainProblem(entry, head), undefined);
    head = headAfter(entry.seq, entry.entry_hash.toHex());
  }
  assert.ok(text === "" || text.endsWith("\n"));
  return head.seq;
}

Deno.test("entries that arrive while a write is in flight become one batch", async () => {
  const file = new FakeFile();
  const gate = Promise.withResolvers<void>();
  const { commit, batches } = start(file);
  file.hold = gate.promise;
  const first = commit.append(draft(0));
  await new Promise((resolve) => setTimeout(resolve, 1));
  const rest = Array.from({ length: 50 }, (_, i) => commit.append(draft(i + 1)));
  assert.equal(commit.pending, 51);
  gate.resolve();
  await Promise.all([first, ...rest]);
  assert.deepEqual(file.batches, [1, 50]);
  assert.deepEqual(batches.map(({ newlines }) => newlines.length), [1, 50]);
  assert.equal(assertChain(file.durable), 51n);
  assert.equal(commit.durable.offset_bytes, new TextEncoder().encode(file.content).length);
});

Deno.test("nothing resolves before it is durable", async () => {
  const file = new FakeFile();
  const gate = Promise.withResolvers<void>();
  file.sync = async () => {
    await gate.promise;
    file.durable = file.content;
  };
  const { commit } = start(file);
  let resolved = false;
  const appended = commit.append(draft(0)).then(() => resolved = true);
  await new Promise((resolve) => setTimeout(resolve, 2));
  assert.deepEqual([resolved, file.content !== "", commit.durable.offset_bytes], [false, true, 0]);
  gate.resolve();
  await appended;
  assert.equal(assertChain(file.durable), 1n);
});

Deno.test("trap 49: on a full disk every waiting append is refused and the chain steps back", async () => {
  const file = new FakeFile();
  const { commit } = start(file);
  await Promise.all([0, 1, 2].map((i) => commit.append(draft(i))));
  file.fail_append = { error: ENOSPC, after_chars: 333 };
  const outcomes = await Promise.allSettled([3, 4, 5].map((i) => commit.append(draft(i))));
  for (const outcome of outcomes) {
    assert.ok(outcome.status === "rejected" && outcome.reason instanceof AuditUnavailableError);
  }
  assert.deepEqual(commit.state, {
    kind: "failed",
    failure: "no_space",
    reason: ENOSPC.message,
  });
  assert.equal(assertChain(file.content), 3n);
  file.fail_append = undefined;
  assert.equal((await commit.append(draft(6))).seq, 3n);
  assert.equal(commit.state.kind, "open");
  assert.equal(assertChain(file.durable), 4n);
});

Deno.test("while the disk is full one append at a time is a probe; others are refused at once", async () => {
  const file = new FakeFile();
  const { commit } = start(file, { probe_interval_ms: 3_600_000 });
  file.fail_append = { error: ENOSPC, after_chars: 0 };
  await assert.rejects(commit.append(draft(0)), AuditUnavailableError);
  const before = file.batches.length;
  await assert.rejects(commit.append(draft(1)), /free disk space/);
  assert.equal(file.batches.length, before);
  const eager = start(file);
  await assert.rejects(eager.commit.append(draft(0)), AuditUnavailableError);
  const pair = [eager.commit.append(draft(1)), eager.commit.append(draft(2))];
  const outcomes = await Promise.allSettled(pair);
  assert.deepEqual(outcomes.map(({ status }) => status), ["rejected", "rejected"]);
  assert.equal(file.batches.length, before + 2);
});

Deno.test("a partial write that cannot be cut off is cut by the next probe, before it writes", async () => {
  const file = new FakeFile();
  const { commit } = start(file);
  await commit.append(draft(0));
  file.fail_append = { error: ENOSPC, after_chars: 100 };
  file.fail_truncate = EIO;
  await assert.rejects(commit.append(draft(1)), AuditUnavailableError);
  file.fail_append = undefined;
  file.fail_truncate = undefined;
  assert.equal((await commit.append(draft(2))).seq, 1n);
  assert.equal(assertChain(file.durable), 2n);
});

Deno.test("a failed sync is final: no later append is believed, even if the disk seems well", async () => {
  const file = new FakeFile();
  const { commit } = start(file);
  await commit.append(draft(0));
  file.fail_sync = EIO;
  await assert.rejects(commit.append(draft(1)), /Input\/output error/);
  file.fail_sync = undefined;
  await assert.rejects(commit.append(draft(2)), /repair the disk and restart/);
  assert.equal(commit.state.kind === "failed" && commit.state.failure, "permanent");
  assert.equal(assertChain(file.durable), 1n);
});

Deno.test("a full disk is told from a broken one", () => {
  for (const code of [27, 28, 122]) {
    assert.equal(classifyWriteFailure(new Error(`x (os error ${code})`)), "no_space");
  }
  assert.equal(classifyWriteFailure(EIO), "permanent");
  assert.equal(classifyWriteFailure("?"), "permanent");
});

Deno.test("the queue is bounded: one append more is refused, those waiting are not", async () => {
  const file = new FakeFile();
  const gate = Promise.withResolvers<void>();
  file.hold = gate.promise;
  const { commit } = start(file, { pending_max: 10 });
  const waiting = Array.from({ length: 10 }, (_, i) => commit.append(draft(i)));
  await assert.rejects(commit.append(draft(10)), /10 entries already wait/);
  gate.resolve();
  await Promise.all(waiting);
  assert.equal((await commit.append(draft(11))).seq, 10n);
});

Deno.test("a draft that cannot be recorded is refused alone and takes no place in the chain", async () => {
  const file = new FakeFile();
  const { commit } = start(file);
  const bad = commit.append({ ...draft(1), agent_id: new Uint8Array(3) });
  const good = commit.append(draft(2));
  await assert.rejects(bad, AuditEntryError);
  assert.equal((await good).seq, 0n);
  assert.equal(assertChain(file.durable), 1n);
});

Deno.test("whatever fails and when: what was acknowledged is durable, in order, in one chain", async () => {
  const step = fc.record({
    appends: fc.integer({ min: 1, max: 8 }),
    fault: fc.constantFrom("none", "none", "space", "space_no_truncate", "sync"),
    after_chars: fc.integer({ min: 0, max: 4_000 }),
    overlap: fc.boolean(),
  });
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
    const file = new FakeFile();
    const { commit } = start(file);
    const acknowledged: { seq: bigint; hex: string }[] = [];
    let open: Promise<unknown>[] = [];
    for (const { appends, fault, after_chars, overlap } of steps) {
      file.fail_append = fault.startsWith("space") ? { error: ENOSPC, after_chars } : undefined;
      file.fail_truncate = fault === "space_no_truncate" ? EIO : undefined;
      file.fail_sync = fault === "sync" ? EIO : undefined;
      for (let i = 0; i < appends; i++) {
        open.push(
          commit.append(draft(i)).then(
            ({ seq, entry_hash }) => acknowledged.push({ seq, hex: entry_hash.toHex() }),
            (error) => assert.ok(error instanceof AuditUnavailableError),
          ),
        );
      }
      if (overlap) await Promise.resolve();
      else {
        await Promise.all(open);
        open = [];
      }
    }
    await Promise.all(open);
    const durable = file.durable.slice(0, commit.durable.offset_bytes);
    assert.equal(assertChain(durable), BigInt(acknowledged.length));
    const lines = durable.split("\n").slice(0, -1).map(parseLine);
    assert.deepEqual(
      acknowledged,
      lines.map(({ seq, entry_hash }) => ({ seq, hex: entry_hash.toHex() })),
    );
  }));
});

Deno.test("a log on a disk that fills and empties says so and goes on", async () => {
  using at = new SampleDirectory();
  let full = false;
  const { log } = await at.open({
    probe_interval_ms: 0,
    open_file: async (path) => {
      const file = await openDurableFile(path);
      return {
        ...file,
        append: (bytes) => full ? Promise.reject(ENOSPC) : file.append(bytes),
      };
    },
  });
  await log.append(draft(0));
  full = true;
  await assert.rejects(log.append(draft(1)), AuditUnavailableError);
  assert.deepEqual([log.status().state, log.status().entries], ["failed", 1n]);
  assert.match(log.status().failure ?? "", /No space left/);
  full = false;
  await log.append(draft(2));
  assert.equal(log.status().state, "open");
  await log.close();
});
