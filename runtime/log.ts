/**
 * What the runtime says of itself: one JSON object a line. Texts and fields are the program's own
 * words, counts and addresses; nothing that an agent sent goes into them.
 *
 * @module
 */

/** Ascending gravity. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** Levels in ascending order. */
export const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** Values of a line beside its text. */
export type LogFields = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** Takes one line. */
export type Log = (level: LogLevel, message: string, fields?: LogFields) => void;

/** For tests, and for rooms that nobody listens to. */
export const SILENT_LOG: Log = (): void => {};

/**
 * Writes lines of a level and above.
 *
 * @param least Lines below are dropped.
 * @param now_ms Wall clock, for the line's `timestamp`.
 * @param write Takes one whole line, without its end.
 */
export function jsonLog(least: LogLevel, now_ms: () => number, write: (line: string) => void): Log {
  const from = LOG_LEVELS.indexOf(least);
  return (level, message, fields) => {
    if (LOG_LEVELS.indexOf(level) < from) return;
    const timestamp = new Date(now_ms()).toISOString();
    write(JSON.stringify({ timestamp, level, message, ...fields }));
  };
}
