/**
 * Cells of a CSV export (RFC 4180) that no spreadsheet takes for a formula.
 *
 * @module
 */

/**
 * Starts of a cell that spreadsheets run as a formula, full-width forms and leading white space
 * included; agents choose some of the texts.
 */
const FORMULA = /^[\s\u00a0\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/;

/** One cell, always quoted; an apostrophe before what could be a formula makes it a text. */
export function csvCell(text: string): string {
  const well_formed = text.toWellFormed().replaceAll("\u0000", "\ufffd");
  const safe = FORMULA.test(well_formed) ? `'${well_formed}` : well_formed;
  return `"${safe.replaceAll('"', '""')}"`;
}

/** One line with its end. */
export function csvLine(cells: readonly string[]): string {
  return `${cells.map(csvCell).join(",")}\r\n`;
}
