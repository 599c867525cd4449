/**
 * One answer, three forms: a table for people, JSON and YAML for programs.
 *
 * @module
 */
import { Document, Scalar, visit } from "yaml";
import type { Terminal } from "../terminal.ts";
import { isPrintable, printable } from "./printable.ts";

/** What an answer is made of. Bigints stay whole numbers in every form. */
export type Data =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Data[]
  | { readonly [key: string]: Data };

/** The form of `--output`. */
export type OutputForm = "table" | "json" | "yaml";

/** An answer: its data, and its table for a given terminal. */
export interface Report {
  readonly data: Data;
  readonly table: (terminal: Terminal) => string;
}

/** Writes a report in the asked form. */
export function writeReport(report: Report, form: OutputForm, terminal: Terminal): void {
  switch (form) {
    case "table":
      terminal.out(report.table(terminal));
      return;
    case "json":
      terminal.out(`${jsonText(report.data, 2)}\n`);
      return;
    case "yaml":
      terminal.out(yamlText(report.data));
      return;
  }
}

/**
 * JSON that no terminal misreads: controls that JSON allows are escaped all the same. A bigint is
 * a number with all its digits (contract `wire` §9 #15).
 *
 * @param indent Spaces a level; 0 is one line.
 */
export function jsonText(data: Data, indent = 0): string {
  return jsonValue(data, indent === 0 ? undefined : { step: indent, level: 0 });
}

interface Layout {
  readonly step: number;
  readonly level: number;
}

function jsonValue(data: Data, layout: Layout | undefined): string {
  if (typeof data === "bigint") return String(data);
  if (typeof data === "string") return printable(JSON.stringify(data));
  if (typeof data !== "object" || data === null) return JSON.stringify(data);
  const inner = layout && { ...layout, level: layout.level + 1 };
  if (Array.isArray(data)) {
    return bracketed("[", data.map((item: Data) => jsonValue(item, inner)), "]", layout);
  }
  const colon = layout === undefined ? ":" : ": ";
  const members = Object.entries(data).map(([key, value]) =>
    printable(JSON.stringify(key)) + colon + jsonValue(value, inner)
  );
  return bracketed("{", members, "}", layout);
}

function bracketed(
  open: string,
  items: readonly string[],
  close: string,
  layout: Layout | undefined,
): string {
  if (layout === undefined || items.length === 0) return open + items.join(",") + close;
  const outer = " ".repeat(layout.step * layout.level);
  const inner = outer + " ".repeat(layout.step);
  return `${open}\n${inner}${items.join(`,\n${inner}`)}\n${outer}${close}`;
}

/** YAML with the same data; strings with unprintable characters are quoted and escaped. */
export function yamlText(data: Data): string {
  const document = new Document(data, { aliasDuplicateObjects: false });
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value === "string" && !isPrintable(node.value)) {
        node.type = Scalar.QUOTE_DOUBLE;
      }
    },
  });
  const text = document.toString({ lineWidth: 0 });
  return text.split("\n").map(printable).join("\n");
}
