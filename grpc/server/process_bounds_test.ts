import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { EchoMessageSchema } from "../gen/echo_pb.ts";
import { GrpcServer } from "../mod.ts";
import { startServer } from "../testing/echo_server.ts";
import { Neighbour } from "../testing/neighbour.ts";
import {
  Flag,
  frame,
  FrameType,
  prefixed,
  RawPeer,
  requestFields,
  setting,
  uint32,
} from "../testing/raw_peer.ts";
import { closeGreediest } from "./output_total.ts";

const SHORT = { sweep_interval_ms: 5, linger_timeout_ms: 20 };
const EXPAND = requestFields({ ":path": "/grpc.test.v1.Echo/Expand" });

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

Deno.test("one address cannot take every connection", async () => {
  const { server, port } = await startServer({ bounds: { ...SHORT, connections_per_address: 3 } });
  const neighbour = await Neighbour.start(port);
  const first = await RawPeer.open(port);
  const second = await RawPeer.open(port);
  const third = await RawPeer.dial(port);
  await third.untilEnded();
  assert.deepEqual(third.frames, []);
  assert.equal(server.stats.refused.connections_per_address, 1);
  first.close();
  await until(() => server.stats.connections_open === 2);
  const fourth = await RawPeer.open(port);
  await fourth.alive();
  await neighbour.stop();
  for (const client of [second, third, fourth]) client.close();
  await server.shutdown({ grace_ms: 0 });
  assert.equal(server.stats.connections_open, 0);
});

Deno.test("connections whose handshake fails give their place back", async () => {
  const { server, port } = await startServer({
    bounds: { ...SHORT, connections_per_address: 2, handshake_timeout_ms: 20 },
  });
  for (let round = 1; round <= 4; round++) {
    const silent = await RawPeer.dial(port);
    await silent.untilEnded();
    silent.close();
    assert.equal(server.stats.refused.handshake_timeout, round);
    await until(() => server.stats.connections_open === 0);
  }
  assert.equal(server.stats.refused.connections_per_address, undefined);
  await server.shutdown({ grace_ms: 0 });
});

