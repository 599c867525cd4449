import assert from "node:assert/strict";
import { CHANNEL_ADDRESSES_MAX } from "../bounds.ts";
import { Channel, type ChannelOptions, Code, createClient, type NameToResolve } from "../mod.ts";
import { Echo } from "../gen/echo_pb.ts";
import { Resolver } from "./resolver.ts";
import { addressText, parseTarget } from "./target.ts";
import { startServer } from "../testing/echo_server.ts";
import { errorOf, eventually, sealedTest } from "../testing/hostile_server.ts";

const QUICK: ChannelOptions = {
  backoff: { initial_ms: 5, max_ms: 20 },
  bounds: { sweep_interval_ms: 5, linger_timeout_ms: 20 },
};

sealedTest("a resolver's addresses are used, and asked for anew when they fail", async () => {
  const first = await startServer();
  const second = await startServer();
  const asked: NameToResolve[] = [];
  let answer = [first.target];
  const channel = new Channel("dns:///backend.test:1", {
    ...QUICK,
    resolve_interval_ms: 1,
    resolve: (name) => {
      asked.push(name);
      return Promise.resolve(answer);
    },
  });
  const client = createClient(Echo, channel);
  assert.equal(channel.state, "idle");
  await client.unary({});
  assert.deepEqual([asked.length, asked[0]?.hostname, asked[0]?.port], [1, "backend.test", 1]);
  answer = [second.target];
  await first.server.shutdown();
  await client.unary({}, { wait_for_ready: true });
  assert.equal(second.server.stats.calls_ok, 1);
  assert.ok(asked.length >= 2);
  await channel.close();
  await second.server.shutdown();
});

sealedTest("addresses that come and go change the rotation without losing a call", async () => {
  const servers = [await startServer(), await startServer(), await startServer()];
  const targets = servers.map(({ target }) => target);
  let answer = targets.slice(0, 2);
  const channel = new Channel("backend.test:1", {
    ...QUICK,
    load_balancing: "round_robin",
    resolve_interval_ms: 1,
    resolve: () => Promise.resolve(answer),
  });
  const client = createClient(Echo, channel);
  const called = () => servers.slice(0, 2).every(({ server }) => server.stats.calls_started > 0);
  const until_ms = Date.now() + 10_000;
  while (!called() && Date.now() < until_ms) await client.unary({});
  answer = targets.slice(1);
  await servers[1]?.server.shutdown();
  const end_ms = Date.now() + 10_000;
  while (servers[2]?.server.stats.calls_started === 0 && Date.now() < end_ms) {
    await client.unary({});
  }
  await eventually("the first was let go", () => servers[0]?.server.stats.connections_open === 0);
  const before = servers[0]?.server.stats.calls_started;
  for (let count = 0; count < 10; count++) await client.unary({});
  assert.equal(servers[0]?.server.stats.calls_started, before);
  await channel.close();
  for (const { server } of servers) await server.shutdown();
});

sealedTest(
  "a resolution that fails, or finds nothing, is UNAVAILABLE, and tried again",
  async () => {
    const { server, target } = await startServer();
    let answer: () => Promise<string[]> = () => Promise.reject(new Error("no such name"));
    let asked = 0;
    const channel = new Channel("backend.test:1", {
      ...QUICK,
      resolve: () => {
        asked++;
        return answer();
      },
    });
    const client = createClient(Echo, channel);
    const error = await errorOf(client.unary({}));
    assert.equal(error.code, Code.UNAVAILABLE);
    assert.match(error.message, /cannot resolve `backend\.test`: no such name/);
    assert.equal(channel.state, "transient_failure");
    answer = () => Promise.resolve([]);
    await eventually("it was asked again", () => asked >= 3);
    assert.match((await errorOf(client.unary({}))).message, /it has no addresses/);
    answer = () => Promise.resolve(["nonsense"]);
    const failing = asked;
    await eventually("it was asked again", () => asked >= failing + 2);
    assert.match((await errorOf(client.unary({}))).message, /`nonsense` is no address/);
    answer = () => Promise.resolve([target]);
    await client.unary({}, { wait_for_ready: true });
    await channel.close();
    await server.shutdown();
  },
);

sealedTest("resolutions keep their least distance however often connections fail", async () => {
  const dead = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  dead.close();
  let asked = 0;
  const channel = new Channel("backend.test:1", {
    ...QUICK,
    load_balancing: "round_robin",
    resolve_interval_ms: 60_000,
    backoff: { initial_ms: 1, max_ms: 1 },
    resolve: () => {
      asked++;
      return Promise.resolve([`127.0.0.1:${dead.addr.port}`]);
    },
  });
  const client = createClient(Echo, channel);
  for (let count = 0; count < 20; count++) {
    await errorOf(client.unary({}));
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
  assert.equal(asked, 1);
  await channel.close();
});

sealedTest(
  "a resolver that answers with too many addresses connects to the first ones",
  async () => {
    const { server, target } = await startServer();
    const flood = Array.from({ length: 1000 }, (_, index) => `127.0.0.1:${index + 1}`);
    const channel = new Channel("backend.test:1", {
      ...QUICK,
      resolve: () => Promise.resolve([target, ...flood.slice(0, CHANNEL_ADDRESSES_MAX - 1), "bad"]),
    });
    await createClient(Echo, channel).unary({});
    await channel.close();
    await server.shutdown();
  },
);

sealedTest("closing a channel stops its resolver", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const channel = new Channel("backend.test:1", {
    resolve: ({ signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          reject(signal.reason);
          resolve();
        });
      }),
  });
  const call = errorOf(createClient(Echo, channel).unary({}));
  assert.equal(channel.state, "connecting");
  await channel.close();
  await promise;
  assert.equal((await call).code, Code.CANCELLED);
});

/** What a client prints that may reach `localhost` at one port and nothing else. */
async function underNarrowPermission(policy: readonly string[]): Promise<string> {
  const { server, port } = await startServer();
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--quiet",
      `--allow-net=localhost:${port}`,
      new URL("../testing/patient_client.ts", import.meta.url).pathname,
      `dns:///localhost:${port}`,
      "false",
      ...policy,
    ],
  }).output();
  await server.shutdown();
  assert.equal(new TextDecoder().decode(stderr), "");
  return new TextDecoder().decode(stdout).trim();
}

sealedTest("a name needs no permission but the one to connect to it", async () => {
  assert.equal(await underNarrowPermission([]), "OK");
});

sealedTest("spreading over a name's addresses says which permission is missing", async () => {
  assert.match(
    await underNarrowPermission(["round_robin"]),
    /cannot resolve `localhost`: Requires net access to ".+:53"/,
  );
});

sealedTest("an answer that comes after the channel stopped asking is not used", async () => {
  const told: string[] = [];
  const answers: ((addresses: string[]) => void)[] = [];
  const resolver = new Resolver(
    parseTarget("backend.test:1"),
    () => new Promise((resolve) => answers.push(resolve)),
    {
      onAddresses: (addresses) => void told.push(...addresses.map(addressText)),
      onResolveFailed: (text) => void told.push(text),
    },
    { initial_ms: 1, max_ms: 1 },
    0,
  );
  resolver.start();
  resolver.stop();
  resolver.start();
  answers[0]?.(["127.0.0.1:1"]);
  answers[1]?.(["127.0.0.1:2"]);
  await eventually("it is told", () => told.length > 0);
  assert.deepEqual(told, ["127.0.0.1:2"]);
  resolver.stop();
});
