import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { ManualTimers, until, withFolder } from "../_fixture.ts";
import { forwarderOf, numberIn, openAt, RememberingSink } from "./_spool_fixture.ts";

const CHILD = new URL("./_crash_child.ts", import.meta.url).pathname;
const SOURCES = new URL("../../", import.meta.url).pathname;

interface Output {
  /** Number → position, of everything acknowledged. */
  readonly acknowledged: ReadonlyMap<number, number>;
  readonly other: readonly string[];
}

/** Runs the appending child, killing it once it acknowledged `kill_at` records. */
async function runChild(
  folder: string,
  args: readonly string[],
  kill_at: number,
  wrap: readonly string[] = [],
): Promise<Output> {
  const command = [
    ...wrap,
    Deno.execPath(),
    "run",
    "--no-prompt",
    "--cached-only",
    `--allow-read=${folder},${SOURCES}`,
    `--allow-write=${folder}`,
    CHILD,
    `${folder}/spool.db`,
    ...args,
  ];
  const [program = "", ...rest] = command;
  const child = new Deno.Command(program, { args: rest, stdout: "piped", stderr: "inherit" })
    .spawn();
  let text = "";
  let seen = 0;
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    seen += chunk.split("ack ").length - 1;
    if (seen >= kill_at) {
      child.kill("SIGKILL");
      seen = -Infinity;
    }
  }
  await child.status;
  const acknowledged = new Map<number, number>();
  const other: string[] = [];
  // The last line may be cut short by the kill.
  for (const line of text.split("\n").slice(0, -1)) {
    const ack = /^ack (\d+) (\d+)$/.exec(line);
    if (ack === null) other.push(line);
    else acknowledged.set(Number(ack[1]), Number(ack[2]));
  }
  return { acknowledged, other };
}

Deno.test("after kill -9 at any moment no acknowledged record is lost and the chain is whole", async () => {
  await withFolder(async (folder) => {
    const all = new Map<number, number>();
    for (const [round, lanes] of [1, 16, 64, 4, 32, 8].entries()) {
      const args = [String(round * 100_000), String(lanes)];
      const { acknowledged, other } = await runChild(folder, args, 10 + round * 61);
      assert.equal(other[0], "open", other.join("; "));
      for (const [index, seq] of acknowledged) all.set(index, seq);
    }
    assert.ok(all.size > 300, `${all.size}`);
    await using spool = await openAt(folder);
    assert.equal(spool.state(), "ready", spool.status.failure?.message);
    const sink = new RememberingSink();
    await using forwarder = forwarderOf(spool, sink, new ManualTimers());
    await until(() => forwarder.status.state === "idle" && spool.status.kept_rows === 0, "empty");
    for (const [index, seq] of all) {
      const bytes = sink.taken.get(`${spool.id}/${seq}`);
      assert.ok(bytes !== undefined, `record ${index} is lost`);
      assert.equal(numberIn(bytes), index);
    }
    assert.equal(sink.duplicates, 0);
  });
});

Deno.test("killed while it delivers: the receiver has each acknowledged record once, in order", async () => {
  await withFolder(async (folder) => {
    const received = `${folder}/received`;
    const all = new Map<number, number>();
    for (const [round, lanes] of [4, 32, 16, 1, 8].entries()) {
      const args = [String(round * 100_000), String(lanes), received];
      const { acknowledged } = await runChild(folder, args, 20 + round * 83);
      for (const [index, seq] of acknowledged) all.set(index, seq);
    }
    const spool_id = await (async () => {
      await using spool = await openAt(folder);
      const sink = new RememberingSink();
      await using forwarder = forwarderOf(spool, sink, new ManualTimers());
      await until(() => spool.status.kept_rows === 0, "the rest delivered");
      assert.equal(forwarder.status.failures, 0);
      const rest = [...sink.taken].map(([key, bytes]) =>
        `${key.replace("/", " ")} ${numberIn(bytes)}\n`
      );
      await Deno.writeTextFile(received, rest.join(""), { append: true });
      return spool.id;
    })();
    // What a receiver does: the first of each (spool id, seq) counts.
    const taken = new Map<number, number>();
    let repeated = 0;
    for (const line of (await Deno.readTextFile(received)).split("\n").slice(0, -1)) {
      const [id, seq = "", index = ""] = line.split(" ");
      assert.equal(id, spool_id);
      if (taken.has(Number(seq))) {
        repeated++;
        assert.equal(taken.get(Number(seq)), Number(index), "a repeated record is the same");
      } else taken.set(Number(seq), Number(index));
    }
    assert.deepEqual([...taken.keys()], Array.from({ length: taken.size }, (_, n) => n + 1));
    for (const [index, seq] of all) assert.equal(taken.get(seq), index, `record ${index}`);
    assert.equal(new Set(taken.values()).size, taken.size, "no record has two positions");
    assert.ok(repeated < taken.size);
  });
});

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

