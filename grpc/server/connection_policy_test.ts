import assert from "node:assert/strict";
import { type Bounds, Channel, createClient } from "../mod.ts";
import { SERVER_BOUNDS } from "../bounds.ts";
import { Echo } from "../gen/echo_pb.ts";
import { CLIENT_PREFACE } from "../http2/frames.ts";
import { startServer, type TestServer } from "../testing/echo_server.ts";
import { Flag, frame, FrameType, RawPeer, type RawPeer as Peer } from "../testing/raw_peer.ts";
import { requestFields } from "../testing/raw_peer.ts";
import { ConnectionAge } from "./connection_age.ts";
import { PingPolicy } from "./ping_policy.ts";

const PING = frame(FrameType.PING, 0, 0, new Uint8Array(8));
const COLLECT = requestFields({ ":path": "/grpc.test.v1.Echo/Collect" });

function policyTest(
  name: string,
  bounds: Partial<Bounds>,
  run: (client: Peer, test: TestServer) => Promise<void>,
): void {
  Deno.test(name, async () => {
    const test = await startServer({
      bounds: { sweep_interval_ms: 5, linger_timeout_ms: 20, ...bounds },
    });
    const client = await RawPeer.open(test.port);
    try {
      await run(client, test);
    } finally {
      client.close();
      await test.server.shutdown({ grace_ms: 0 });
    }
    assert.equal(test.server.stats.calls_open, 0);
  });
}

function goawayText(client: Peer): string {
  const last = client.frames.findLast((each) => each.type === FrameType.GOAWAY);
  return new TextDecoder().decode(last?.payload.subarray(8));
}

policyTest("a client that sends PING too often is told too_many_pings", {
  min_ping_interval_ms: 60_000,
  min_ping_interval_without_calls_ms: 60_000,
}, async (client, { server }) => {
  await client.send(PING, PING, PING);
  await client.until((frames) =>
    frames.filter((each) => each.type === FrameType.PING).length === 3
  );
  await client.send(PING);
  assert.equal(await client.goaway(), "ENHANCE_YOUR_CALM");
  assert.equal(goawayText(client), "too_many_pings");
  assert.equal(server.stats.refused.pings, 1);
});

policyTest("PING frames that follow our answers are no strikes", {
  min_ping_interval_ms: 60_000,
  min_ping_interval_without_calls_ms: 60_000,
}, async (client, { server }) => {
  for (let id = 1; id < 40; id += 2) {
    await client.send(client.unary(id));
    await client.response(id);
    await client.send(PING);
  }
  await client.send(client.unary(41));
  await client.response(41);
  assert.equal(server.stats.refused.pings, undefined);
});

policyTest("PING without a call may be held to a slower pace than with one", {
  min_ping_interval_ms: 0,
  min_ping_interval_without_calls_ms: 60_000,
}, async (client, { server }) => {
  await client.send(client.headers(1, Flag.END_HEADERS, COLLECT));
  for (let count = 0; count < 10; count++) await client.alive();
  assert.equal(server.stats.refused.pings, undefined);
  await client.send(frame(FrameType.RST_STREAM, 0, 1, [0, 0, 0, 8]), PING, PING, PING);
  assert.equal(await client.goaway(), "ENHANCE_YOUR_CALM");
  assert.equal(server.stats.refused.pings, 1);
});

Deno.test("the pace of PING is judged by the clock, strike by strike", () => {
  const policy = new PingPolicy({ ...SERVER_BOUNDS, ping_strikes: 1 });
  const { min_ping_interval_ms: pace, min_ping_interval_without_calls_ms: slow } = SERVER_BOUNDS;
  assert.ok(!policy.isTooMany(0, 0, true));
  assert.ok(!policy.isTooMany(pace, 0, true));
  assert.ok(!policy.isTooMany(2 * pace - 1, 0, true));
  assert.ok(!policy.isTooMany(2 * pace, 7, true), "a frame of ours wipes the strikes out");
  assert.ok(!policy.isTooMany(2 * pace + slow, 7, false));
  assert.ok(!policy.isTooMany(2 * pace + slow + pace, 7, false));
  assert.ok(policy.isTooMany(2 * pace + slow + 2 * pace, 7, false));
});

