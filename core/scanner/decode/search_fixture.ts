/**
 * The scanner's own detectors, as decoding uses them.
 *
 * @module
 */
import { findForms } from "../scanner.ts";
import { Spans } from "../spans.ts";
import { newBuffer, sealText, type Utf8Text } from "../utf8.ts";
import type { CertainSpan } from "./mod.ts";

/** A text of its own memory. */
export function copyForTest(text: string): Utf8Text {
  const bytes = new TextEncoder().encode(text);
  const buffer = newBuffer(bytes.length);
  buffer.set(bytes);
  return sealText(buffer, bytes.length, false);
}

/** Known forms, and numbers where asked. */
export function searchForTest(
  text: Utf8Text,
  numbers: boolean,
  report: (span: CertainSpan) => void,
): void {
  const spans = new Spans();
  findForms(text, spans, { numbers });
  for (const span of spans.list()) report(span);
}
