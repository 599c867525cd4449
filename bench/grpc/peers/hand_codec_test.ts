import assert from "node:assert/strict";
import fc from "fast-check";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { EchoMessageSchema } from "../gen/echo_pb.ts";
import { decodeEcho, encodeEcho } from "./hand_codec.ts";

Deno.test("the hand codec that is measured reads and writes what protobuf-es does", () => {
  const message = fc.record({
    text: fc.string({ unit: "grapheme", maxLength: 200 }),
    payload: fc.uint8Array({ maxLength: 300 }),
    count: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  });
  fc.assert(fc.property(message, (fields) => {
    const bytes = toBinary(EchoMessageSchema, create(EchoMessageSchema, fields));
    assert.deepEqual(encodeEcho(fromBinary(EchoMessageSchema, bytes)), bytes);
    assert.deepEqual(toBinary(EchoMessageSchema, decodeEcho(bytes)), bytes);
  }));
});
