import assert from "node:assert/strict";
import { BodyReader, frameBody } from "./mod.ts";

const FOLDER = new URL("../../tests/vectors/ipc_framing/", import.meta.url);

interface FramePair {
  readonly input_hex: string;
  readonly framed_hex: string;
}

type Vector =
  | { readonly case_type?: undefined; input_hex: string; readonly expected_framed_hex: string }
  | {
    readonly case_type: "stream_split";
    readonly full_framed_hex: string;
    readonly chunks: readonly { readonly offset: number; readonly length: number }[];
    readonly expected_decoded_hex: string;
  }
  | {
    readonly case_type: "consecutive_frames" | "multi_message_stream";
    readonly frames: readonly FramePair[];
    readonly concatenated_framed_hex: string;
  };

function bodiesOf(chunks: readonly Uint8Array[]): string[] {
  const reader = new BodyReader();
  const bodies: string[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let body = reader.next(); body !== undefined; body = reader.next()) {
      bodies.push(body.toHex());
    }
  }
  return bodies;
}

/** Every byte alone: the hardest cut of them all. */
function bytewise(hex: string): Uint8Array[] {
  return [...Uint8Array.fromHex(hex)].map((byte) => Uint8Array.of(byte));
}

function check(vector: Vector): void {
  switch (vector.case_type) {
    case undefined:
      assert.equal(
        frameBody(Uint8Array.fromHex(vector.input_hex)).toHex(),
        vector.expected_framed_hex,
      );
      assert.deepEqual(bodiesOf(bytewise(vector.expected_framed_hex)), [vector.input_hex]);
      return;
    case "stream_split": {
      const full = Uint8Array.fromHex(vector.full_framed_hex);
      const chunks = vector.chunks.map(({ offset, length }) => full.slice(offset, offset + length));
      assert.deepEqual(bodiesOf(chunks), [vector.expected_decoded_hex]);
      return;
    }
    case "consecutive_frames":
    case "multi_message_stream": {
      const whole = vector.frames.map((frame) =>
        frameBody(Uint8Array.fromHex(frame.input_hex)).toHex()
      ).join("");
      assert.equal(whole, vector.concatenated_framed_hex);
      const inputs = vector.frames.map((frame) => frame.input_hex);
      assert.deepEqual(bodiesOf([Uint8Array.fromHex(whole)]), inputs);
      assert.deepEqual(bodiesOf(bytewise(whole)), inputs);
      return;
    }
    default:
      assert.fail("a vector of an unknown kind");
  }
}

const NAMES = [...Deno.readDirSync(FOLDER)].map((entry) => entry.name).sort();

Deno.test("all ten vectors of ipc_framing are there", () => assert.equal(NAMES.length, 10));

for (const name of NAMES) {
  Deno.test(`ipc_framing/${name}: the frame is exactly these bytes, however it is cut`, () => {
    check(JSON.parse(Deno.readTextFileSync(new URL(name, FOLDER))));
  });
}