Deno.test("connections that never finish TLS give their place back", async () => {
  const pem = (name: string) =>
    Deno.readTextFileSync(new URL(`../testdata/${name}`, import.meta.url));
  const server = new GrpcServer({
    bounds: { ...SHORT, connections_per_address: 2, handshake_timeout_ms: 30 },
  });
  const { port } = await server.listen({
    transport: "tls",
    hostname: "127.0.0.1",
    port: 0,
    cert: pem("server.pem"),
    key: pem("server.key"),
  });
  const turnedAway = () =>
    (server.stats.refused.tls_handshake ?? 0) + (server.stats.refused.handshake_timeout ?? 0);
  for (let round = 1; round <= 6; round++) {
    const client = await RawPeer.dial(port ?? 0);
    if (round % 2 === 0) await client.send(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
    await client.untilEnded();
    client.close();
    await until(() => turnedAway() === round);
  }
  assert.equal(server.stats.refused.handshake_timeout, 3);
  assert.equal(server.stats.refused.connections_per_address, undefined);
  await server.shutdown({ grace_ms: 0 });
});

Deno.test("handlers that outlive their connections keep their places on the server", async () => {
  const handlers: (() => void)[] = [];
  const { server, port } = await startServer({ bounds: { ...SHORT, server_calls: 10 } }, {
    unary: (request) =>
      request.text === "stay"
        ? new Promise((resolve) => handlers.push(() => resolve(request)))
        : request,
  });
  const neighbour = await Neighbour.start(port);
  const stay = [0x0a, 4, 0x73, 0x74, 0x61, 0x79];
  // Eight handlers from eight connections, each left at once; two places stay free.
  for (let count = 0; count < 8; count++) {
    const client = await RawPeer.open(port);
    await client.send(client.unary(1, stay));
    await until(() => handlers.length === count + 1);
    client.close();
  }
  await until(() => server.stats.connections_open === 1);
  assert.ok(server.stats.calls_held >= 8 && server.stats.calls_open <= 1);
  await neighbour.stop();
  const client = await RawPeer.open(port);
  await client.send(client.unary(1, stay), client.unary(3, stay));
  await until(() => handlers.length === 10);
  await client.send(client.unary(5));
  const refused = await client.response(5);
  assert.equal(refused["grpc-status"], "14");
  assert.match(refused["grpc-message"] ?? "", /retry later/);
  assert.equal(server.stats.refused.server_calls, 1);
  for (const answer of handlers) answer();
  await until(() => server.stats.calls_held === 0);
  await client.send(client.unary(7));
  assert.equal((await client.response(7))["grpc-status"], "0");
  client.close();
  await server.shutdown({ grace_ms: 0 });
  assert.equal(server.stats.calls_held, 0);
});

Deno.test("one address cannot take every call, whatever connections it leaves behind", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/grpc.sock`;
  const handlers: (() => void)[] = [];
  const { server, port } = await startServer({ bounds: { ...SHORT, calls_per_address: 5 } }, {
    unary: (request) =>
      request.text === ""
        ? request
        : new Promise((resolve) => handlers.push(() => resolve(request))),
  });
  await server.listen({ transport: "unix", path });
  // Not of that address.
  const neighbour = await Neighbour.start(path);
  for (let count = 1; count <= 5; count++) {
    const client = await RawPeer.open(port);
    await client.send(client.unary(1, [0x0a, 1, 0x61]));
    await until(() => handlers.length === count);
    client.close();
  }
  const client = await RawPeer.open(port);
  await client.send(client.unary(1));
  assert.equal((await client.response(1))["grpc-status"], "14");
  assert.equal(server.stats.refused.calls_per_address, 1);
  await neighbour.stop();
  handlers.pop()?.();
  await until(() => server.stats.calls_held === 4);
  await client.send(client.unary(3));
  assert.equal((await client.response(3))["grpc-status"], "0");
  for (const answer of handlers) answer();
  client.close();
  await until(() => server.stats.calls_held === 0);
  await server.shutdown({ grace_ms: 0 });
  await Deno.remove(folder, { recursive: true });
});

Deno.test("answers nobody reads share one bound over all connections", async () => {
  const payload = new Uint8Array(10_000);
  const { server, port } = await startServer({
    bounds: { ...SHORT, server_pending_bytes: 55_000 },
  }, {
    expand: async function* () {
      yield create(EchoMessageSchema, { payload });
      await new Promise(() => {});
    },
  });
  const neighbour = await Neighbour.start(port);
  const clients: RawPeer[] = [];
  for (let count = 0; count < 6; count++) {
    const client = await RawPeer.open(port, setting(4, 0));
    clients.push(client);
    await client.send(
      client.headers(1, Flag.END_HEADERS, EXPAND),
      frame(FrameType.DATA, Flag.END_STREAM, 1, prefixed([])),
    );
    await client.alive();
  }
  assert.equal((await clients[5]?.response(1))?.["grpc-status"], "8");
  assert.equal(server.stats.refused.pending_bytes, 1);
  assert.ok(server.stats.pending_bytes > 50_000 && server.stats.pending_bytes <= 55_000);
  await neighbour.stop();
  for (const client of clients) client.close();
  await until(() => server.stats.connections_open === 0);
  assert.equal(server.stats.pending_bytes, 0);
  await server.shutdown({ grace_ms: 0 });
});

Deno.test("frames that wait for all sockets are bounded: the greediest connection is closed", async () => {
  const payload = new Uint8Array(100_000);
  const { server, port } = await startServer({
    bounds: { ...SHORT, server_output_bytes: 300_000 },
  }, {
    expand: async function* (_, { signal }) {
      while (!signal.aborted) yield await Promise.resolve(create(EchoMessageSchema, { payload }));
    },
  });
  const neighbour = await Neighbour.start(port);
  const clients: RawPeer[] = [];
  for (let count = 0; count < 3; count++) {
    const client = await RawPeer.open(port, setting(4, 0x7fff_ffff));
    clients.push(client);
    await client.send(frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(0x7000_0000)));
    client.pause();
    await client.send(
      client.headers(1, Flag.END_HEADERS, EXPAND),
      frame(FrameType.DATA, Flag.END_STREAM, 1, prefixed([])),
    );
  }
  await until(() => server.stats.refused.server_output_bytes !== undefined);
  await neighbour.stop();
  for (const client of clients) client.close();
  await until(() => server.stats.connections_open === 0);
  await server.shutdown({ grace_ms: 0 });
});

Deno.test("only as many greedy connections are closed as needed, the greediest first", () => {
  const closed: string[] = [];
  const holding = (name: string, waiting_bytes: number) => ({
    output: { waiting_bytes },
    onRefused: () => {},
    terminate: () => void closed.push(name),
  });
  const all = [holding("a", 10), holding("b", 500), holding("c", 300), holding("d", 90)];
  closeGreediest(all, 900);
  assert.deepEqual(closed, []);
  closeGreediest(all, 400);
  assert.deepEqual(closed, ["b"]);
  closed.length = 0;
  closeGreediest(all, 100);
  assert.deepEqual(closed, ["b", "c"]);
});
