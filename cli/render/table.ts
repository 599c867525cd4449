/**
 * Tables: boxed on a terminal, plainly aligned columns when piped.
 *
 * @module
 */
import type { Terminal } from "../terminal.ts";
import { type Paint, painter, type Tone, toneOf } from "./color.ts";
import { printable } from "./printable.ts";

/** A column; `toned` columns colour their words by meaning. */
export interface Column {
  readonly title: string;
  readonly toned?: boolean;
  /** The tone of a cell, where it is no word's. */
  readonly tone?: (cell: string) => Tone | undefined;
  readonly align?: "right";
}

/** Shown for a value that is not known. */
export const MISSING = "-";
/** A column is never clipped below this many cells. */
const COLUMN_CELLS_MIN = 8;

/** Renders rows under titles. Cells are texts from elsewhere and are made printable here. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  terminal: Terminal,
): string {
  const cells = rows.map((row) =>
    columns.map((_, index) => {
      const cell = printable(row[index] ?? "");
      return cell === "" ? MISSING : cell;
    })
  );
  const natural = columns.map((column, index) =>
    Math.max(cellWidth(column.title), ...cells.map((row) => cellWidth(row[index] ?? "")))
  );
  const boxed = terminal.interactive;
  const widths = terminal.width === undefined ? natural : fit(natural, terminal.width, boxed);
  const paint = painter(terminal.colors);
  const head = columns.map((column, index) => {
    return paint("strong", pad(column.title, widths[index] ?? 0, column.align));
  });
  const body = cells.map((row) =>
    columns.map((column, index) => paintCell(paint, column, row[index] ?? "", widths[index] ?? 0))
  );
  return boxed ? boxedLines(head, body, widths) : plainLines(head, body);
}

function paintCell(paint: Paint, column: Column, cell: string, width: number): string {
  const tone = column.toned === true ? toneOf(cell) : column.tone?.(cell);
  return paint(tone, pad(clip(cell, width), width, column.align));
}

/** Takes cells from the widest columns until the table fits or no column can give more. */
function fit(natural: readonly number[], terminal_width: number, boxed: boolean): number[] {
  const widths = [...natural];
  const frame = boxed ? 3 * widths.length + 1 : 2 * (widths.length - 1);
  let excess = widths.reduce((sum, width) => sum + width, frame) - terminal_width;
  while (excess > 0) {
    const widest = Math.max(...widths);
    if (widest <= COLUMN_CELLS_MIN) break;
    widths[widths.indexOf(widest)] = widest - 1;
    excess--;
  }
  return widths;
}

function boxedLines(
  head: readonly string[],
  body: readonly (readonly string[])[],
  widths: readonly number[],
): string {
  const rule = (left: string, middle: string, right: string) =>
    left + widths.map((width) => "─".repeat(width + 2)).join(middle) + right;
  const line = (cells: readonly string[]) => `│ ${cells.join(" │ ")} │`;
  return [
    rule("┌", "┬", "┐"),
    line(head),
    rule("├", "┼", "┤"),
    ...body.map(line),
    rule("└", "┴", "┘"),
    "",
  ].join("\n");
}

function plainLines(head: readonly string[], body: readonly (readonly string[])[]): string {
  return [head, ...body].map((cells) => `${cells.join("  ").trimEnd()}\n`).join("");
}

function pad(text: string, width: number, align: Column["align"]): string {
  const gap = " ".repeat(Math.max(0, width - cellWidth(text)));
  return align === "right" ? gap + text : text + gap;
}

function clip(text: string, width: number): string {
  if (cellWidth(text) <= width) return text;
  let clipped = "";
  let used = 0;
  for (const character of text) {
    const next = used + characterWidth(character);
    if (next > width - 1) break;
    clipped += character;
    used = next;
  }
  return `${clipped}…`;
}

/** Terminal cells of a printable text. */
export function cellWidth(text: string): number {
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u;
const COMBINING = /\p{Mn}|\p{Me}/u;

function characterWidth(character: string): number {
  if (character < "\u0300") return 1;
  if (COMBINING.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}
