/**
 * Places inside a YAML scalar: an offset of the resolved value, back in the text of the file.
 * Exact for plain and quoted scalars on one line and for literal blocks; folded and multi-line
 * scalars answer with their first character, because folding does not keep offsets.
 *
 * @module
 */

/** How a scalar was written; the names are those of the YAML library. */
export type ScalarStyle = "PLAIN" | "QUOTE_SINGLE" | "QUOTE_DOUBLE" | "BLOCK_LITERAL" | "OTHER";

/**
 * Offset into the file of an offset into the value.
 *
 * @param raw The scalar as written, quotes and block header included.
 * @param start Offset of `raw` in the file.
 * @param value The resolved text.
 * @param offset Offset into `value`; its end is allowed.
 */
export function offsetInSource(
  style: ScalarStyle,
  raw: string,
  start: number,
  value: string,
  offset: number,
): number {
  if (style === "BLOCK_LITERAL") return start + (offsetInBlock(raw, value, offset) ?? 0);
  if (raw.includes("\n")) return start;
  switch (style) {
    case "PLAIN":
      return start + offset;
    case "QUOTE_SINGLE":
      return start +
        offsetInQuotes(raw, offset, (at) => raw.startsWith("''", at) ? [2, 1] : [1, 1]);
    case "QUOTE_DOUBLE":
      return start + offsetInQuotes(raw, offset, (at) => escapeAt(raw, at));
    case "OTHER":
      return start;
  }
}

/** Walks a quoted text; `step` answers how many units are written and how many they mean. */
function offsetInQuotes(
  raw: string,
  offset: number,
  step: (at: number) => readonly [written: number, meant: number],
): number {
  let at = 1;
  let seen = 0;
  while (seen < offset && at < raw.length - 1) {
    const [written, meant] = step(at);
    at += written;
    seen += meant;
  }
  return at;
}

function escapeAt(raw: string, at: number): readonly [number, number] {
  if (raw[at] !== "\\") return [1, 1];
  switch (raw[at + 1]) {
    case "x":
      return [4, 1];
    case "u":
      return [6, 1];
    case "U":
      return [10, Number.parseInt(raw.slice(at + 2, at + 10), 16) > 0xffff ? 2 : 1];
    default:
      return [2, 1];
  }
}

/** Literal blocks keep lines apart: find the line, then skip its indentation. */
function offsetInBlock(raw: string, value: string, offset: number): number | undefined {
  const before = value.slice(0, offset);
  const line = before.split("\n").length - 1;
  const column = offset - (before.lastIndexOf("\n") + 1);
  const value_line = value.split("\n")[line] ?? "";
  let at = raw.indexOf("\n") + 1;
  for (let index = 0; index < line && at > 0; index++) at = raw.indexOf("\n", at) + 1;
  if (at === 0) return undefined;
  const end = raw.indexOf("\n", at);
  const raw_line = raw.slice(at, end === -1 ? raw.length : end).replace(/\r$/, "");
  return raw_line.endsWith(value_line)
    ? at + raw_line.length - value_line.length + column
    : undefined;
}
