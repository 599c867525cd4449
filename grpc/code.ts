/**
 * The seventeen gRPC status codes (gRPC core documentation, "Status codes and their use in gRPC").
 *
 * @module
 */

/** Status codes by name; the numbers are the wire values of `grpc-status`. */
export const Code = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

/** One of the seventeen status codes. */
export type Code = (typeof Code)[keyof typeof Code];

const NAMES: readonly string[] = Object.keys(Code);

/** The upper-case name of a status code, such as `INVALID_ARGUMENT`; `CODE_99` for a stranger. */
export function codeName(code: number): string {
  return NAMES[code] ?? `CODE_${code}`;
}

/** Whether a number is one of the seventeen codes. */
export function isCode(code: number): code is Code {
  return Number.isInteger(code) && code >= 0 && code <= 16;
}
