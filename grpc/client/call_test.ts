import assert from "node:assert/strict";
import { Code } from "../code.ts";
import { GrpcError } from "../grpc_error.ts";
import { ErrorCode } from "../http2/frames.ts";
import { ClientCall } from "./call.ts";

/** A call that no connection ever takes. */
function callWith(timeout_ms: number): ClientCall {
  return new ClientCall({
    path: "/grpc.test.v1.Echo/Unary",
    request: undefined,
    compression: "identity",
    compression_min_bytes: 1024,
    options: { timeout_ms },
    receive_message_bytes: 1024,
    retry: undefined,
  }, { place: () => {}, placeAfter: () => {}, withdraw: () => {} });
}

async function codeOf(call: ClientCall): Promise<Code> {
  return await call.response().then(
    () => Code.OK,
    (reason: unknown) => GrpcError.from(reason).code,
  );
}

Deno.test("a server that cancels at the deadline, before our timer fires, tells of the deadline", async () => {
  const late = callWith(5);
  // No timer fires while nothing else may run.
  while (late.deadline_ms === undefined || Date.now() < late.deadline_ms);
  late.onAborted("peer", ErrorCode.CANCEL, "");
  assert.equal(await codeOf(late), Code.DEADLINE_EXCEEDED);

  const told = callWith(5);
  while (told.deadline_ms === undefined || Date.now() < told.deadline_ms);
  told.onHead(
    [":status", "200", "content-type", "application/grpc", "grpc-status", "1"],
    true,
  );
  assert.equal(await codeOf(told), Code.DEADLINE_EXCEEDED);

  const early = callWith(60_000);
  early.onAborted("peer", ErrorCode.CANCEL, "");
  assert.equal(await codeOf(early), Code.CANCELLED);
});
