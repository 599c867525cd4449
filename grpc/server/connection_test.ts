import assert from "node:assert/strict";
import { SERVER_BOUNDS } from "../bounds.ts";
import { CLIENT_PREFACE } from "../http2/frames.ts";
import type { Transport } from "../http2/transport.ts";
import { concat, frame, FrameType, RawPeer } from "../testing/raw_peer.ts";
import { startServer } from "../testing/echo_server.ts";
import { ServerConnection } from "./connection.ts";
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
    bounds: { ...SERVER_BOUNDS, output_bytes: 500_000, control_frame_burst: 1e9 },
    routes: new Map(),
    counters: new ServerCounters(),
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
