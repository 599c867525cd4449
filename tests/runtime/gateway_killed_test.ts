/**
 * The gateway is killed in the middle of everything: what it decided with stops at once, and of what
 * was put on record nothing is lost and nothing counted twice.
 */
import assert from "node:assert/strict";
import { Channel } from "../../grpc/mod.ts";
import { until } from "../../runtime/_fixture.ts";
import { client, PATIENT, toolQuery } from "../../runtime/decisions/_fixture.ts";
import { openSpool } from "../../runtime/spool/spool.ts";
import { Forwarder } from "../../runtime/spool/forwarder.ts";
import { SYSTEM_TIMERS } from "../../runtime/timers.ts";
import { registerAgent } from "../harness/agent.ts";
import { inTemporaryDirectory, startGatewayProcess } from "../harness/gateway_process.ts";
import { openRuntime } from "./world.ts";

const POLICY = "tools: { search: { allow: true }, bash: { allow: false } }\n";
const KILLS = 3;

interface Entry {
  readonly decided_by?: string;
  readonly decision?: number;
  readonly spool_seq?: number;
  readonly action?: string;
  readonly decided_because?: string;
}

async function entriesOf(directory: string): Promise<Entry[]> {
  const text = await Deno.readTextFile(`${directory}/state/audit/gateway-default.jsonl`);
  return text.trimEnd().split("\n").map((line) =>
    JSON.parse((JSON.parse(line) as { payload: string }).payload) as Entry
  );
}

Deno.test("kill -9 of the gateway mid-run: fail-closed at once, no evidence lost, each reported once", async () => {
  await inTemporaryDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/policy.yaml`, POLICY);
    const flags = ["--policy", `${directory}/policy.yaml`, "--state-dir", `${directory}/state`];
    flags.push("--audit-dir", `${directory}/state/audit`);
    let process = await startGatewayProcess(flags, directory);
    const { address } = process;
    const channel = new Channel(address);
    const agent = await registerAgent(channel, { org: "o1", team: "t1" });
    await channel.close();

    await Deno.mkdir(`${directory}/spool`, { mode: 0o700 });
    const spool = await openSpool({
      path: `${directory}/spool/spool.db`,
      uid: Deno.uid(),
      readers: [{ name: "gateway", role: "required" }],
      timers: SYSTEM_TIMERS,
      newId: () => crypto.randomUUID(),
    });
    let highest = 0;
    const runtime = openRuntime({
      address,
      agent,
      spool: {
        id: spool.id,
        append: async (kind, bytes) => {
          const seq = await spool.append(kind, bytes);
          highest = Math.max(highest, seq);
          return seq;
        },
      },
    });
    const { sink, status, decisions } = runtime.room;
    assert.ok(sink !== undefined);
    const forwarder = new Forwarder({
      ...{ name: "gateway", spool_id: spool.id, reader: spool.reader("gateway"), sink },
      ...{ timers: SYSTEM_TIMERS, random: Math.random, metrics: runtime.metrics },
    });
    spool.onAppended(() => forwarder.wake());

    const given = { here: 0, denied_here: 0 };
    let asking = true;
    const askers = Array.from({ length: 8 }, async () => {
      while (asking) {
        const answer = await decisions.answer(toolQuery(agent, "search"), client(), PATIENT);
        if (answer.decision === 1) given.here++;
        else if (answer.policyRule === "fail_closed") given.denied_here++;
        else assert.fail(`${answer.decision} ${answer.reason}`);
        if (answer.decision !== 1) await new Promise((done) => setTimeout(done, 20));
      }
    });
    try {
      for (let kill = 0; kill < KILLS; kill++) {
        await until(() => status().decides_locally, "local authority");
        const start = given.here;
        await until(() => given.here > start + 300, "answers");
        await process.kill();
        await until(() => !status().decides_locally, "the end of the authority");
        const denied = await decisions.answer(toolQuery(agent, "search"), client(), PATIENT);
        assert.deepEqual([denied.decision, denied.policyRule], [2, "fail_closed"]);
        const allowed = given.here;
        await until(() => given.denied_here > kill * 20 + 20, "denials");
        assert.ok(given.here <= allowed + 8, "only what was under way at the kill");
        process = await startGatewayProcess([...flags, "--listen", address], directory);
      }
      await until(() => status().decides_locally, "local authority");
    } finally {
      asking = false;
      await Promise.all(askers);
    }
    const last = highest;
    await until(async () => {
      forwarder.wake();
      return (await spool.reader("gateway").pending(1)).length === 0;
    }, "the spool to be empty");
    await forwarder[Symbol.asyncDispose]();
    await runtime[Symbol.asyncDispose]();
    await spool[Symbol.asyncDispose]();
    assert.equal(await process.stop(), 0);

    const entries = await entriesOf(directory);
    const places = entries.flatMap(({ spool_seq }) => spool_seq === undefined ? [] : [spool_seq]);
    assert.deepEqual(
      places,
      Array.from({ length: last }, (_, at) => at + 1),
      "each once, in order",
    );
    const reported = entries.filter(({ decided_by }) => decided_by === "runtime");
    const withdrawn = entries.filter(({ action }) => action === "runtime_decision_withdrawn");
    const allowed = reported.filter(({ decision }) => decision === 1).length - withdrawn.length;
    const forwarded = entries.filter((entry) =>
      entry.decision === 1 && entry.decided_by === undefined
    ).length;
    assert.ok(allowed + forwarded >= given.here, `${allowed}+${forwarded} of ${given.here}`);
    assert.ok(allowed <= given.here, "nothing is on record that was not given");
  });
});
