/**
 * Why something about secrets was refused. No text here ever holds a value or a key.
 *
 * @module
 */

/** Names of refusals. */
export type SecretFailure =
  | "invalid"
  | "already_registered"
  | "not_found"
  | "unknown_placeholder"
  | "tool_not_allowed"
  | "unavailable"
  | "limit_reached"
  | "refused"
  | "busy"
  | "audit_unavailable"
  | "storage_failed";

/** A refusal. Nothing changed. */
export class SecretError extends Error {
  override readonly name = "SecretError";
  readonly code: SecretFailure;

  constructor(code: SecretFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A key source that gives no keys; the gateway does not start over it. */
export class KeySourceError extends Error {
  override readonly name = "KeySourceError";
}

/** A stored record that cannot be opened: under which of the two conditions. */
export class SealError extends Error {
  override readonly name = "SealError";
  readonly code: "wrong_key" | "damaged";

  constructor(code: SealError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
