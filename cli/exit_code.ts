/**
 * What a finished command says to the shell; documented in `aasm --help`.
 *
 * @module
 */

/** Exit codes. */
export const ExitCode = {
  OK: 0,
  FAILURE: 1,
  USAGE: 2,
  DENIED: 3,
  PENDING: 4,
  UNREACHABLE: 5,
  VERIFICATION_FAILED: 6,
  /** Differences or findings, where the caller asked for none. */
  FOUND: 7,
} as const;

/** One exit code. */
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** A command that could not do what it was asked: one sentence, a next step, an exit code. */
export class CommandError extends Error {
  override readonly name = "CommandError";

  /**
   * @param message Lower case, no full stop: what failed, why, the received value in backticks.
   * @param exit_code What the shell gets.
   * @param next_step What to do about it, an imperative.
   */
  constructor(
    message: string,
    readonly exit_code: ExitCode = ExitCode.FAILURE,
    readonly next_step?: string,
  ) {
    super(message);
  }
}