Deno.test("a client told too_many_pings asks half as often on its next connection", async () => {
  const bounds = {
    min_ping_interval_ms: 60_000,
    min_ping_interval_without_calls_ms: 60_000,
    ping_strikes: 0,
    sweep_interval_ms: 1,
  };
  const { server, target } = await startServer({ bounds });
  const channel = new Channel(target, {
    keepalive_interval_ms: 40,
    keepalive_timeout_ms: 5000,
    bounds: { sweep_interval_ms: 1 },
  });
  const client = createClient(Echo, channel);
  // Without a call nothing is asked, however long the silence.
  await client.unary({});
  await new Promise((resolve) => setTimeout(resolve, 120));
  assert.equal(server.stats.refused.pings, undefined);
  const lives_ms: number[] = [];
  while (lives_ms.length < 2) {
    const began_ms = performance.now();
    const abort = new AbortController();
    const refused = (server.stats.refused.pings ?? 0) + 1;
    const call = client.converse(
      (async function* () {
        yield {};
        await new Promise((resolve) => abort.signal.addEventListener("abort", resolve));
      })(),
      { signal: abort.signal },
    );
    const reading = (async () => {
      for await (const _ of call);
    })().catch(() => {});
    while ((server.stats.refused.pings ?? 0) < refused) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    lives_ms.push(performance.now() - began_ms);
    abort.abort();
    await reading;
  }
  // The first PING is free, the second ends the connection: 40 ms of silence each, then 80 ms.
  assert.ok((lives_ms[1] ?? 0) >= 150, `${lives_ms}`);
  await channel.close();
  await server.shutdown({ grace_ms: 0 });
});

policyTest("an old connection ends in two steps, its open calls finish", {
  max_connection_age_ms: 60,
}, async (client, { server }) => {
  await client.send(client.headers(1, Flag.END_HEADERS, COLLECT));
  await client.until((frames) => frames.some((each) => each.type === FrameType.PING));
  assert.equal(goawayText(client), "max_age");
  await client.until((frames) =>
    frames.filter((each) => each.type === FrameType.GOAWAY).length === 2
  );
  await client.send(frame(FrameType.DATA, Flag.END_STREAM, 1));
  assert.equal((await client.response(1))["grpc-status"], "0");
  assert.equal(await client.goaway(), "NO_ERROR");
  assert.equal(server.stats.refused.connection_age, 1);
  assert.equal(server.stats.refused.connection_age_grace, undefined);
});

policyTest("calls that outlive an old connection's grace are ended", {
  max_connection_age_ms: 20,
  max_connection_age_grace_ms: 40,
}, async (client, { server }) => {
  await client.send(client.headers(1, Flag.END_HEADERS, COLLECT));
  assert.equal(await client.goaway(), "NO_ERROR");
  assert.equal(server.stats.refused.connection_age, 1);
  assert.equal(server.stats.refused.connection_age_grace, 1);
  assert.equal(server.stats.calls_failed, 1);
});

Deno.test("connections that began together do not end together", () => {
  const bounds = { ...SERVER_BOUNDS, max_connection_age_ms: 1000, max_connection_age_grace_ms: 50 };
  const ages = Array.from({ length: 200 }, () => new ConnectionAge(bounds, 0));
  const ended_ms = ages.map((age) => {
    let now_ms = 0;
    while (age.due(now_ms) === "nothing") now_ms++;
    let over_ms = now_ms;
    while (age.due(over_ms) === "nothing") over_ms++;
    assert.ok(over_ms - now_ms >= 49 && over_ms - now_ms <= 51);
    return now_ms;
  });
  assert.ok(Math.min(...ended_ms) >= 900 && Math.max(...ended_ms) <= 1101);
  assert.ok(Math.max(...ended_ms) - Math.min(...ended_ms) > 100);
  const ageless = new ConnectionAge(SERVER_BOUNDS, 0);
  assert.equal(ageless.due(Number.MAX_SAFE_INTEGER), "nothing");
});

Deno.test("a peer that never acknowledges SETTINGS is told so and closed", async () => {
  const { server, port } = await startServer({
    bounds: { sweep_interval_ms: 5, linger_timeout_ms: 20, settings_timeout_ms: 30 },
  });
  const client = await RawPeer.dial(port);
  await client.send(CLIENT_PREFACE, frame(FrameType.SETTINGS, 0, 0));
  await client.send(client.unary(1));
  assert.equal((await client.response(1))["grpc-status"], "0");
  assert.equal(await client.goaway(), "SETTINGS_TIMEOUT");
  assert.equal(server.stats.refused.settings_timeout, 1);
  client.close();
  await server.shutdown({ grace_ms: 0 });
});