Deno.test("a sync that fails with EIO is final: refused by name, nothing acknowledged is lost", async () => {
  if (!await available("spool EIO", "strace", "-o", "/dev/null", "true")) return;
  await withFolder(async (folder) => {
    const first = await runChild(folder, ["0", "4"], 40);
    // The log that every commit is written to is the one whose sync matters.
    const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", `${folder}/spool.db-wal`];
    const inject = [
      "-e",
      "trace=fsync,fdatasync",
      "-e",
      "inject=fsync,fdatasync:error=EIO:when=9+",
    ];
    const second = await runChild(folder, ["100000", "1"], 1_000_000, [...strace, ...inject]);
    assert.ok(second.other.includes("refused io"), second.other.join("; "));
    assert.equal(second.other.at(-1), "state failed");
    await using spool = await openAt(folder);
    const kept = await spool.reader("gateway").pending(1_000);
    const by_seq = new Map(kept.map(({ seq, bytes }) => [seq, numberIn(bytes)]));
    for (const { acknowledged } of [first, second]) {
      for (const [index, seq] of acknowledged) assert.equal(by_seq.get(seq), index);
    }
  });
});

Deno.test("a full file system refuses appends by name; nothing acknowledged is lost", async () => {
  const name = "spool on a full file system";
  if (!await available(name, "unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt")) return;
  await withFolder(async (folder) => {
    const saved = `${folder}-saved`;
    const script = `mount -t tmpfs -o size=256k,mode=700 none ${folder} && "$@"; ` +
      `code=$?; cp -r ${folder} ${saved}; exit $code`;
    const wrap = ["unshare", "--mount", "sh", "-c", script, "sh"];
    try {
      const { acknowledged, other } = await runChild(folder, ["0", "2"], 1_000_000, wrap);
      assert.ok(acknowledged.size > 10, other.join("; "));
      assert.ok(other.includes("refused disk_full"), other.join("; "));
      await Deno.chmod(saved, 0o700);
      await using spool = await openAt(saved);
      assert.equal(spool.state(), "ready", spool.status.failure?.message);
      const by_seq = new Map<number, number>();
      const gateway = spool.reader("gateway");
      for (let page = await gateway.pending(500); page.length > 0;) {
        for (const { seq, bytes } of page) by_seq.set(seq, numberIn(bytes));
        await gateway.acknowledge(page.at(-1)?.seq ?? 0);
        page = await gateway.pending(500);
      }
      for (const [index, seq] of acknowledged) assert.equal(by_seq.get(seq), index);
    } finally {
      await Deno.remove(saved, { recursive: true });
    }
  });
});

Deno.test("the spool works with no more than the permissions it names", async () => {
  await withFolder(async (folder) => {
    const { acknowledged } = await runChild(folder, ["0", "1"], 3);
    assert.ok(acknowledged.size >= 3);
    const database = new DatabaseSync(`${folder}/spool.db`);
    assert.equal(database.prepare("PRAGMA integrity_check").get()?.integrity_check, "ok");
    database.close();
  });
});
