import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { Channel, Code, createClient, type GrpcError } from "../mod.ts";
import { Echo, EchoMessageSchema } from "../gen/echo_pb.ts";
import { startServer } from "../testing/echo_server.ts";
import { Flag, frame, FrameType, prefixed, RawPeer } from "../testing/raw_peer.ts";

const SHORT = { sweep_interval_ms: 5, linger_timeout_ms: 50 };

/** A unary handler that answers when told. */
function held() {
  const { promise, resolve } = Promise.withResolvers<void>();
  const unary = async (request: { count: number }) => {
    await promise;
    return create(EchoMessageSchema, { count: request.count });
  };
  return { release: resolve, unary };
}

function lastStreamIds(peer: RawPeer): number[] {
  return peer.frames.filter((each) => each.type === FrameType.GOAWAY)
    .map((each) => new DataView(each.payload.buffer).getUint32(0));
}

Deno.test("shutdown says goodbye in two steps, answers what is open, then closes", async () => {
  const { release, unary } = held();
  const { server, port } = await startServer({ bounds: SHORT }, { unary });
  const client = await RawPeer.open(port);
  await client.send(client.unary(1));
  while (server.stats.calls_open === 0) await new Promise((ok) => setTimeout(ok, 1));
  const done = server.shutdown({ grace_ms: 5000 });
  await client.until((frames) => frames.some((each) => each.type === FrameType.PING));
  // A call already on its way when the first GOAWAY arrives still counts.
  await client.send(client.unary(3));
  const ping = client.frames.find((each) => each.type === FrameType.PING);
  await client.send(frame(FrameType.PING, Flag.ACK, 0, ping?.payload ?? []));
  await client.until(() => lastStreamIds(client).length === 2);
  assert.deepEqual(lastStreamIds(client), [2 ** 31 - 1, 3]);
  await client.send(client.unary(5));
  assert.equal(await client.reset(5), "REFUSED_STREAM");
  await assert.rejects(RawPeer.dial(port), Deno.errors.ConnectionRefused);
  release();
  assert.equal((await client.response(1))["grpc-status"], "0");
  assert.equal((await client.response(3))["grpc-status"], "0");
  await client.untilEnded();
  client.close();
  await done;
  assert.equal(server.stats.connections_open, 0);
  assert.equal(server.stats.calls_ok, 2);
});

Deno.test("a client that does not answer the goodbye is closed all the same", async () => {
  const { server, port } = await startServer({ bounds: SHORT });
  const client = await RawPeer.open(port);
  await server.shutdown({ grace_ms: 5000 });
  assert.deepEqual(lastStreamIds(client), [2 ** 31 - 1, 0]);
  client.close();
});

Deno.test("a client met before its preface is told that no call of its was begun", async () => {
  const { server, port } = await startServer({ bounds: SHORT });
  const client = await RawPeer.dial(port);
  while (server.stats.connections_open === 0) await new Promise((ok) => setTimeout(ok, 1));
  await server.shutdown({ grace_ms: 5000 });
  assert.deepEqual(lastStreamIds(client), [0]);
  assert.equal(await client.goaway(), "NO_ERROR");
  client.close();
});

Deno.test("calls that outlive the grace are aborted, their handlers told", async () => {
  const { promise, resolve } = Promise.withResolvers<GrpcError>();
  const { server, target } = await startServer({ bounds: SHORT }, {
    unary: (request, { signal }) =>
      new Promise((answer) => {
        signal.addEventListener("abort", () => {
          resolve(signal.reason);
          answer(request);
        });
      }),
  });
  const channel = new Channel(target);
  const call = createClient(Echo, channel).unary({});
  while (server.stats.calls_open === 0) await new Promise((ok) => setTimeout(ok, 1));
  const [outcome] = await Promise.allSettled([call, server.shutdown({ grace_ms: 30 })]);
  assert.equal(outcome.status === "rejected" && outcome.reason.code, Code.UNAVAILABLE);
  assert.equal((await promise).code, Code.UNAVAILABLE);
  assert.equal(server.stats.calls_open, 0);
  await channel.close();
});

Deno.test("a client of this module loses no call when its server restarts", async () => {
  const first = await startServer({ bounds: SHORT });
  const channel = new Channel(first.target, { backoff: { initial_ms: 1, max_ms: 1 } });
  const client = createClient(Echo, channel);
  let answered = 0;
  let stop = false;
  const calling = (async () => {
    while (!stop) {
      try {
        await client.unary({ count: 1 });
        answered++;
      } catch (reason) {
        // Between the two servers nobody listens: a clean refusal, never a lost answer.
        assert.equal((reason as GrpcError).code, Code.UNAVAILABLE);
        assert.match((reason as GrpcError).message, /cannot connect/);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
  })();
  while (answered < 50) await new Promise((resolve) => setTimeout(resolve, 1));
  await first.server.shutdown({ grace_ms: 5000 });
  const second = await startServer({ bounds: SHORT });
  await second.listener.close();
  await second.server.listen({ transport: "tcp", hostname: "127.0.0.1", port: first.port });
  const before = answered;
  while (answered < before + 50) await new Promise((resolve) => setTimeout(resolve, 1));
  stop = true;
  await calling;
  assert.equal(first.server.stats.calls_ok + second.server.stats.calls_ok, answered);
  await channel.close();
  await second.server.shutdown();
});

Deno.test("a streaming call may finish within the grace", async () => {
  const { server, port } = await startServer({ bounds: SHORT });
  const client = await RawPeer.open(port);
  const fields = [":method", "POST", ":scheme", "http", ":path", "/grpc.test.v1.Echo/Collect"];
  await client.send(
    client.headers(1, Flag.END_HEADERS, [...fields, "content-type", "application/grpc"]),
    frame(FrameType.DATA, 0, 1, prefixed([0x0a, 1, 0x61])),
  );
  while (server.stats.calls_open === 0) await new Promise((ok) => setTimeout(ok, 1));
  const done = server.shutdown({ grace_ms: 5000 });
  await client.until(() => lastStreamIds(client).length === 2);
  await client.send(frame(FrameType.DATA, Flag.END_STREAM, 1, prefixed([0x0a, 1, 0x62])));
  assert.equal((await client.response(1))["grpc-status"], "0");
  await client.untilEnded();
  client.close();
  await done;
});
