/**
 * The one error class of this module: a gRPC status that was not OK.
 *
 * @module
 */

import { Code, codeName } from "./code.ts";
import { Metadata } from "./metadata.ts";

/** What a peer is told when a handler fails in a way it did not choose to describe. */
const NEUTRAL_TEXT = "internal error";

/**
 * A call that ended with a status other than OK. Thrown by clients, and thrown by handlers and
 * interceptors to refuse: message, code and metadata then travel to the peer, `cause` never does.
 */
export class GrpcError extends Error {
  override readonly name = "GrpcError";
  readonly code: Code;
  #metadata: Metadata | undefined;

  constructor(
    message: string,
    code: Code,
    options: { metadata?: Metadata; cause?: unknown } = {},
  ) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.#metadata = options.metadata;
  }

  /** Trailing metadata of the failed call. */
  get metadata(): Metadata {
    return this.#metadata ??= new Metadata();
  }

  /** Whether there is any metadata, without creating an empty one. */
  get hasMetadata(): boolean {
    return this.#metadata !== undefined && this.#metadata.size > 0;
  }

  override toString(): string {
    return `GrpcError: ${codeName(this.code)}: ${this.message}`;
  }

  /**
   * Turns anything thrown into a GrpcError; the only catch-all. A GrpcError stays itself, an
   * `AbortError` becomes CANCELLED, a `TimeoutError` DEADLINE_EXCEEDED; everything else becomes
   * INTERNAL with a neutral text, because the text of a stranger may hold secrets. The original is
   * kept as `cause`.
   */
  static from(reason: unknown): GrpcError {
    if (reason instanceof GrpcError) return reason;
    if (reason instanceof Error) {
      if (reason.name === "AbortError") {
        return new GrpcError("the call was cancelled", Code.CANCELLED, { cause: reason });
      }
      if (reason.name === "TimeoutError") {
        return new GrpcError("the deadline passed", Code.DEADLINE_EXCEEDED, { cause: reason });
      }
    }
    return new GrpcError(NEUTRAL_TEXT, Code.INTERNAL, { cause: reason });
  }
}
