/**
 * The one error class of this module: a gRPC status that was not OK.
 *
 * @module
 */

import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { type Any, anyIs, anyPack } from "@bufbuild/protobuf/wkt";
import { Code, codeName } from "./code.ts";
import { Metadata } from "./metadata.ts";

/** What a peer is told when a handler fails in a way it did not choose to describe. */
const NEUTRAL_TEXT = "internal error";
const NO_DETAILS: readonly Any[] = [];

/** A detail of an error as a handler gives it: a message with its schema, or one packed already. */
export type ErrorDetail =
  | { readonly desc: DescMessage; readonly value: MessageInitShape<DescMessage> }
  | Any;

/** What a GrpcError holds besides its message and code. */
export interface GrpcErrorOptions {
  /** Trailing metadata. */
  readonly metadata?: Metadata;
  /**
   * Messages that say more, for programs to read; they travel in `grpc-status-details-bin`. The
   * standard ones are in `error_details.ts`.
   */
  readonly details?: readonly ErrorDetail[];
  /** What made the call fail; never travels. */
  readonly cause?: unknown;
}

/**
 * A call that ended with a status other than OK. Thrown by clients, and thrown by handlers and
 * interceptors to refuse: message, code, details and metadata then travel to the peer, `cause`
 * never does. A handler that lets the error of a call of its own pass hands these on, too.
 */
export class GrpcError extends Error {
  override readonly name = "GrpcError";
  readonly code: Code;
  /**
   * What else the status says: packed messages, read with {@linkcode findDetails}. As a server sends
   * them they count against the bound on metadata (`header_list_bytes`): past it they are left out.
   */
  readonly details: readonly Any[];
  #metadata: Metadata | undefined;

  /** @throws TypeError when a detail is not a message of its schema */
  constructor(message: string, code: Code, options: GrpcErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.details = options.details === undefined ? NO_DETAILS : options.details.map(packed);
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

  /** The details of one message type, in order; those that do not decode are left out. */
  findDetails<Desc extends DescMessage>(desc: Desc): MessageShape<Desc>[] {
    const found: MessageShape<Desc>[] = [];
    for (const detail of this.details) {
      try {
        if (anyIs(detail, desc)) found.push(fromBinary(desc, detail.value));
      } catch {
        // A peer's bytes: what is no such message is no such detail.
      }
    }
    return found;
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

function packed(detail: ErrorDetail): Any {
  if (!("desc" in detail)) return detail;
  try {
    return anyPack(detail.desc, create(detail.desc, detail.value));
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : "unknown reason";
    throw new TypeError(`detail is not a \`${detail.desc.typeName}\`: ${text}`, { cause });
  }
}
