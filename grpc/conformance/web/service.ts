/**
 * The echo service with the few whims the web cases ask for by their text.
 *
 * @module
 */

import { create } from "@bufbuild/protobuf";
import { type Echo, EchoMessageSchema } from "../../gen/echo_pb.ts";
import { type CallContext, Code, GrpcError, Metadata, type ServiceHandlers } from "../../mod.ts";

/** The handlers; `Absent` has none. */
export const HANDLERS: Partial<ServiceHandlers<typeof Echo>> = {
  unary: async (request, context) => {
    if (request.text === "fail") throw failure();
    if (request.text === "wait") await aborted(context);
    if (request.text === "metadata") {
      context.headers.set("x-answer", context.metadata.get("x-ask") ?? "");
      context.trailers.setBinary("x-tail-bin", new Uint8Array([1, 2, 3]));
    }
    return request;
  },
  look: (request) => request,
  expand: async function* (request, context) {
    for (let count = 0; count < request.count; count++) yield create(EchoMessageSchema, { count });
    if (request.text === "fail") throw failure();
    if (request.text !== "hang") return;
    yield request;
    await aborted(context);
  },
};

function failure(): GrpcError {
  return new GrpcError("not ä now", Code.FAILED_PRECONDITION, {
    metadata: new Metadata([["x-tail", "of the error"]]),
    details: [{ desc: EchoMessageSchema, value: { text: "detail" } }],
  });
}

function aborted({ signal }: CallContext): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve());
  });
}
