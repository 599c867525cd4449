import assert from "node:assert/strict";
import { Channel, type ChannelOptions, Code, createClient } from "../mod.ts";
import { Echo } from "../gen/echo_pb.ts";
import { startServer } from "../testing/echo_server.ts";
import { errorOf, eventually, sealedTest } from "../testing/hostile_server.ts";

const QUICK: ChannelOptions = {
  backoff: { initial_ms: 5, max_ms: 20 },
  bounds: { sweep_interval_ms: 5, linger_timeout_ms: 20 },
};

function deadTarget(): string {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return `127.0.0.1:${listener.addr.port}`;
}

sealedTest("a call that waits for readiness outlives failed connects, others do not", async () => {
  const target = deadTarget();
  const channel = new Channel(target, QUICK);
  const client = createClient(Echo, channel);
  const patient = client.unary({ text: "late" }, { wait_for_ready: true });
  assert.equal((await errorOf(client.unary({}))).code, Code.UNAVAILABLE);
  const deadline = await errorOf(client.unary({}, { wait_for_ready: true, timeout_ms: 30 }));
  assert.equal(deadline.code, Code.DEADLINE_EXCEEDED);
  const abort = new AbortController();
  const cancelled = errorOf(client.unary({}, { wait_for_ready: true, signal: abort.signal }));
  abort.abort();
  assert.equal((await cancelled).code, Code.CANCELLED);
  const { server, listener } = await startServer();
  await listener.close();
  const port = Number(target.split(":")[1]);
  await server.listen({ transport: "tcp", hostname: "127.0.0.1", port });
  assert.equal((await patient).text, "late");
  await channel.close();
  await server.shutdown();
});

sealedTest("closing a channel ends the calls that wait for readiness", async () => {
  const channel = new Channel(deadTarget(), QUICK);
  const waiting = errorOf(createClient(Echo, channel).unary({}, { wait_for_ready: true }));
  await eventually("it failed", () => channel.state === "transient_failure");
  await Promise.all([channel.close(), channel.close()]);
  assert.equal((await waiting).code, Code.CANCELLED);
});

/** Runs a client that never closes its channel, in a process of its own. */
function spawnClient(target: string, wait_for_ready: boolean): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--quiet",
      "--allow-net=127.0.0.1",
      new URL("../testing/patient_client.ts", import.meta.url).pathname,
      target,
      `${wait_for_ready}`,
    ],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function lineOf(child: Deno.ChildProcess): Promise<string> {
  const { stdout, stderr } = await child.output();
  assert.equal(new TextDecoder().decode(stderr), "");
  return new TextDecoder().decode(stdout);
}

sealedTest("a process ends though a channel still tries to connect", async () => {
  assert.equal(await lineOf(spawnClient(deadTarget(), false)), "UNAVAILABLE");
});

sealedTest("a process waits for a call that waits for readiness", async () => {
  // Refuses the client's first connects, so that it waits on nothing but its own patience.
  const refusing = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = refusing.addr;
  const line = lineOf(spawnClient(`127.0.0.1:${port}`, true));
  (await refusing.accept()).close();
  refusing.close();
  const { server } = await startServer();
  await server.listen({ transport: "tcp", hostname: "127.0.0.1", port });
  assert.equal(await line, "OK");
  await server.shutdown();
});

sealedTest("watchState tells each change, and connect leaves idle without a call", async () => {
  const { server, target } = await startServer({ bounds: { sweep_interval_ms: 5 } });
  const channel = new Channel(target, { ...QUICK, idle_timeout_ms: 30 });
  const seen: string[] = [channel.state];
  const watching = (async () => {
    for (let last = channel.state; last !== "shutdown";) {
      last = await channel.watchState(last);
      seen.push(last);
    }
  })();
  channel.connect();
  channel.connect();
  await eventually("it is connected", () => server.stats.connections_open === 1);
  await eventually("it has gone idle", () => channel.state === "idle");
  await eventually("the connection is closed", () => server.stats.connections_open === 0);
  await createClient(Echo, channel).unary({});
  await channel.close();
  await watching;
  assert.deepEqual(seen.slice(0, 6), [
    "idle",
    "connecting",
    "ready",
    "idle",
    "connecting",
    "ready",
  ]);
  assert.equal(seen.at(-1), "shutdown");
  await server.shutdown();
});

sealedTest("a watch of a state can be given up", async () => {
  await using channel = new Channel("127.0.0.1:1");
  const abort = new AbortController();
  const watching = channel.watchState("idle", abort.signal);
  abort.abort(new Error("enough"));
  await assert.rejects(watching, /enough/);
  await assert.rejects(channel.watchState("idle", abort.signal), /enough/);
  assert.equal(await channel.watchState("ready"), "idle");
});

sealedTest("a channel that nobody calls stops trying to connect", async () => {
  const channel = new Channel(deadTarget(), { ...QUICK, idle_timeout_ms: 30 });
  channel.connect();
  await eventually("it failed", () => channel.state === "transient_failure");
  await eventually("it has gone idle", () => channel.state === "idle");
  await channel.close();
});

sealedTest("an open call keeps its channel from going idle", async () => {
  let answer = () => {};
  const { server, target } = await startServer({}, {
    unary: (request) => new Promise((resolve) => answer = () => resolve(request)),
  });
  const channel = new Channel(target, { ...QUICK, idle_timeout_ms: 20 });
  const call = createClient(Echo, channel).unary({ text: "x" });
  await eventually("it is begun", () => server.stats.calls_open === 1);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(channel.state, "ready");
  answer();
  assert.equal((await call).text, "x");
  await eventually("it has gone idle", () => channel.state === "idle");
  await channel.close();
  await server.shutdown();
});
