import assert from "node:assert/strict";
import { Channel, type ChannelOptions, Code, createClient } from "../mod.ts";
import { Echo } from "../gen/echo_pb.ts";
import { startServer, type TestServer } from "../testing/echo_server.ts";
import { type EchoClient, errorOf, eventually } from "../testing/hostile_server.ts";

const QUICK: ChannelOptions = {
  backoff: { initial_ms: 5, max_ms: 20 },
  bounds: { sweep_interval_ms: 5, linger_timeout_ms: 20 },
};
const SPREAD: ChannelOptions = { ...QUICK, load_balancing: "round_robin" };

/** A port of the loopback address nobody listens on. */
function deadPort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return listener.addr.port;
}

async function balancingTest(
  servers: readonly TestServer[],
  targets: readonly string[],
  options: ChannelOptions,
  run: (client: EchoClient, channel: Channel) => Promise<void>,
): Promise<void> {
  const channel = new Channel(targets, options);
  try {
    await run(createClient(Echo, channel), channel);
  } finally {
    await channel.close();
    for (const { server } of servers) await server.shutdown({ grace_ms: 0 });
  }
}

const started = (servers: readonly TestServer[]) =>
  servers.map(({ server }) => server.stats.calls_started);

/** Starts servers; `slow` answers nothing until told. */
async function three(): Promise<TestServer[]> {
  return [await startServer(), await startServer(), await startServer()];
}

Deno.test("round_robin gives each address the same number of calls", async () => {
  const servers = await three();
  const targets = servers.map(({ target }) => target);
  await balancingTest(servers, [...targets, ...targets], SPREAD, async (client, channel) => {
    channel.connect();
    await eventually(
      "every server is connected",
      () => servers.every(({ server }) => server.stats.connections_open === 1),
    );
    await client.unary({});
    await eventually("all are in the rotation", () => channel.state === "ready");
    const before = started(servers);
    for (let count = 0; count < 30; count++) await client.unary({});
    assert.deepEqual(started(servers).map((count, index) => count - (before[index] ?? 0)), [
      10,
      10,
      10,
    ]);
    assert.ok(servers.every(({ server }) => server.stats.connections_accepted === 1));
  });
});

Deno.test("an address that is lost leaves the rotation, and returns once it answers", async () => {
  const servers = [await startServer(), await startServer()];
  const targets = servers.map(({ target }) => target);
  const [first, second] = servers;
  assert.ok(first && second);
  await balancingTest(servers, targets, SPREAD, async (client, channel) => {
    channel.connect();
    await eventually(
      "both are connected",
      () => servers.every(({ server }) => server.stats.connections_open === 1),
    );
    await first.server.shutdown({ grace_ms: 1000 });
    for (let count = 0; count < 20; count++) await client.unary({});
    assert.equal(channel.state, "ready");
    const again = await startServer();
    servers.push(again);
    await again.listener.close();
    await again.server.listen({ transport: "tcp", hostname: "127.0.0.1", port: first.port });
    await eventually("it is connected again", () => again.server.stats.connections_open === 1);
    const end_ms = Date.now() + 10_000;
    while (again.server.stats.calls_started === 0 && Date.now() < end_ms) await client.unary({});
    assert.ok(again.server.stats.calls_started > 0);
  });
});

Deno.test("round_robin is ready while one address is, and fails when none is", async () => {
  const servers = [await startServer()];
  const dead = deadPort();
  const targets = [`127.0.0.1:${dead}`, servers[0]?.target ?? ""];
  await balancingTest(servers, targets, SPREAD, async (client, channel) => {
    for (let count = 0; count < 10; count++) await client.unary({});
    assert.equal(channel.state, "ready");
    await servers[0]?.server.shutdown();
    await eventually("both failed", () => channel.state === "transient_failure");
    const error = await errorOf(client.unary({}));
    assert.equal(error.code, Code.UNAVAILABLE);
    assert.match(error.message, /^cannot connect to `127.*refused/i);
  });
});

Deno.test("pick_first goes to the first address that answers, and stays there", async () => {
  const servers = [await startServer(), await startServer()];
  const targets = [`127.0.0.1:${deadPort()}`, ...servers.map(({ target }) => target)];
  await balancingTest(servers, targets, QUICK, async (client) => {
    for (let count = 0; count < 10; count++) await client.unary({});
    assert.deepEqual(started(servers), [10, 0]);
    await servers[0]?.server.shutdown();
    await client.unary({});
    assert.deepEqual(started(servers), [10, 1]);
  });
});

Deno.test("pick_first does not wait for an address that takes long", async () => {
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const servers = [await startServer()];
  const targets = [`127.0.0.1:${silent.addr.port}`, servers[0]?.target ?? ""];
  await balancingTest(
    servers,
    targets,
    { ...QUICK, connect_timeout_ms: 60_000 },
    async (client) => {
      await client.unary({}, { timeout_ms: 20_000 });
      assert.deepEqual(started(servers), [1]);
    },
  );
  silent.close();
});

Deno.test("pick_first tells why the last address failed when all have", async () => {
  const ports = [deadPort(), deadPort()];
  const targets = ports.map((port) => `127.0.0.1:${port}`);
  await balancingTest([], targets, QUICK, async (client, channel) => {
    const error = await errorOf(client.unary({}));
    assert.equal(error.code, Code.UNAVAILABLE);
    assert.match(error.message, /refused/i);
    assert.equal(channel.state, "transient_failure");
  });
});

Deno.test("a list of IPv4 addresses is a target", async () => {
  const servers = [await startServer(), await startServer()];
  const target = `ipv4:${servers.map(({ target }) => target).join(",")}`;
  const channel = new Channel(target, SPREAD);
  const client = createClient(Echo, channel);
  const end_ms = Date.now() + 10_000;
  while (started(servers).includes(0) && Date.now() < end_ms) await client.unary({});
  assert.ok(!started(servers).includes(0));
  await channel.close();
  for (const { server } of servers) await server.shutdown({ grace_ms: 0 });
});
