import assert from "node:assert/strict";
import { sampleSigner } from "../../core/audit/_sample_log.ts";
import { EMPTY_EDGE } from "../../core/audit/tile_builder.ts";
import { GENESIS } from "../../core/audit/chain.ts";
import { verifyLog, verifyProof } from "../../core/audit/verify/mod.ts";
import { draft, SampleDirectory } from "./_sample_directory.ts";
import { AuditOpenError, AuditUnavailableError } from "./errors.ts";
import { SYSTEM_HOST } from "./host.ts";
import { directoryReader } from "./reading.ts";
import { type Tree, TreeWriter } from "./tree.ts";
import { TreeThread } from "./tree_thread.ts";

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

Deno.test("a tree on its own thread signs, proves and closes like one on this thread", async () => {
  using at = new SampleDirectory();
  const { log } = await at.open({ tree_thread: true, checkpoint_interval_ms: 5 });
  const { verifier_key } = log.status();
  await Promise.all(Array.from({ length: 700 }, (_, i) => log.append(draft(i))));
  await until(() => log.status().checkpoint?.size === 700);
  for (let i = 700; i < 720; i++) {
    const { seq } = await log.append(draft(i));
    assert.match(await log.checkpoint(), new RegExp(`\n${i + 1}\n`));
    const proof = await log.prove(seq);
    assert.ok(verifyProof(proof, at.lines()[i] ?? "", verifier_key).ok);
  }
  await log.close();
  const report = await verifyLog(directoryReader(at.directory), { verifier_key });
  assert.deepEqual([report.ok, report.covered], [true, 720], report.summary);
  const again = await at.open({ tree_thread: true });
  assert.deepEqual([again.recovery.entries, again.recovery.rebuilt], [720n, false]);
  await again.log.close();
});

for (const tree_thread of [false, true]) {
  const where = tree_thread ? "another thread" : "this thread";
  Deno.test(`a tree on ${where} that cannot be written degrades the log, and mends`, async () => {
    using at = new SampleDirectory();
    const { log } = await at.open({ tree_thread, checkpoint_interval_ms: 5 });
    await log.append(draft(0));
    await log.checkpoint();
    const tile = `${at.directory}/log/tile`;
    Deno.renameSync(tile, `${tile}.away`);
    Deno.writeTextFileSync(tile, "in the way");
    await log.append(draft(1));
    await until(() => log.status().state === "degraded");
    assert.match(log.status().failure ?? "", /Merkle tree cannot be written/);
    await assert.rejects(log.checkpoint(), AuditUnavailableError);
    await log.append(draft(2));
    assert.equal(log.status().checkpoint?.size, 1);
    Deno.removeSync(tile);
    Deno.renameSync(`${tile}.away`, tile);
    await until(() => log.status().state === "open");
    await until(() => log.status().checkpoint?.size === 3);
    await log.close();
    const { verifier_key } = log.status();
    const report = await verifyLog(directoryReader(at.directory), { verifier_key });
    assert.deepEqual([report.ok, report.covered], [true, 3], report.summary);
  });
}

Deno.test("a log whose first checkpoint cannot be written does not open", async () => {
  using at = new SampleDirectory();
  Deno.mkdirSync(`${at.directory}/log/checkpoint.tmp`, { recursive: true });
  for (const tree_thread of [false, true]) {
    await assert.rejects(
      at.open({ tree_thread }),
      (error: unknown) => error instanceof AuditOpenError && /start again/.test(error.message),
    );
  }
});

function startWriter(at: SampleDirectory, lag_bytes_max: number): Tree {
  Deno.mkdirSync(`${at.directory}/log/tile/entries`, { recursive: true });
  return new TreeWriter({
    host: SYSTEM_HOST,
    directory: at.directory,
    signer: sampleSigner().signer,
    edge: EMPTY_EDGE,
    end: { head: GENESIS, offset_bytes: 0 },
    published: undefined,
    interval_ms: 3_600_000,
    lag_bytes_max,
  });
}

function batchOf(count: number) {
  const bytes = new TextEncoder().encode("entry\n".repeat(count));
  return { bytes, newlines: Array.from({ length: count }, (_, i) => i * 6 + 5) };
}

Deno.test("a tree that lags holds the log back until it has caught up", async () => {
  using at = new SampleDirectory();
  const tree = startWriter(at, 3_000);
  assert.equal(tree.ready(), undefined);
  tree.feed(batchOf(1_000), { head: GENESIS, offset_bytes: 6_000 });
  const ready = tree.ready();
  assert.ok(ready instanceof Promise);
  // Full tiles count until they are on disk; they go there without waiting for a checkpoint.
  await ready;
  assert.equal(tree.published, undefined);
  assert.equal(tree.ready(), undefined);
  await tree.close();
});

Deno.test("a tree that lags and cannot be written makes the log refuse", async () => {
  using at = new SampleDirectory();
  const tree = startWriter(at, 3_000);
  Deno.removeSync(`${at.directory}/log`, { recursive: true });
  Deno.writeTextFileSync(`${at.directory}/log`, "in the way");
  tree.feed(batchOf(1_000), { head: GENESIS, offset_bytes: 6_000 });
  const outcomes = await Promise.allSettled([tree.ready(), tree.checkpoint()]);
  for (const outcome of outcomes) {
    assert.ok(outcome.status === "rejected");
    assert.match(outcome.reason.message, /Merkle tree cannot be written/);
  }
  await assert.rejects(async () => await tree.ready(), /Merkle tree cannot be written/);
  await tree.close();
});

Deno.test("a thread that cannot be started is refused, not waited for", async () => {
  using at = new SampleDirectory();
  const options = {
    directory: at.directory,
    signer: { ...sampleSigner().signer },
    edge: EMPTY_EDGE,
    end: { head: GENESIS, offset_bytes: 0 },
    published: undefined,
    interval_ms: 1_000,
  };
  const real = globalThis.Worker;
  globalThis.Worker = class extends real {
    constructor(_url: string | URL, init?: WorkerOptions) {
      super("data:text/javascript,throw new Error('broken')", init);
    }
  } as typeof Worker;
  try {
    await assert.rejects(TreeThread.start(options), /thread ended: .*broken/);
  } finally {
    globalThis.Worker = real;
  }
});
