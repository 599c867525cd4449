import assert from "node:assert/strict";
import { Channel, type ChannelOptions, Code, createClient } from "../mod.ts";
import { Echo } from "../gen/echo_pb.ts";
import { frame, FrameType } from "../testing/raw_peer.ts";
import { startServer, type TestServer } from "../testing/echo_server.ts";
import {
  type EchoClient,
  errorOf,
  eventually,
  hostileTest,
  sealedTest,
} from "../testing/hostile_server.ts";

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

sealedTest("round_robin gives each address the same number of calls", async () => {
  const servers = await three();
  const targets = servers.map(({ target }) => target);
  await balancingTest(servers, [...targets, ...targets], SPREAD, async (client) => {
    const until_ms = Date.now() + 10_000;
    while (started(servers).includes(0) && Date.now() < until_ms) await client.unary({});
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

sealedTest("an address that is lost leaves the rotation, and returns once it answers", async () => {
  const servers = [await startServer(), await startServer()];
  const targets = servers.map(({ target }) => target);
  const [first, second] = servers;
  assert.ok(first && second);
  await balancingTest(servers, targets, SPREAD, async (client, channel) => {
    const until_ms = Date.now() + 10_000;
    while (started(servers).includes(0) && Date.now() < until_ms) await client.unary({});
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

sealedTest("round_robin is ready while one address is, and fails when none is", async () => {
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

sealedTest("pick_first goes to the first address that answers, and stays there", async () => {
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

sealedTest("pick_first does not wait for an address that takes long, and drops it", async () => {
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const servers = [await startServer()];
  const targets = [`127.0.0.1:${silent.addr.port}`, servers[0]?.target ?? ""];
  const patient: ChannelOptions = {
    connect_timeout_ms: 600_000,
    bounds: { ...QUICK.bounds, handshake_timeout_ms: 600_000 },
  };
  await balancingTest(servers, targets, patient, async (client) => {
    await client.unary({}, { timeout_ms: 5000 });
    assert.deepEqual(started(servers), [1]);
    const conn = await silent.accept();
    let dropped = false;
    const reading = (async () => {
      while (await conn.read(new Uint8Array(1000)) !== null);
      dropped = true;
    })().catch(() => {});
    await eventually("it is dropped", () => dropped);
    await reading;
    conn.close();
  });
  silent.close();
});

sealedTest("pick_first tells why the last address failed when all have", async () => {
  const ports = [deadPort(), deadPort()];
  const targets = ports.map((port) => `127.0.0.1:${port}`);
  await balancingTest([], targets, QUICK, async (client, channel) => {
    const error = await errorOf(client.unary({}));
    assert.equal(error.code, Code.UNAVAILABLE);
    assert.match(error.message, /refused/i);
    assert.equal(channel.state, "transient_failure");
  });
});

sealedTest("a list of IPv4 addresses is a target", async () => {
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

hostileTest("an address that was reached once is waited for when it is lost", async (test) => {
  const failed = errorOf(test.client.unary({}));
  (await test.listener.accept()).close();
  await failed;
  const served = test.client.unary({}, { wait_for_ready: true });
  const peer = await test.accept();
  await peer.send(peer.answer(await peer.request()));
  await served;
  peer.close();
  const conn = await test.listener.accept();
  assert.equal(test.channel.state, "connecting");
  conn.close();
}, SPREAD);

sealedTest("waits between connects are short again after a connection that served", async () => {
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = silent.addr;
  let accepted = 0;
  const refuseOn = async (listener: Deno.TcpListener) => {
    for await (const conn of listener) {
      accepted++;
      conn.close();
    }
  };
  const before = refuseOn(silent);
  await balancingTest([], [`127.0.0.1:${port}`], {
    ...SPREAD,
    backoff: { initial_ms: 1, max_ms: 60_000 },
  }, async (client, channel) => {
    channel.connect();
    await eventually("it failed often", () => accepted >= 12);
    silent.close();
    await before;
    const { server, listener } = await startServer();
    await listener.close();
    await server.listen({ transport: "tcp", hostname: "127.0.0.1", port });
    await client.unary({}, { wait_for_ready: true });
    await server.shutdown();
    const again = Deno.listen({ hostname: "127.0.0.1", port });
    accepted = 0;
    const after = refuseOn(again);
    // As if it had never failed: within milliseconds. Else the eighth wait passes ten seconds.
    await eventually("it is tried often", () => accepted >= 8);
    again.close();
    await after;
  });
});

sealedTest("a connect is given the time its failure would cost", async () => {
  const slow = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns: Deno.Conn[] = [];
  const serving = (async () => {
    for await (const conn of slow) {
      conns.push(conn);
      setTimeout(() => conn.write(frame(FrameType.SETTINGS, 0, 0)).catch(() => {}), 80);
    }
  })();
  await balancingTest([], [`127.0.0.1:${slow.addr.port}`], {
    ...QUICK,
    connect_timeout_ms: 5,
    backoff: { initial_ms: 30, max_ms: 5000 },
  }, async (_, channel) => {
    channel.connect();
    await eventually("it is connected", () => channel.state === "ready");
  });
  slow.close();
  for (const conn of conns) conn.close();
  await serving;
});
