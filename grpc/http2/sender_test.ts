import assert from "node:assert/strict";
import fc from "fast-check";
import { SERVER_BOUNDS } from "../bounds.ts";
import { concat, prefixed } from "../testing/raw_peer.ts";
import { FRAME_HEADER_BYTES } from "./frames.ts";
import { Output } from "./output.ts";
import { RateBound } from "./rate_bound.ts";
import { Sender } from "./sender.ts";
import { initialPeerSettings } from "./settings.ts";
import { Http2Stream } from "./stream.ts";

class SilentStream extends Http2Stream {
  override onData(): void {}
  override onSent(): void {}
  override onAborted(): void {}
}

/** A sender and the payloads of the frames it wrote. */
function senderInto(window: number): { sender: Sender; stream: SilentStream; sent(): Uint8Array } {
  const transport = {
    read: () => Promise.resolve(null),
    write: (bytes: Uint8Array) => Promise.resolve(bytes.length),
    closeWrite: () => Promise.resolve(),
    close: () => {},
  };
  const output = new Output(transport, () => {}, () => assert.fail());
  output.hold();
  const bound = new RateBound(1000, 1000, () => 0);
  const sender = new Sender(output, initialPeerSettings(), SERVER_BOUNDS, bound, () => {});
  const stream = new SilentStream(window, 65_535);
  stream.id = 1;
  const sent = () => {
    const payloads: Uint8Array[] = [];
    for (let at = 0; at < output.length;) {
      const view = new DataView(output.bytes.buffer, at);
      const length = view.getUint16(0) * 256 + view.getUint8(2);
      payloads.push(
        output.bytes.subarray(at + FRAME_HEADER_BYTES, at + FRAME_HEADER_BYTES + length),
      );
      at += FRAME_HEADER_BYTES + length;
    }
    return concat(...payloads);
  };
  return { sender, stream, sent };
}

Deno.test("a message arrives whole however little the peer's window lets through at a time", () => {
  const small = fc.tuple(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 8 }));
  const large = fc.tuple(
    fc.uint8Array({ minLength: 256, maxLength: 40_000 }),
    fc.integer({ min: 1000, max: 20_000 }),
  );
  fc.assert(fc.property(fc.oneof(small, large), fc.nat(8), ([message, increment], first) => {
    const { sender, stream, sent } = senderInto(first);
    const expected = prefixed(message);
    const at_once = sender.sendMessage(stream, message, false);
    assert.equal(at_once, first >= expected.length);
    let open = first;
    for (; open < expected.length; open += increment) {
      assert.deepEqual(sent(), expected.subarray(0, open));
      sender.openStreamWindow(stream, increment);
    }
    assert.deepEqual(sent(), expected);
    assert.equal(sender.pendingBytes, 0);
  }));
});
