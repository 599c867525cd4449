import assert from "node:assert/strict";
import { FrameType } from "./frames.ts";
import { Output } from "./output.ts";

Deno.test("a connection that sent much gives its memory back once it is idle", async () => {
  const transport = {
    read: () => Promise.resolve(null),
    write: (bytes: Uint8Array) => Promise.resolve(bytes.length),
    closeWrite: () => Promise.resolve(),
    close: () => {},
  };
  const output = new Output(transport, () => {}, () => assert.fail());
  const first_bytes = output.bytes.length;
  for (let count = 0; count < 40; count++) {
    output.frame(FrameType.DATA, 0, 1, new Uint8Array(16_384));
  }
  await output.whenIdle();
  output.frame(FrameType.DATA, 0, 1, new Uint8Array(16_384));
  output.trim();
  assert.ok(output.bytes.length > first_bytes, "grown buffers are used again");
  await output.whenIdle();
  output.trim();
  output.trim();
  assert.equal(output.bytes.length, first_bytes);
});
