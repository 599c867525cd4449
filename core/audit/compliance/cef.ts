/**
 * Common Event Format, version 0: one line an event, with the escapes of each part.
 *
 * @module
 */

/** What every line of an export has in common. */
export interface CefDevice {
  readonly vendor: string;
  readonly product: string;
  readonly version: string;
}

/** One event. Severity 0 to 10. */
export interface CefEvent {
  readonly class_id: string;
  readonly name: string;
  readonly severity: number;
  /** Keys are letters and digits; an empty value is left out. */
  readonly extension: readonly (readonly [key: string, value: string])[];
}

/** A field of the header: backslash and pipe are escaped, there is no form for a line break. */
export function cefHeader(text: string): string {
  return printable(text).replaceAll(/[\r\n]+/g, " ").replaceAll(/[\\|]/g, "\\$&");
}

/** A value of the extension: backslash, equals sign and line breaks are escaped; a pipe is not. */
export function cefValue(text: string): string {
  return printable(text).replaceAll(/[\\=]/g, "\\$&").replaceAll("\r", "\\r").replaceAll(
    "\n",
    "\\n",
  );
}

/** One event as a line, its end included. */
export function cefLine(device: CefDevice, event: CefEvent): string {
  const header = [
    "CEF:0",
    ...[device.vendor, device.product, device.version, event.class_id, event.name].map(cefHeader),
    String(event.severity),
  ];
  const pairs = event.extension.filter(([, value]) => value !== "")
    .map(([key, value]) => `${key}=${cefValue(value)}`);
  return `${header.join("|")}|${pairs.join(" ")}\n`;
}

/** Other control characters have no escape: a collector could end a line at one. */
function printable(text: string): string {
  return text.toWellFormed().replaceAll(/[^\P{Cc}\r\n]|[\u2028\u2029]/gu, " ");
}
