/**
 * Field and value, one a line: the form of a single thing.
 *
 * @module
 */
import type { Terminal } from "../terminal.ts";
import { painter, type Tone, toneOf } from "./color.ts";
import { printable } from "./printable.ts";
import { cellWidth, MISSING } from "./table.ts";

/** One line; `tone` overrides the tone that the value's word has. */
export interface Field {
  readonly name: string;
  readonly value: string;
  readonly tone?: Tone;
}

/** Renders fields with their values aligned. Values are made printable here. */
export function fields(list: readonly Field[], terminal: Terminal): string {
  const paint = painter(terminal.colors);
  const width = Math.max(0, ...list.map((field) => cellWidth(field.name)));
  return list.map(({ name, value, tone }) => {
    const gap = " ".repeat(width - cellWidth(name) + 2);
    const shown = value === "" ? MISSING : printable(value);
    return `${paint("quiet", name)}${gap}${paint(tone ?? toneOf(shown), shown)}\n`;
  }).join("");
}
