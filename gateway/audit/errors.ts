/**
 * How the audit log says no.
 *
 * @module
 */

/** The log cannot record now: whatever needed the entry must not be answered (design law 2). */
export class AuditUnavailableError extends Error {
  override readonly name = "AuditUnavailableError";
}

/** The log cannot be opened; the message says what to do next. */
export class AuditOpenError extends Error {
  override readonly name: string = "AuditOpenError";
}

/** The stored log contradicts itself or its signed checkpoint. Nothing was changed on disk. */
export class AuditTamperError extends AuditOpenError {
  override readonly name = "AuditTamperError";
  /** @param index First entry that is wrong or missing, from 0; absent when it cannot be known. */
  constructor(message: string, readonly index?: number) {
    super(message);
  }
}

/** Text of an unknown failure. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
