import assert from "node:assert/strict";
import { SERVER_BOUNDS } from "../bounds.ts";
import { Deadlines } from "../deadlines.ts";
import { CLIENT_PREFACE } from "../http2/frames.ts";
import type { Transport } from "../http2/transport.ts";
import { encodeBlock } from "../hpack/encoder.ts";
import { Echo } from "../gen/echo_pb.ts";
import { ECHO_HANDLERS, startServer } from "../testing/echo_server.ts";
import { concat, Flag, frame, FrameType, RawPeer, requestFields } from "../testing/raw_peer.ts";
import { ServerConnection } from "./connection.ts";
import { routesOf } from "./route.ts";
import { ServerCounters } from "./stats.ts";

/** A peer whose socket always has more to read and never takes a byte. */
class GreedyTransport implements Transport {
  reads = 0;
  #close = Promise.withResolvers<never>();
  readonly #chunk = concat(
    ...new Array(3000).fill(frame(FrameType.PING, 0, 0, new Uint8Array(8))),
  );

  read(buffer: Uint8Array): Promise<number | null> {
    this.reads++;
    if (this.reads > 1000) return Promise.resolve(null);
    const bytes = this.reads === 1
      ? concat(CLIENT_PREFACE, frame(FrameType.SETTINGS, 0, 0))
      : this.#chunk.subarray(0, buffer.length - buffer.length % 17);
    buffer.set(bytes);
    return Promise.resolve(bytes.length);
  }

  write(): Promise<number> {
    return this.#close.promise;
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#close.reject(new Error("closed"));
  }
}

Deno.test("replies that a peer does not read stop the reading of more", async () => {
  const transport = new GreedyTransport();
  const share = {
    bounds: {
      ...SERVER_BOUNDS,
      output_bytes: 500_000,
      control_frame_burst: 1e9,
      min_ping_interval_without_calls_ms: 0,
    },
    routes: new Map(),
    counters: new ServerCounters(),
    deadlines: new Deadlines(),
    emit: undefined,
  };
  const peer = { transport: "tcp", address: "test" } as const;
  const connection = new ServerConnection(transport, peer, share, () => {});
  const running = connection.run();
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
  assert.ok(transport.reads > 2 && transport.reads < 20, `${transport.reads} reads`);
  assert.ok(connection.output.waiting_bytes < 600_000);
  connection.terminate("the test is over");
  await running;
});

Deno.test("a request that arrives just when the socket breaks leaves no call behind", async () => {
  const write = Promise.withResolvers<number>();
  const second_read = Promise.withResolvers<number>();
  let into: Uint8Array = new Uint8Array(0);
  let reads = 0;
  const transport: Transport = {
    read(buffer) {
      into = buffer;
      reads++;
      if (reads === 2) return second_read.promise;
      if (reads > 2) return Promise.resolve(null);
      const hello = concat(CLIENT_PREFACE, frame(FrameType.SETTINGS, 0, 0));
      buffer.set(hello);
      return Promise.resolve(hello.length);
    },
    write: () => write.promise,
    closeWrite: () => Promise.resolve(),
    close: () => {},
  };
  const counters = new ServerCounters();
  const routes = new Map(
    routesOf(Echo, ECHO_HANDLERS, { interceptors: [], compression: "identity" }, {}).map((
      route,
    ) => [route.path, route]),
  );
  const deadlines = new Deadlines();
  const share = { bounds: SERVER_BOUNDS, routes, counters, deadlines, emit: undefined };
  const peer = { transport: "tcp", address: "test" } as const;
  const connection = new ServerConnection(transport, peer, share, () => {});
  const running = connection.run();
  while (reads < 2) await Promise.resolve();
  const request = frame(
    FrameType.HEADERS,
    Flag.END_HEADERS,
    1,
    encodeBlock(requestFields({ ":path": "/grpc.test.v1.Echo/Collect" })),
  );
  into.set(request);
  write.reject(new Error("broken"));
  while (connection.phase !== "closed") await Promise.resolve();
  second_read.resolve(request.length);
  await running;
  assert.equal(connection.streams.size, 0);
  assert.equal(counters.calls_open, 0);
});

Deno.test("an observer that throws breaks nothing", async () => {
  const { server, port } = await startServer({
    onEvent: () => {
      throw new Error("broken observer");
    },
  });
  const client = await RawPeer.open(port);
  await client.send(client.unary(1));
  assert.equal((await client.response(1))["grpc-status"], "0");
  client.close();
  await server.shutdown({ grace_ms: 0 });
});
