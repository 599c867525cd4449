import assert from "node:assert/strict";
import fc from "fast-check";
import {
  ACK_FRAME,
  CLIENT_TAG,
  encodeFrame,
  type Frame,
  FrameError,
  FrameReader,
  HEARTBEAT_FRAME,
  IPC_LIMITS,
  RUNTIME_TAG,
  type Sender,
} from "./mod.ts";

function readAll(reader: FrameReader, chunks: Iterable<Uint8Array>): Frame[] {
  const frames: Frame[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) frames.push(frame);
  }
  return frames;
}

function* cut(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  let at = 0;
  for (let index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length] ?? 1;
    yield bytes.slice(at, at + size);
    at += size;
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function refusal(reader: FrameReader, bytes: readonly number[]): FrameError["reason"] {
  try {
    readAll(reader, [Uint8Array.from(bytes)]);
  } catch (error) {
    if (error instanceof FrameError) return error.reason;
    throw error;
  }
  assert.fail("the bytes were taken");
}

Deno.test("a client's heartbeat is one byte; the runtime's tag 3 is an ack of two", () => {
  assert.deepEqual([...HEARTBEAT_FRAME], [4]);
  assert.deepEqual([...ACK_FRAME], [3, 0]);
  const empty = new Uint8Array(0);
  assert.deepEqual(readAll(new FrameReader("client"), [Uint8Array.of(4, 4, 1, 0, 4)]), [
    { tag: CLIENT_TAG.heartbeat, body: empty },
    { tag: CLIENT_TAG.heartbeat, body: empty },
    { tag: CLIENT_TAG.policy_query, body: empty },
    { tag: CLIENT_TAG.heartbeat, body: empty },
  ]);
  assert.deepEqual(readAll(new FrameReader("runtime"), [Uint8Array.of(3, 0, 4, 1, 7)]), [
    { tag: RUNTIME_TAG.ack, body: empty },
    { tag: RUNTIME_TAG.violation_alert, body: Uint8Array.of(7) },
  ]);
});

Deno.test("every sequence of frames comes back whole, however the stream is cut", () => {
  const sender = fc.constantFrom<Sender>("client", "runtime");
  const frame = fc.record({
    tag: fc.integer({ min: 1, max: 5 }),
    body: fc.uint8Array({ maxLength: 400 }),
  });
  const sizes = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(sender, fc.array(frame, { maxLength: 30 }), sizes, (sender, frames, sizes) => {
      const bare = (tag: number) => sender === "client" && tag === CLIENT_TAG.heartbeat;
      const bytes = joined(
        frames.map(({ tag, body }) => bare(tag) ? HEARTBEAT_FRAME : encodeFrame(tag, body)),
      );
      const expected = frames.map(({ tag, body }) => ({
        tag,
        body: bare(tag) ? new Uint8Array(0) : Uint8Array.from(body),
      }));
      assert.deepEqual(readAll(new FrameReader(sender), cut(bytes, sizes)), expected);
    }),
  );
});

Deno.test("random bytes are frames or a named refusal, and hold no memory they did not send", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 90_000 }), { minLength: 1, maxLength: 4 });
  const bytes = fc.uint8Array({ maxLength: 2_000 });
  fc.assert(
    fc.property(
      fc.constantFrom<Sender>("client", "runtime"),
      bytes,
      sizes,
      (sender, bytes, sizes) => {
        const reader = new FrameReader(sender);
        try {
          const frames = readAll(reader, cut(bytes, sizes));
          const taken = frames.reduce((sum, frame) => sum + frame.body.length, 0);
          assert.ok(taken + reader.waiting_bytes <= bytes.length);
        } catch (error) {
          assert.ok(error instanceof FrameError, String(error));
          assert.throws(() => reader.next(), FrameError, "it stays refused");
        }
        assert.ok(reader.capacity_bytes <= IPC_LIMITS.read_buffer_bytes);
      },
    ),
    { numRuns: 400 },
  );
});

Deno.test("8 MiB exactly is taken; one byte more is refused before any of it arrives", () => {
  const body = new Uint8Array(IPC_LIMITS.frame_body_bytes_max).fill(0x5a);
  const reader = new FrameReader("client");
  const [frame] = readAll(reader, cut(encodeFrame(CLIENT_TAG.event_report, body), [65_536]));
  assert.equal(frame?.body.length, body.length);
  assert.ok(
    reader.capacity_bytes <= 2 * IPC_LIMITS.frame_body_bytes_max + IPC_LIMITS.read_buffer_bytes,
  );
  reader.space();
  assert.equal(reader.capacity_bytes, IPC_LIMITS.read_buffer_bytes, "the memory is let go");

  const announced = new FrameReader("client");
  assert.equal(refusal(announced, [2, 0x81, 0x80, 0x80, 0x04]), "oversized");
  assert.ok(announced.capacity_bytes < IPC_LIMITS.read_buffer_bytes);
  assert.throws(() => encodeFrame(2, new Uint8Array(body.length + 1)), RangeError);
});

Deno.test("what is announced holds no memory, only what arrived", () => {
  const reader = new FrameReader("client");
  readAll(reader, [Uint8Array.of(2, 0x80, 0x80, 0x80, 0x04), new Uint8Array(1_000)]);
  assert.ok(reader.capacity_bytes < IPC_LIMITS.read_buffer_bytes);
});

Deno.test("a length past 64 bits is an overflow; a large one within them is oversized", () => {
  const nines = Array<number>(9).fill(0xff);
  assert.equal(refusal(new FrameReader("client"), [1, ...nines, 0x01]), "oversized");
  assert.equal(refusal(new FrameReader("client"), [1, ...nines, 0x02]), "length_overflow");
  assert.equal(refusal(new FrameReader("client"), [1, ...nines, 0xff]), "length_overflow");
  assert.equal(refusal(new FrameReader("client"), [1, ...nines, 0x81]), "length_overflow");
});

Deno.test("a length with idle zero groups is read as the reference reads it", () => {
  const [frame] = readAll(new FrameReader("client"), [Uint8Array.of(1, 0x81, 0x80, 0x00, 9)]);
  assert.deepEqual(frame, { tag: 1, body: Uint8Array.of(9) });
});

Deno.test("tags 0, 6 and 255 are refused in both directions", () => {
  for (const sender of ["client", "runtime"] as const) {
    for (const tag of [0, 6, 0x80, 0xff]) {
      assert.equal(refusal(new FrameReader(sender), [tag, 0]), "unknown_tag");
    }
  }
});

Deno.test("a stranger's frames can be held smaller than a friend's", () => {
  const reader = new FrameReader("client", 16);
  assert.equal(refusal(reader, [5, 17]), "oversized");
  reader.body_bytes_max = 17;
  reader.push(new Uint8Array(17));
  assert.equal(reader.next()?.body.length, 17);
});

Deno.test("a body is the caller's own: later bytes do not change it", () => {
  const reader = new FrameReader("client");
  const [kept] = readAll(reader, [encodeFrame(1, Uint8Array.of(1, 2, 3))]);
  readAll(reader, [encodeFrame(1, new Uint8Array(60_000).fill(7))]);
  assert.deepEqual(kept?.body, Uint8Array.of(1, 2, 3));
  assert.equal(kept?.body.buffer.byteLength, 3, "and it keeps no buffer alive");
});
