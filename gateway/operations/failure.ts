/**
 * Why an order was refused.
 *
 * @module
 */

/** Names of refusals. */
export type OperationFailure =
  | "not_found"
  | "invalid_transition"
  | "ambiguous"
  | "limit_reached"
  | "busy"
  | "audit_unavailable"
  | "storage_failed";

/** A refused order. Unless the text says otherwise, nothing changed. */
export class OperationError extends Error {
  override readonly name = "OperationError";
  readonly code: OperationFailure;

  constructor(code: OperationFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
