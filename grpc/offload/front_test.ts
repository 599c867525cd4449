/**
 * A front in this thread, with the test as its origin.
 */
import assert from "node:assert/strict";
import { Channel, createClient, SERVER_BOUNDS } from "../mod.ts";
import { Echo } from "../gen/echo_pb.ts";
import { BATCH_HEAD_BYTES, BatchError } from "./batch.ts";
import { FRONT_WAITING_BYTES_MAX, type FrontThread, serveFront } from "./front.ts";
import { BATCHES_UNREAD_MAX } from "./link.ts";
import type { FrontMessage, OriginMessage } from "./messages.ts";

/** What one read of a socket may add to a batch that is already full. */
const ONE_READ_BYTES = 256 * 1024;

class TestThread implements FrontThread {
  onmessage: ((event: MessageEvent) => void) | null = null;
  readonly batches: Uint8Array[] = [];
  readonly said: FrontMessage[] = [];

  postMessage(message: unknown): void {
    if (message instanceof Uint8Array) this.batches.push(message);
    else this.said.push(message as FrontMessage);
  }

  tell(data: OriginMessage | Uint8Array | { type: string }): void {
    this.onmessage?.({ data } as MessageEvent);
  }

  async hear<T extends FrontMessage["type"]>(type: T): Promise<FrontMessage & { type: T }> {
    await until(() => this.said.some((message) => message.type === type));
    return this.said.find((message) => message.type === type) as FrontMessage & { type: T };
  }
}

async function until(condition: () => boolean): Promise<void> {
  const deadline_ms = performance.now() + 10_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline_ms, "never came to pass");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

function started(): TestThread {
  const thread = new TestThread();
  serveFront(thread);
  thread.tell({
    type: "start",
    methods: [{ path: "/grpc.test.v1.Echo/Unary", kind: "unary" }],
    bounds: SERVER_BOUNDS,
  });
  return thread;
}

Deno.test("a front whose origin takes nothing stops reading at its bound", async () => {
  const thread = started();
  thread.tell({ type: "listen", options: { transport: "tcp", hostname: "127.0.0.1", port: 0 } });
  const { address } = await thread.hear("bound");
  const channel = new Channel(address);
  const client = createClient(Echo, channel);
  const payload = new Uint8Array(60_000);
  const count = 200;
  for (let call = 0; call < count; call++) client.unary({ payload }).catch(() => {});
  await until(() => thread.batches.length === BATCHES_UNREAD_MAX);
  let taken = 0;
  let bytes = 0;
  // One batch at a time is taken: whatever the front had read meanwhile is in the next.
  while (bytes < count * payload.length) {
    await until(() => thread.batches.length > taken);
    bytes += thread.batches[taken]?.length ?? 0;
    assert.ok(
      thread.batches.length - taken <= BATCHES_UNREAD_MAX,
      "more batches than may be unread",
    );
    taken++;
    thread.tell(Uint8Array.of(0, 0, 0, 1));
  }
  const largest = Math.max(...thread.batches.map(({ length }) => length));
  assert.ok(largest <= FRONT_WAITING_BYTES_MAX + ONE_READ_BYTES, `a batch of ${largest} bytes`);
  assert.ok(thread.batches.every(({ length }) => length > BATCH_HEAD_BYTES), "no empty batches");
  await channel.close();
  thread.tell({ type: "drain", grace_ms: 0 });
  await thread.hear("drained");
});

Deno.test("an origin that makes no sense ends the front, loudly", async () => {
  const early = new TestThread();
  serveFront(early);
  assert.throws(() => early.tell({ type: "ping" }), BatchError);
  for (
    const nonsense of [
      { type: "nonsense" },
      Uint8Array.of(0, 0, 0, 9),
      Uint8Array.of(0, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0),
      Uint8Array.of(0, 0),
    ]
  ) {
    const thread = started();
    assert.throws(() => thread.tell(nonsense), BatchError);
    thread.tell({ type: "drain", grace_ms: 0 });
    await thread.hear("drained");
  }
});
