/**
 * What a document keeps of a value that was read: the value and its place.
 *
 * @module
 */
import type { Located } from "../position.ts";

/** The value with its place, without what only the loader needs. */
export function plain<T>(read: Located<T>): Located<T> {
  return { value: read.value, line: read.line, column: read.column };
}
