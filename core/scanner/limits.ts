/**
 * Bounds of the scanner itself; what a policy may write and how many findings are kept stand in
 * `core/limits.ts`.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const SCANNER_LIMITS = {
  /**
   * Work of one pattern on one text: the sum, over its matches, of the characters ahead of each.
   * A pattern without a longest match, such as `a.*b|a`, may read to the end of the text for every
   * match; beyond the bound the scan fails and the whole text is redacted.
   */
  pattern_search_chars: 32 * 1024 * 1024,
  /** A key block longer than this is not one key: only its first line is labelled. */
  key_block_bytes: 64 * 1024,
  /** Escapes inside escapes that are looked behind; deeper ones are scanned as written. */
  escape_layers: 3,
} as const;
