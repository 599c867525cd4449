/**
 * What every command gets: the flags of the command line, the terminal, and a way to be stopped.
 *
 * @module
 */
import type { GlobalFlags } from "./arguments/parse.ts";
import type { Input } from "./input.ts";
import type { Terminal } from "./terminal.ts";

/** One run of one command. */
export interface Session {
  readonly flags: GlobalFlags;
  readonly terminal: Terminal;
  readonly input: Input;
  /** Aborts at Ctrl-C. */
  readonly signal: AbortSignal;
  /** Milliseconds since the Unix epoch. */
  readonly now_ms: () => number;
}
