import assert from "node:assert/strict";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyPack, AnySchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { BadRequestSchema, detailOf, ErrorInfoSchema, RetryInfoSchema } from "./error_details.ts";
import { Echo, EchoMessageSchema } from "./gen/echo_pb.ts";
import { StatusSchema } from "./gen/google/rpc/status_pb.ts";
import { encodeBlock, listBytes } from "./hpack/encoder.ts";
import { Channel, Code, createClient, GrpcError, Metadata } from "./mod.ts";
import { errorTrailerFields } from "./server/response.ts";
import { decodeStatusDetails, encodeStatusDetails } from "./status_details.ts";
import { startServer } from "./testing/echo_server.ts";
import { frame, FrameType, RawPeer } from "./testing/raw_peer.ts";

async function errorOf(promise: Promise<unknown>): Promise<GrpcError> {
  const reason = await promise.then(() => undefined, (reason: unknown) => reason);
  assert.ok(reason instanceof GrpcError, `it ended with ${reason}`);
  return reason;
}

Deno.test("details a handler gives arrive, to be found by their type", async () => {
  const { server, target } = await startServer({}, {
    unary: () => {
      throw new GrpcError("so – nicht", Code.INVALID_ARGUMENT, {
        metadata: new Metadata().set("x-rule", "r1"),
        details: [
          { desc: BadRequestSchema, value: { fieldViolations: [{ field: "text" }] } },
          detailOf(RetryInfoSchema, { retryDelay: { seconds: 3n, nanos: 5 } }),
          anyPack(EchoMessageSchema, create(EchoMessageSchema, { text: "first" })),
          detailOf(EchoMessageSchema, { text: "second" }),
        ],
      });
    },
  });
  const channel = new Channel(target);
  const error = await errorOf(createClient(Echo, channel).unary({}));
  assert.equal(error.code, Code.INVALID_ARGUMENT);
  assert.equal(error.message, "so – nicht");
  assert.equal(error.metadata.get("x-rule"), "r1");
  assert.equal(error.metadata.get("grpc-status-details-bin"), undefined);
  assert.equal(error.details.length, 4);
  assert.equal(error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field, "text");
  assert.equal(error.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds, 3n);
  assert.deepEqual(error.findDetails(EchoMessageSchema).map(({ text }) => text), [
    "first",
    "second",
  ]);
  assert.deepEqual(error.findDetails(ErrorInfoSchema), []);
  await channel.close();
  await server.shutdown({ grace_ms: 0 });
});

Deno.test("an error of a call passed on by a handler keeps its details", async () => {
  const behind = await startServer({}, {
    unary: () => {
      const details = [detailOf(ErrorInfoSchema, { reason: "BEHIND" })];
      throw new GrpcError("text", Code.ABORTED, { details });
    },
  });
  const inner = new Channel(behind.target);
  const before = await startServer({}, {
    unary: async (request) => await createClient(Echo, inner).unary(request),
  });
  const outer = new Channel(before.target);
  const error = await errorOf(createClient(Echo, outer).unary({}));
  assert.equal(error.findDetails(ErrorInfoSchema)[0]?.reason, "BEHIND");
  await Promise.all([outer.close(), inner.close()]);
  await Promise.all([before.server.shutdown(), behind.server.shutdown()]);
});

/** What a client makes of trailers a server sends. */
async function errorFromTrailers(run: (call: (fields: string[]) => Promise<GrpcError>) => unknown) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const channel = new Channel(`127.0.0.1:${listener.addr.port}`);
  const client = createClient(Echo, channel);
  let peer: RawPeer | undefined;
  try {
    await run(async (fields) => {
      const outcome = errorOf(client.unary({}));
      peer ??= await RawPeer.accept(listener);
      const stream = await peer.request();
      const head = [":status", "200", "content-type", "application/grpc"];
      await peer.send(frame(FrameType.HEADERS, 5, stream, encodeBlock([...head, ...fields])));
      return await outcome;
    });
  } finally {
    peer?.close();
    await channel.close();
    listener.close();
  }
}

Deno.test("where details and plain status disagree, the plain status is right", async () => {
  await errorFromTrailers(async (call) => {
    const status = create(StatusSchema, {
      code: Code.NOT_FOUND,
      message: "other",
      details: [detailOf(ErrorInfoSchema, { reason: "R" })],
    });
    const value = encodeBase64(toBinary(StatusSchema, status));
    const details = ["grpc-status-details-bin", value];
    const error = await call(["grpc-status", "9", "grpc-message", "own", ...details]);
    assert.equal(error.code, Code.FAILED_PRECONDITION);
    assert.equal(error.message, "own");
    assert.equal(error.findDetails(ErrorInfoSchema)[0]?.reason, "R");
    assert.equal((await call(["grpc-status", "9", ...details])).message, "");
    // Padded, as some libraries write it.
    const padded = value + "=".repeat((4 - value.length % 4) % 4);
    const same = await call(["grpc-status", "9", "grpc-status-details-bin", padded]);
    assert.equal(same.details.length, 1);
  });
});

