/**
 * The one error class of the registry.
 *
 * @module
 */

/** Why the registry refused a change. */
export type RegistryFailure =
  /** A field is too long or holds what cannot be kept. */
  | "invalid_field"
  /** Organisation or team holds a control character. */
  | "control_character"
  | "parent_not_registered"
  | "depth_exceeded"
  | "lineage_loop"
  | "already_exists"
  | "not_found"
  /** Suspension of an agent that is not active, resumption of one that is not suspended. */
  | "wrong_status"
  /** A token that was to be replaced is not the live one. */
  | "token_refused"
  | "limit_reached"
  | "busy"
  /** The change could not be recorded in the audit log and was not made. */
  | "audit_unavailable"
  /** The change could not be made durable and was not made. */
  | "storage_failed"
  /** The stored registry contradicts itself. */
  | "inconsistent";

/** A refused change. The message is lower case, names the field and what was expected. */
export class RegistryError extends Error {
  override readonly name = "RegistryError";
  readonly code: RegistryFailure;

  constructor(code: RegistryFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
