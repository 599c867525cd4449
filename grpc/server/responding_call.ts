/**
 * The sending half of a call on a server: headers with the first message or before it, messages, and
 * exactly one status at the end.
 *
 * @module
 */

import { Code } from "../code.ts";
import { compress, CompressedMessage } from "../compression.ts";
import { GrpcError } from "../grpc_error.ts";
import type { Metadata } from "../metadata.ts";
import { type CallHead, ServerCallContext } from "./call_context.ts";
import type { CallOwner } from "./call_owner.ts";
import type { RequestProblem } from "./request_body.ts";
import { checkMetadataSize } from "./response.ts";

/** A call as the sender of its response. */
export abstract class RespondingCall extends ServerCallContext {
  protected readonly owner: CallOwner;
  /** The call has its status. */
  protected ended = false;
  #headers_sent = false;
  /** The headers said that messages may be compressed. */
  #may_compress = false;
  #wakeSender: (() => void) | undefined;

  constructor(owner: CallOwner, id: number, head: CallHead) {
    const { initial_window_bytes } = owner.peer;
    super(head, owner.peerInfo, initial_window_bytes, owner.bounds.stream_window_bytes);
    this.id = id;
    this.owner = owner;
  }

  /** Settles the call's state once; frames that tell the peer are the caller's. */
  protected abstract end(code: Code, abort_reason: GrpcError | undefined): void;

  onSent(): void {
    this.#wakeSender?.();
    this.#wakeSender = undefined;
  }

  #encode(message: unknown): Uint8Array {
    const bytes = this.route.encode(message);
    const { send_message_bytes: limit } = this.owner.bounds;
    if (bytes.length <= limit) {
      if (this.owner.hasRoom(bytes.length)) return bytes;
      this.owner.onRefused("pending_bytes");
      const text = "too many bytes wait for the caller to read them: read faster";
      throw new GrpcError(text, Code.RESOURCE_EXHAUSTED);
    }
    throw new GrpcError(
      `the response message is larger than ${limit} bytes`,
      Code.RESOURCE_EXHAUSTED,
    );
  }

  /** Answers with one message and OK. */
  protected reply(message: unknown): void {
    if (this.ended) return;
    try {
      const bytes = this.#encode(message);
      this.#sendHeaders();
      this.#sendMessage(bytes);
    } catch (reason) {
      return this.fail(reason);
    }
    this.finish();
  }

  /** Sends one of several messages; a promise when the handler has to wait. */
  protected send(message: unknown): Promise<void> | undefined {
    const bytes = this.#encode(message);
    this.#sendHeaders();
    if (this.#sendMessage(bytes)) return undefined;
    return new Promise((resolve) => {
      this.#wakeSender = resolve;
    });
  }

  /** Sends a message after the headers; false when it waits. */
  #sendMessage(bytes: Uint8Array): boolean {
    if (this.#may_compress && this.compression === "gzip") {
      const message = compress(bytes, this.owner.bounds.compression_min_bytes);
      if (message instanceof CompressedMessage) {
        return this.owner.sender.sendMessage(this, message.bytes, false, true);
      }
    }
    return this.owner.sender.sendMessage(this, bytes, false, false);
  }

  sendHeaders(): void {
    if (!this.ended) this.#sendHeaders();
  }

  #sendHeaders(): void {
    if (this.#headers_sent) return;
    this.#checkMetadata(this.own_headers);
    this.#headers_sent = true;
    const { accepts } = this.head;
    this.#may_compress = this.compression === "gzip" && accepts === "gzip";
    const encoding = accepts === "gzip" && !this.#may_compress ? "identity" : accepts;
    this.owner.sendHeaders(this, this.own_headers, encoding);
  }

  #checkMetadata(metadata: Metadata | undefined): void {
    if (metadata === undefined) return;
    const { bounds, peer } = this.owner;
    checkMetadataSize(metadata, Math.min(bounds.header_list_bytes, peer.header_list_bytes));
  }

  /** Ends the call with OK. */
  protected finish(): void {
    if (this.ended) return;
    try {
      this.#checkMetadata(this.own_trailers);
      this.#sendHeaders();
    } catch (reason) {
      return this.fail(reason);
    }
    this.end(Code.OK, undefined);
    this.owner.sendOk(this, this.own_trailers);
  }

  /** Ends the call with what was thrown. */
  protected fail(reason: unknown): void {
    if (this.ended) return;
    const error = GrpcError.from(reason);
    if (error !== reason) this.owner.onHandlerFailed(this.method, reason);
    this.failWith(error, false);
  }

  /** @param abort whether the handler is to hear of it: not when it failed of its own accord */
  protected failWith(error: GrpcError, abort: boolean): void {
    if (this.ended) return;
    try {
      if (this.own_headers !== undefined && this.own_headers.size > 0) this.#sendHeaders();
    } catch {
      // Headers too large to send: the status travels without them.
    }
    const only = !this.#headers_sent;
    this.#headers_sent = true;
    this.end(error.code, abort ? error : undefined);
    // A message still waiting for the window goes first, unless nobody will ever open it.
    this.owner.sendError(this, error, this.own_trailers, only);
  }

  /** Ends the call because its request cannot be served; the handler, if it runs, hears of it. */
  refuse({ refusal, code, text }: RequestProblem): void {
    if (this.ended) return;
    this.owner.onRefused(refusal);
    this.failWith(new GrpcError(text, code), true);
  }
}
