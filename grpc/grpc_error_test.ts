import assert from "node:assert/strict";
import { Code, codeName, GrpcError, Metadata } from "./mod.ts";

Deno.test("GrpcError.from keeps a status, and makes one of anything else without its text", () => {
  const own = new GrpcError("text", Code.ABORTED, { metadata: new Metadata().set("a", "1") });
  assert.equal(GrpcError.from(own), own);
  const secret = new Error("password is hunter2");
  for (const reason of [secret, "password is hunter2", undefined, null, { code: 3 }, 42]) {
    const error = GrpcError.from(reason);
    assert.equal(error.code, Code.INTERNAL);
    assert.equal(error.message, "internal error");
    assert.equal(error.cause, reason);
  }
  assert.equal(GrpcError.from(new DOMException("x", "AbortError")).code, Code.CANCELLED);
  assert.equal(GrpcError.from(new DOMException("x", "TimeoutError")).code, Code.DEADLINE_EXCEEDED);
});

Deno.test("codes have the names and numbers of the gRPC specification", () => {
  assert.equal(Object.keys(Code).length, 17);
  for (const [name, code] of Object.entries(Code)) assert.equal(codeName(code), name);
  assert.equal(codeName(99), "CODE_99");
});
