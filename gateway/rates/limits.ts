/**
 * Bounds of keeping rate windows over a restart, with what happens at each.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const RATE_ROOM_LIMITS = {
  /** Changed windows are written this often, in milliseconds. A crash gives back what was taken since. */
  write_interval_ms: 10_000,
  /** Windows written in one go; the rest waits for the next. */
  written_windows: 5_000,
  /** Length of a window's name in UTF-16 units. A longer one, e.g. of an invented tool, is not kept over a restart. */
  name_chars: 1_024,
} as const;