Deno.test("details that are no status are absent; the plain status still stands", async () => {
  const sound = encodeBase64(
    toBinary(StatusSchema, create(StatusSchema, { details: [{ typeUrl: "a/b" }] })),
  );
  const broken = ["", "!", "====", "CAU", "GgH", "/w", `${sound},${sound}`, sound.slice(0, -2)];
  await errorFromTrailers(async (call) => {
    for (const value of broken) {
      const error = await call([
        ...["grpc-status", "5", "grpc-message", "gone"],
        ...["grpc-status-details-bin", value],
      ]);
      assert.equal(error.code, Code.NOT_FOUND);
      assert.equal(error.message, "gone");
      assert.deepEqual(error.details, [], value);
    }
  });
});

Deno.test("no bytes in place of details make reading or looking at them throw", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    // Sound statuses around unsound details.
    fc.array(fc.record({ typeUrl: fc.string(), value: fc.uint8Array() })).map((details) =>
      toBinary(StatusSchema, create(StatusSchema, { details }))
    ),
  );
  fc.assert(fc.property(bytes, (bytes) => {
    const details = decodeStatusDetails(encodeBase64(bytes));
    new GrpcError("", Code.ABORTED, { details }).findDetails(BadRequestSchema);
  }));
  fc.assert(fc.property(fc.string(), (text) => void decodeStatusDetails(text)));
  const lying = create(AnySchema, {
    typeUrl: "type.googleapis.com/google.rpc.BadRequest",
    value: Uint8Array.of(0xff),
  });
  const nameless = create(AnySchema, { typeUrl: "type.googleapis.com/" });
  const error = new GrpcError("", Code.ABORTED, { details: [lying, nameless] });
  assert.deepEqual(error.findDetails(BadRequestSchema), []);
});

Deno.test("whatever the details, they come out as they went in", () => {
  const detail = fc.record({ typeUrl: fc.webPath(), value: fc.uint8Array() });
  fc.assert(fc.property(fc.array(detail, { minLength: 1 }), fc.string(), (details, text) => {
    const anys = details.map((each) => create(AnySchema, each));
    const value = encodeStatusDetails(
      new GrpcError(text, Code.ABORTED, { details: anys }),
      1 << 20,
    );
    assert.deepEqual(decodeStatusDetails(value), anys);
    const status = fromBinary(StatusSchema, decodeBase64(value ?? "") ?? new Uint8Array());
    assert.equal(status.code, Code.ABORTED);
    assert.equal(status.message, text.toWellFormed());
  }));
});

Deno.test("a detail that is not what its schema says is refused where it is made", () => {
  const count = 2 ** 40; // In an int32.
  assert.throws(
    () =>
      new GrpcError("", Code.ABORTED, { details: [{ desc: EchoMessageSchema, value: { count } }] }),
    TypeError,
  );
});

Deno.test("too much to send: details go first, then metadata, then text, never the code", () => {
  const small = fc.integer({ min: 0, max: 120 });
  fc.assert(fc.property(small, small, small, small, (text, key, trailer, detail) => {
    const metadata = new Metadata().set("x-a", "a".repeat(key));
    const trailers = new Metadata().set("x-b", "b".repeat(trailer));
    const details = [detailOf(ErrorInfoSchema, { reason: "c".repeat(detail) })];
    const error = new GrpcError("d".repeat(text), Code.ABORTED, { metadata, details });
    const fieldsAt = (header_list_bytes: number) =>
      errorTrailerFields(error, trailers, { header_list_bytes, status_message_bytes: 1000 });
    const namesAt = (bytes: number) => fieldsAt(bytes).filter((_, index) => index % 2 === 0);
    let bound = 2000;
    const steps: string[][] = [];
    // From one list to the next smaller: each stands exactly as long as it fits.
    for (let turn = 0; turn < 4; turn++) {
      const fields = fieldsAt(bound);
      const size = listBytes(fields);
      assert.deepEqual(fieldsAt(size), fields);
      steps.push(namesAt(bound));
      bound = size - 1;
    }
    const message = text === 0 ? [] : ["grpc-message"];
    assert.deepEqual(steps.slice(0, 3), [
      ["grpc-status", ...message, "x-a", "x-b", "grpc-status-details-bin"],
      ["grpc-status", ...message, "x-a", "x-b"],
      ["grpc-status", ...message],
    ]);
    assert.deepEqual(namesAt(0), ["grpc-status"]);
  }));
});

Deno.test("a status past what the client reads still arrives, without what is too much", async () => {
  const { server, target } = await startServer({}, {
    unary: ({ count, text }, context) => {
      context.headers.set("x-head", "h".repeat(count));
      const metadata = new Metadata().set("x-long", "m".repeat(count));
      const details = [detailOf(ErrorInfoSchema, { reason: "r".repeat(count) })];
      throw new GrpcError(text, Code.ABORTED, { metadata, details });
    },
  });
  // The client's limit is the smaller one; then the server's own is.
  for (const bounds of [{ header_list_bytes: 1000 }, {}]) {
    const channel = new Channel(target, { bounds });
    const client = createClient(Echo, channel);
    const limit = bounds.header_list_bytes ?? 16_384;
    for (
      const [count, has_metadata, details] of [[100, true, 1], [limit / 2, true, 0], [
        limit,
        false,
        0,
      ]] as const
    ) {
      const error = await errorOf(client.unary({ count, text: "why" }));
      assert.equal(error.code, Code.ABORTED);
      assert.equal(error.message, "why");
      assert.equal(error.metadata.get("x-long") !== undefined, has_metadata);
      assert.equal(error.findDetails(ErrorInfoSchema).length, details);
    }
    await channel.close();
  }
  await server.shutdown({ grace_ms: 0 });
});
