import assert from "node:assert/strict";
import { parseLine } from "../../core/audit/line.ts";
import { verifyLog } from "../../core/audit/verify/mod.ts";
import { type ChildOutput, runChild } from "./_appender.ts";
import { killLoop } from "./_kill_loop.ts";
import { SampleDirectory } from "./_sample_directory.ts";
import { directoryReader } from "./reading.ts";

/** Whether a program can be run; in CI its absence is a failure. */
async function available(test: string, program: string, ...args: string[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(program, { args, stdout: "null", stderr: "null" })
      .output();
    if (success) return true;
  } catch {
    // Not there.
  }
  const reason = `${[program, ...args].join(" ")} does not work here`;
  if (Deno.env.get("CI") === "true") assert.fail(`${test}: ${reason}`);
  await Deno.stdout.write(new TextEncoder().encode(`SKIPPED: ${test}: ${reason}\n`));
  return false;
}

/** Everything acknowledged is stored; the log opens again and verifies. */
async function assertNothingLost(at: SampleDirectory, output: ChildOutput): Promise<void> {
  const { log } = await at.open();
  await log.close();
  const stored = at.lines().map(parseLine);
  for (const { seq, hash } of output.acknowledged) {
    assert.equal(stored[seq]?.entry_hash.toHex(), hash, `acknowledged entry ${seq} is lost`);
  }
  const { verifier_key } = log.status();
  const report = await verifyLog(directoryReader(at.directory), { verifier_key });
  assert.ok(report.ok, report.summary);
}

Deno.test("a process killed at any moment under load loses no acknowledged entry", async () => {
  using at = new SampleDirectory();
  const result = await killLoop(at, 40, Math.random);
  assert.equal(result.rounds, 40);
  assert.ok(result.acknowledged >= 40, "the children acknowledged something");
  assert.ok(result.stored >= result.acknowledged);
});

Deno.test("a log at its file-size limit refuses every append and keeps what it acknowledged", async () => {
  const name = "file-size limit";
  if (!await available(name, "sh", "-c", "ulimit -f 64")) return;
  using at = new SampleDirectory();
  // 64 KiB or 32, by the shell's block size; SIGXFSZ ignored makes the write fail instead.
  const shell = ["sh", "-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"];
  const output = await runChild(at.root, { writers: 4, wrap: shell });
  assert.ok(output.acknowledged.length > 10, output.other.join("; "));
  assert.ok(output.refused.length >= 5);
  for (const reason of output.refused) assert.match(reason, /File too large|no room/);
  await assertNothingLost(at, output);
});

Deno.test("a full file system refuses appends; nothing acknowledged is lost", async () => {
  const name = "full file system";
  if (!await available(name, "unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt")) return;
  using at = new SampleDirectory();
  Deno.mkdirSync(at.directory);
  const saved = `${at.root}/saved`;
  // The small file system lives and dies with the child; what it held is copied out behind it.
  const script = `mount -t tmpfs -o size=512k none ${at.directory} && "$@"; ` +
    `code=$?; cp -r ${at.directory} ${saved}; exit $code`;
  const shell = ["unshare", "--mount", "sh", "-c", script, "sh"];
  const output = await runChild(at.root, { writers: 4, wrap: shell });
  assert.ok(output.acknowledged.length > 10, output.other.join("; "));
  assert.match(output.refused[0] ?? "", /No space left on device/);
  Deno.removeSync(at.directory, { recursive: true });
  Deno.renameSync(saved, at.directory);
  await assertNothingLost(at, output);
});

Deno.test("a failed fdatasync is final for the process and loses nothing acknowledged", async () => {
  const name = "failed fdatasync";
  if (!await available(name, "strace", "-o", "/dev/null", "true")) return;
  using at = new SampleDirectory();
  await at.fill(5);
  // Only the log file's own syncs fail; its path selects them whichever thread makes them.
  const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", at.file];
  const inject = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"];
  const output = await runChild(at.root, { writers: 4, wrap: [...strace, ...inject] });
  assert.equal(output.acknowledged.length, 0);
  assert.match(output.refused[0] ?? "", /Input\/output error/);
  assert.deepEqual(output.other.slice(0, 2), ["open 5", "state failed"]);
  await assertNothingLost(at, output);
});

Deno.test("a read-only directory is refused at start, with what to do next", async () => {
  const name = "read-only directory";
  if (!await available(name, "unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt")) return;
  using at = new SampleDirectory();
  await at.fill(5);
  const script = `mount --bind ${at.directory} ${at.directory} && ` +
    `mount -o remount,ro,bind ${at.directory} && exec "$@"`;
  const shell = ["unshare", "--mount", "sh", "-c", script, "sh"];
  const output = await runChild(at.root, { writers: 1, wrap: shell });
  assert.match(output.other[0] ?? "", /^failed cannot open audit log: .*Read-only file system/);
  assert.match(output.other[0] ?? "", /choose another --audit-dir/);
  assert.equal(at.lines().length, 5);
});

Deno.test("a second process on the same directory is refused while the first appends", async () => {
  using at = new SampleDirectory();
  let second: ChildOutput | undefined;
  let started: Promise<void> | undefined;
  const first = await runChild(at.root, {
    writers: 1,
    kill_when: () => {
      started ??= runChild(at.root, { writers: 1 }).then((output) => {
        second = output;
      });
      return second !== undefined;
    },
  });
  await started;
  assert.match(second?.other[0] ?? "", /^failed .*another gateway is writing/);
  assert.equal(second?.acknowledged.length, 0);
  await assertNothingLost(at, first);
});
