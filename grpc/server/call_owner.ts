/**
 * What a call asks of whatever carries it.
 *
 * @module
 */

import type { Bounds, Refusal } from "../bounds.ts";
import type { Code } from "../code.ts";
import type { Deadlines } from "../deadlines.ts";
import type { GrpcError } from "../grpc_error.ts";
import type { ErrorCode } from "../http2/frames.ts";
import type { Metadata } from "../metadata.ts";
import type { Peer } from "../peer.ts";
import type { ServerCall } from "./call.ts";
import type { RequestBuffers } from "./request_body.ts";
import type { ResponseEncoding } from "./response.ts";
import type { RespondingCall } from "./responding_call.ts";

/**
 * What carries a call: a connection of ours, or one exchange of a web handler. The call decides;
 * its owner turns the decisions into what its protocol sends.
 */
export interface CallOwner extends RequestBuffers {
  readonly bounds: Bounds;
  readonly peerInfo: Peer;
  /** Where calls wait for their deadlines. */
  readonly deadlines: Deadlines;
  /** What the peer announced; `header_list_bytes` is the largest header list it reads. */
  readonly peer: { readonly initial_window_bytes: number; readonly header_list_bytes: number };
  readonly sender: {
    /** Sends one message; false when it waits, and `call.onSent` is called when it has left. */
    sendMessage(
      call: RespondingCall,
      bytes: Uint8Array,
      end_stream: boolean,
      compressed: boolean,
    ): boolean;
    /** Drops what the call still had to send. */
    forget(call: RespondingCall): void;
  };
  /** Whether so many bytes more may wait for the peer. */
  hasRoom(bytes: number): boolean;
  /**
   * Sends the response's headers, before any message; not called for a response that has none.
   * Messages are compressed only after `gzip` was said, which only requests that accept it cause.
   */
  sendHeaders(
    call: RespondingCall,
    metadata: Metadata | undefined,
    encoding: ResponseEncoding,
  ): void;
  /** Ends the response with OK; headers were sent. */
  sendOk(call: RespondingCall, trailers: Metadata | undefined): void;
  /** Ends the response with an error; `only` when no headers were sent. */
  sendError(
    call: RespondingCall,
    error: GrpcError,
    trailers: Metadata | undefined,
    only: boolean,
  ): void;
  /** Lets the peer send so many bytes more. */
  giveCredit(call: ServerCall, bytes: number): void;
  /** Ends a call whose peer broke the protocol, without an answer. */
  violate(call: ServerCall, code: ErrorCode, refusal: Refusal): void;
  onRefused(refusal: Refusal): void;
  onCallEnded(call: ServerCall, code: Code): void;
  /** An asynchronous handler of a call began or ended. */
  onHandlerStarted(call: ServerCall): void;
  onHandlerSettled(call: ServerCall): void;
  onHandlerFailed(method: string, reason: unknown): void;
}
