import assert from "node:assert/strict";
import { encodeBlock } from "../hpack/encoder.ts";
import { Code } from "../mod.ts";
import { errorOf, hostileTest } from "../testing/hostile_server.ts";
import { Flag, frame, FrameType, prefixed } from "../testing/raw_peer.ts";

const HEAD = encodeBlock([":status", "200", "content-type", "application/grpc"]);

hostileTest(
  "a message that comes with an end without a status is read before the error",
  async (test) => {
    const seen: number[] = [];
    const call = (async () => {
      for await (const { count } of test.client.expand({})) seen.push(count);
    })();
    const peer = await test.accept();
    const id = await peer.request();
    await peer.send(
      frame(FrameType.HEADERS, Flag.END_HEADERS, id, HEAD),
      frame(FrameType.DATA, 0, id, prefixed([0x18, 1])),
      frame(FrameType.DATA, Flag.END_STREAM, id, prefixed([0x18, 2])),
    );
    assert.equal((await errorOf(call)).code, Code.INTERNAL);
    assert.deepEqual(seen, [1, 2]);
  },
);

hostileTest(
  "an HTTP status of no known class is an error of the call, not of the protocol",
  async (test) => {
    const call = errorOf(test.client.unary({}));
    const peer = await test.accept();
    const id = await peer.request();
    const block = encodeBlock([":status", "999"]);
    await peer.send(frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, id, block));
    const error = await call;
    assert.equal(error.code, Code.UNKNOWN);
    assert.match(error.message, /HTTP status `999`/);
  },
);
