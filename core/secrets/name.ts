/**
 * Names of secrets and the placeholders that stand for them (contract `wire` §1.7).
 *
 * @module
 */
import { SECRET_LIMITS } from "./limits.ts";

const NAME = /^[A-Z][A-Z0-9_]*$/;
const PLACEHOLDER = /\$\{([A-Z][A-Z0-9_]*)\}/g;

/** Whether a text can name a secret. */
export function isSecretName(text: string): boolean {
  return text.length <= SECRET_LIMITS.name_chars && NAME.test(text);
}

/** A stretch of a text: literal, or a placeholder's name. */
export type Piece =
  | { readonly literal: string }
  | { readonly name: string };

/**
 * Cuts a text at its placeholders, left to right, each seen once: what stands in for one is never
 * looked through again.
 */
export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  for (const match of text.matchAll(PLACEHOLDER)) {
    if (match.index > end) pieces.push({ literal: text.slice(end, match.index) });
    pieces.push({ name: match[1] ?? "" });
    end = match.index + match[0].length;
  }
  if (end < text.length) pieces.push({ literal: text.slice(end) });
  return pieces;
}
