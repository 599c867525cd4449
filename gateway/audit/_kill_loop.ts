/**
 * Kills an appending process again and again on one directory, and looks for a lost entry. The
 * tests run it 40 times; a longer run: `deno run -A gateway/audit/_kill_loop.ts 200`.
 *
 * @module
 */
import assert from "node:assert/strict";
import { parseLine } from "../../core/audit/line.ts";
import { verifyLog } from "../../core/audit/verify/mod.ts";
import { runChild } from "./_appender.ts";
import { SampleDirectory } from "./_sample_directory.ts";
import { directoryReader } from "./reading.ts";

/** What a kill loop saw. */
export interface KillLoopResult {
  readonly rounds: number;
  readonly acknowledged: number;
  readonly stored: number;
  readonly torn_tails: number;
}

/**
 * Runs `rounds` children, each killed at a random moment under load; then checks that every
 * acknowledged entry is stored under its number and hash, and that the whole log verifies.
 */
export async function killLoop(
  at: SampleDirectory,
  rounds: number,
  random: () => number,
): Promise<KillLoopResult> {
  const acknowledged = new Map<number, string>();
  for (let round = 0; round < rounds; round++) {
    const target = 1 + Math.floor(random() * 400);
    const { acknowledged: acks, other } = await runChild(at.root, {
      writers: 1 + Math.floor(random() * 32),
      checkpoint_interval_ms: 1 + Math.floor(random() * 20),
      tree_thread: round % 4 === 3,
      kill_when: (count) => count >= target,
    });
    assert.match(other[0] ?? "", /^open \d+$/, `round ${round}: ${other.join("; ")}`);
    for (const { seq, hash } of acks) {
      assert.ok(!acknowledged.has(seq), `entry ${seq} was acknowledged twice`);
      acknowledged.set(seq, hash);
    }
  }
  const { log } = await at.open();
  await log.close();
  const stored = at.lines().map(parseLine);
  for (const [seq, hash] of acknowledged) {
    assert.equal(stored[seq]?.entry_hash.toHex(), hash, `acknowledged entry ${seq} is lost`);
  }
  const verifier_key = log.status().verifier_key;
  const report = await verifyLog(directoryReader(at.directory), { verifier_key });
  assert.ok(report.ok, report.summary);
  assert.equal(report.covered, stored.length);
  const torn_tails = [...Deno.readDirSync(at.directory)]
    .filter(({ name }) => name.includes(".torn-")).length;
  return { rounds, acknowledged: acknowledged.size, stored: stored.length, torn_tails };
}

if (import.meta.main) {
  const rounds = Number(Deno.args[0] ?? 200);
  using at = new SampleDirectory();
  const result = await killLoop(at, rounds, Math.random);
  await Deno.stdout.write(new TextEncoder().encode(`${JSON.stringify(result)}\n`));
}
