import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { customFields, Metadata } from "./metadata.ts";

Deno.test("metadata keys are one case, keep their order, and may repeat", () => {
  const metadata = new Metadata().set("X-A", "1").append("x-b", "2").append("x-A", "3");
  assert.equal(metadata.get("x-a"), "1");
  assert.deepEqual(metadata.getAll("X-a"), ["1", "3"]);
  assert.equal(metadata.size, 3);
  metadata.set("x-a", "4");
  assert.deepEqual([...metadata.entries()], [["x-b", "2"], ["x-a", "4"]]);
  assert.equal(metadata.delete("X-B").get("x-b"), undefined);
});

Deno.test("metadata refuses what no header can carry, and never shows the value", () => {
  const metadata = new Metadata();
  for (const key of ["", "a b", "a\n", ":path", "grpc-status", "te", "content-type", "x-bin"]) {
    assert.throws(() => metadata.set(key, "v"), TypeError, key);
  }
  for (const value of ["a\r\nb", "a\0", "ü", "\x7f"]) {
    assert.throws(() => metadata.set("x-token", value), (reason: unknown) => {
      assert.ok(reason instanceof TypeError);
      return !reason.message.includes(value);
    });
  }
  assert.throws(() => metadata.setBinary("x-text", new Uint8Array()), TypeError);
  assert.equal(metadata.size, 0);
});

Deno.test("a binary key may repeat, in one field or in several", () => {
  const values = [Uint8Array.of(0), new Uint8Array(0), Uint8Array.of(1, 255)];
  const metadata = new Metadata();
  for (const value of values) metadata.appendBinary("X-Many-Bin", value);
  assert.equal(metadata.size, 3);
  assert.deepEqual(metadata.getAllBinary("x-many-bin"), values);
  const joined = Metadata.fromFields(["x-many-bin", "AA==,,Af8"]);
  assert.deepEqual(joined.getAllBinary("x-many-bin"), values);
  assert.deepEqual(metadata.getAllBinary("x-none-bin"), []);
  assert.deepEqual(new Metadata().set("x-text", "AA").getAllBinary("x-text"), []);
  assert.throws(() => metadata.appendBinary("x-text", new Uint8Array()), TypeError);
});

Deno.test("whatever bytes are set, the same bytes are read", () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => {
    const metadata = new Metadata().setBinary("x-bin", bytes);
    assert.deepEqual(metadata.getBinary("x-bin"), bytes);
    assert.deepEqual([...metadata.entries()], [["x-bin", bytes]]);
    assert.deepEqual(decodeBase64(encodeBase64(bytes)), bytes);
    assert.ok(!encodeBase64(bytes).includes("="));
  }));
});

Deno.test("base64 is read with and without padding, and nothing else is", () => {
  assert.deepEqual(decodeBase64("AA=="), Uint8Array.of(0));
  assert.deepEqual(decodeBase64("AA"), Uint8Array.of(0));
  for (const text of ["A", "A===", "A-_=", "AA=A", " AA"]) {
    assert.equal(decodeBase64(text), undefined, text);
  }
});

Deno.test("binary values joined by commas are several", () => {
  const metadata = Metadata.fromFields(["x-bin", "AA==, AQ"]);
  assert.deepEqual([...metadata.entries()], [
    ["x-bin", Uint8Array.of(0)],
    ["x-bin", Uint8Array.of(1)],
  ]);
});

Deno.test("received fields are shared until written, and never changed", () => {
  const fields = ["x-a", "1"];
  const first = Metadata.fromFields(fields);
  const second = Metadata.fromFields(fields);
  first.append("x-b", "2").delete("x-a");
  assert.deepEqual(fields, ["x-a", "1"]);
  assert.equal(second.get("x-a"), "1");
});

Deno.test("the protocol's own fields are not metadata", () => {
  const fields = [":path", "/", "te", "trailers", "grpc-timeout", "1S", "x-a", "1"];
  assert.deepEqual(customFields(fields), { ok: true, fields: ["x-a", "1"] });
  assert.deepEqual(customFields(["a-bin", "!"]), { ok: false, name: "a-bin" });
});
