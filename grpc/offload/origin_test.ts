/**
 * An origin in this thread, with the test as its front.
 */
import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, GrpcServer } from "../mod.ts";
import { Echo, EchoMessageSchema } from "../gen/echo_pb.ts";
import { BatchReader, BatchWriter, FrameKind } from "./batch.ts";
import { type FrontWorker, OffloadedFront } from "./offloaded_front.ts";
import { ORIGIN_WAITING_BYTES_MAX } from "./origin.ts";

/** A front that sends what the test says and takes what it is given, or does not. */
class TestWorker implements FrontWorker {
  onmessage: FrontWorker["onmessage"] = null;
  onerror: FrontWorker["onerror"] = null;
  onmessageerror: FrontWorker["onmessageerror"] = null;
  readonly batches: Uint8Array[] = [];
  terminated = false;

  postMessage(message: unknown): void {
    if (message instanceof Uint8Array) this.batches.push(message);
  }

  terminate(): void {
    this.terminated = true;
  }

  say(data: unknown): void {
    this.onmessage?.({ data } as MessageEvent);
  }
}

/** Unary calls of one connection, all in one batch. */
function callsOf(count: number): Uint8Array {
  const writer = new BatchWriter();
  writer.frame(FrameKind.PEER, 1);
  writer.text(JSON.stringify({ transport: "tcp", address: "127.0.0.1:1" }));
  for (let id = 1; id <= count; id++) {
    writer.frame(FrameKind.OPEN, id);
    writer.u32(0);
    writer.u32(1);
    writer.f64(NaN);
    writer.fields([]);
    writer.frame(FrameKind.DATA, id);
    writer.u8(1);
    writer.message(toBinary(EchoMessageSchema, create(EchoMessageSchema, { count: id })));
  }
  return writer.take(0);
}

/** The codes of the calls that ended in some batches. */
function codesIn(batches: readonly Uint8Array[]): Code[] {
  const codes: Code[] = [];
  for (const batch of batches) {
    const reader = new BatchReader(batch);
    reader.u32();
    while (!reader.atEnd) {
      const kind = reader.u8();
      reader.u32();
      if (kind === FrameKind.DATA) {
        reader.u8();
        reader.span(reader.u32());
      } else if (kind === FrameKind.HEAD) {
        reader.u8();
        reader.fields();
      } else {
        assert.equal(kind, FrameKind.END);
        codes.push(reader.u32() as Code);
        reader.text();
        reader.fields();
        reader.text();
        reader.fields();
      }
    }
  }
  return codes;
}

Deno.test("answers a front does not take are bounded: calls that add more fail, the front lives", async () => {
  const payload = new Uint8Array(4_000_000);
  const server = new GrpcServer();
  server.addService(Echo, { unary: ({ count }) => create(EchoMessageSchema, { count, payload }) });
  const worker = new TestWorker();
  const front = OffloadedFront.open(server, worker);
  worker.say({ type: "ready" });
  worker.say(callsOf(40));
  await Promise.resolve();
  await Promise.resolve();
  const codes = codesIn(worker.batches);
  assert.equal(codes.length, 40, "each call has its end");
  const fit = Math.floor(ORIGIN_WAITING_BYTES_MAX / payload.length);
  assert.equal(codes.filter((code) => code === Code.OK).length, fit);
  assert.equal(codes.filter((code) => code === Code.RESOURCE_EXHAUSTED).length, 40 - fit);
  assert.ok(front.alive);
  assert.equal(server.stats.calls_held, 0);
  front.close();
  assert.ok(worker.terminated);
  await server.shutdown();
});
