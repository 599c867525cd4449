/**
 * Which header fields HTTP/2 allows (RFC 9113 section 8.2). A message that breaks these rules is
 * malformed and its stream is reset.
 *
 * @module
 */

/** A field name: lower case, no colon (pseudo headers are handled apart). */
const NAME_CHARS = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";
const IS_NAME_CHAR = new Uint8Array(256);
for (const char of NAME_CHARS) IS_NAME_CHAR[char.charCodeAt(0)] = 1;

function isName(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    if (IS_NAME_CHAR[text.charCodeAt(index)] !== 1) return false;
  }
  return text.length > 0;
}

/** A field value: no NUL, CR, LF; other bytes are as the sender wishes. */
// deno-lint-ignore no-control-regex
const FIELD_VALUE = /^[^\x00\r\n]*$/;

const CONNECTION_SPECIFIC: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** Whether a regular field may stand in an HTTP/2 message. */
export function isAllowedField(name: string, value: string): boolean {
  if (!isName(name) || CONNECTION_SPECIFIC.has(name)) return false;
  return isAllowedValue(value) && (name !== "te" || value === "trailers");
}

/** Whether a text may be a field's value. */
export function isAllowedValue(value: string): boolean {
  if (!FIELD_VALUE.test(value)) return false;
  if (value.length === 0) return true;
  return !isBlank(value.charCodeAt(0)) && !isBlank(value.charCodeAt(value.length - 1));
}

/** Whether a list holds regular, allowed fields only: what trailers must be. */
export function areAllowedTrailers(fields: readonly string[]): boolean {
  for (let index = 0; index < fields.length; index += 2) {
    if (!isAllowedField(fields[index] ?? "", fields[index + 1] ?? "")) return false;
  }
  return true;
}
