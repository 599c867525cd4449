import assert from "node:assert/strict";
import { fromBinary } from "@bufbuild/protobuf";
import { audit } from "../proto/mod.ts";
import { ManualTimers, until, withFolder } from "./_fixture.ts";
import { parseArguments } from "./config.ts";
import { RawClient, reportFrame } from "./ipc/ipc_fixture.ts";
import { runtimePermissions } from "./permissions.ts";
import { openSpool } from "./spool/spool.ts";

const MAIN = new URL("./main.ts", import.meta.url).pathname;
const ROOT = new URL("..", import.meta.url).pathname;

/** A runtime as a process of its own, under exactly its permissions. */
function startProcess(folder: string): Deno.ChildProcess {
  const args = [
    ...["--agent-id", "agent-1", "--socket", `${folder}/a.sock`],
    ...["--state-dir", `${folder}/state`, "--metrics-listen", "127.0.0.1:0"],
    ...["--no-local-policy", "--no-peer-credentials"],
  ];
  const parsed = parseArguments(args);
  assert.ok(parsed.action === "run");
  return new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--cached-only", "--unstable-worker-options"],
      ...runtimePermissions(parsed.config, folder, Deno.build),
      MAIN,
      ...args,
    ],
    cwd: ROOT,
    stdout: "null",
    stderr: "null",
  }).spawn();
}

async function join(folder: string): Promise<RawClient> {
  let client: RawClient | undefined;
  await until(async () => {
    try {
      client = await RawClient.join(`${folder}/a.sock`, "0.4.0+acks");
      return true;
    } catch {
      return false;
    }
  }, "the runtime's socket");
  assert.ok(client !== undefined);
  return client;
}

/** Reports events without a pause and kills the runtime at its `kill_at`-th acknowledgement. */
async function reportUntilKilled(
  folder: string,
  round: number,
  kill_at: number,
): Promise<string[]> {
  const child = startProcess(folder);
  using client = await join(folder);
  const sent: string[] = [];
  const sending = (async () => {
    try {
      while (sent.length < 20_000) {
        const event_id = `round-${round}-${sent.length}`;
        sent.push(event_id);
        await client.send(reportFrame(event_id));
      }
    } catch {
      // The runtime was killed.
    }
  })();
  let acknowledged = 0;
  for (let frame = await client.next(); frame !== undefined; frame = await client.next()) {
    if (frame.tag !== 3) continue;
    if (++acknowledged === kill_at) child.kill("SIGKILL");
  }
  await child.status;
  client.close();
  await sending;
  assert.ok(acknowledged >= kill_at, `${acknowledged} acknowledged`);
  return sent.slice(0, acknowledged);
}

Deno.test("kill -9 of the whole runtime: every report it acknowledged is in the spool, once, in order", async () => {
  await withFolder(async (folder) => {
    const acknowledged: string[] = [];
    for (const [round, kill_at] of [1, 150, 700].entries()) {
      acknowledged.push(...await reportUntilKilled(folder, round, kill_at));
    }
    await using spool = await openSpool({
      path: `${folder}/state/spool.db`,
      uid: Deno.uid(),
      readers: [{ name: "gateway", role: "required" }],
      timers: new ManualTimers(),
      newId: () => crypto.randomUUID(),
    });
    assert.equal(spool.state(), "ready", spool.status.failure?.message);
    const reader = spool.reader("gateway");
    const kept: string[] = [];
    for (let page = await reader.pending(1_000); page.length > 0;) {
      for (const { bytes } of page) kept.push(fromBinary(audit.AuditEventSchema, bytes).eventId);
      await reader.acknowledge(page.at(-1)?.seq ?? 0);
      page = await reader.pending(1_000);
    }
    const reports = kept.filter((event_id) => event_id.startsWith("round-"));
    assert.equal(new Set(reports).size, reports.length, "nothing is doubled");
    const present = new Set(reports);
    assert.deepEqual(acknowledged.filter((event_id) => !present.has(event_id)), []);
    const order = reports.map((event_id) => event_id.split("-").slice(1).map(Number));
    for (const [at, [round = 0, number = 0]] of order.entries()) {
      const [previous_round = 0, previous = -1] = order[at - 1] ?? [];
      assert.ok(round > previous_round || number === previous + 1, `after ${previous}: ${number}`);
    }
  });
});
