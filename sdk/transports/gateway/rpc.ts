/**
 * A unary call to the gateway, whatever carries it.
 *
 * @module
 */
import type {
  DescMessage,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";

/** Status words of a failed call, as Connect writes them; gRPC's in lower case. */
export type RpcCode =
  | "canceled"
  | "unknown"
  | "invalid_argument"
  | "deadline_exceeded"
  | "not_found"
  | "already_exists"
  | "permission_denied"
  | "resource_exhausted"
  | "failed_precondition"
  | "aborted"
  | "out_of_range"
  | "unimplemented"
  | "internal"
  | "unavailable"
  | "data_loss"
  | "unauthenticated";

/** By gRPC's number; OK has none. */
export const RPC_CODES: readonly RpcCode[] = [
  "unknown",
  "canceled",
  "unknown",
  "invalid_argument",
  "deadline_exceeded",
  "not_found",
  "already_exists",
  "permission_denied",
  "resource_exhausted",
  "failed_precondition",
  "aborted",
  "out_of_range",
  "unimplemented",
  "internal",
  "unavailable",
  "data_loss",
  "unauthenticated",
];

/** A call that failed. */
export class RpcError extends Error {
  /** The class's name. */
  override readonly name = "RpcError";
  /** What happened. */
  readonly code: RpcCode;
  /** Takes what it is made of. */
  constructor(code: RpcCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** Terms of a call. */
export interface RpcTerms {
  /** Lower-case names. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Time for the answer, milliseconds. */
  readonly timeout_ms: number;
  /** Ends the call. */
  readonly signal: AbortSignal;
}

/** An answer with what follows it. */
export interface RpcAnswer<O> {
  /** The answer. */
  readonly message: O;
  /** A trailer by its lower-case name. */
  readonly trailer: (name: string) => string | undefined;
}

/** A way to the gateway. */
export interface GatewayRpc {
  /** `grpc` or `http`. */
  readonly transport: string;
  /** One call. @throws {RpcError} when the call fails; the signal's reason when it was aborted. */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    terms: RpcTerms,
  ): Promise<RpcAnswer<MessageShape<O>>>;
  /** Ends every call under way. */
  close(): Promise<void>;
}
