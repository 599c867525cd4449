/**
 * The scanner's own detectors, as decoding uses them.
 *
 * @module
 */
import { findDigits } from "../detectors/digits.ts";
import { findLiterals } from "../detectors/literal.ts";
import { Spans } from "../spans.ts";
import type { Utf8Text } from "../utf8.ts";
import type { CertainSpan } from "./mod.ts";
import { IDENTITY, viewBuffer, viewOf } from "./view.ts";

/** A text of its own memory. */
export function copyForTest(text: string): Utf8Text {
  const bytes = new TextEncoder().encode(text);
  const buffer = viewBuffer(bytes.length);
  buffer.set(bytes);
  return viewOf(buffer, bytes.length, IDENTITY);
}

/** Known forms, and numbers where asked. */
export function searchForTest(
  text: Utf8Text,
  numbers: boolean,
  report: (span: CertainSpan) => void,
): void {
  const spans = new Spans();
  findLiterals(text, spans);
  if (numbers) findDigits(text, spans);
  for (const span of spans.list()) report(span);
}
