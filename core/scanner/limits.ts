/**
 * Bounds of the scanner itself; what a policy may write and how many findings are kept stand in
 * `core/limits.ts`.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const SCANNER_LIMITS = {
  /**
   * Places of a text with escapes that are looked at for whether an escape matters; in a text with
   * more of them all escapes are taken off, which is slower and finds the same.
   */
  calm_escape_blocks: 1_048_576,
  /**
   * Work of one pattern on one text: the sum, over its matches, of the characters ahead of each.
   * A pattern without a longest match, such as `a.*b|a`, may read to the end of the text for every
   * match; beyond the bound the scan fails and the whole text is redacted.
   */
  pattern_search_chars: 32 * 1024 * 1024,
  /** A key block longer than this is not one key: only its first line is labelled. */
  key_block_bytes: 64 * 1024,
  /**
   * The buffer that texts share while they are scanned; a text that may need more (three bytes for
   * each UTF-16 unit) gets its own, which is freed after the scan.
   */
  shared_buffer_bytes: 4 * 1024 * 1024,
  /** Bytes of an address in which its password is looked for; a longer user name hides it. */
  userinfo_bytes: 512,
  /** Characters of the scheme of an address; a longer one is no address. */
  scheme_chars: 32,
  /** Bytes between a name and the value given to it; more: the value is not known by its name. */
  assignment_bytes: 16,
  /** Bytes of a cookie header that are read; values beyond are judged by form and entropy only. */
  cookie_bytes: 8 * 1024,
  /** Lines of base64 in a PuTTY key that are covered; further ones are left to entropy. */
  putty_lines: 100,
  /** Bytes of a JSON Web Token's header that are decoded; of a longer one nothing is proven. */
  token_header_bytes: 1024,
  /** Base64 characters of `Basic` credentials; longer ones are left to entropy. */
  basic_credentials_chars: 512,
  /** Escapes inside escapes that are looked behind; deeper ones are scanned as written. */
  escape_layers: 3,
  /** Encodings inside encodings that are decoded, such as base64 of gzip; deeper: named `depth`. */
  decode_depth: 5,
  /** Bytes decoded for one text, besides {@linkcode decoded_times}; more: named `size`. */
  decoded_bytes: 4 * 1024 * 1024,
  /** Bytes decoded for one text, in multiples of its length; more: named `size`. */
  decoded_times: 4,
  /** Bytes one compressed stream may grow to; more: named `expansion`, the first ones are scanned. */
  inflated_bytes: 4 * 1024 * 1024,
  /**
   * Bytes of a stream that are held at once. A secret longer than this is covered to its end and
   * named `window`; a text without a place to cut it is cut all the same, and that is named too.
   */
  stream_window_bytes: 256 * 1024,
  /** Bytes behind a cut that must be seen before it is made, and before it that are seen again. */
  stream_context_bytes: 512,
  /** The same where a policy has patterns of its own; a match longer than this can be missed. */
  stream_pattern_context_bytes: 4_096,
  /** A line is seen again from its start, as far as this: names that give values away stand there. */
  stream_line_bytes: 8 * 1024,
  /** Suppressions of one document. More: a located error, and none of them holds. */
  suppressions: 1_000,
  /** Length of one text of a suppression, in UTF-16 units. Longer: a located error. */
  suppression_chars: 1_024,
  /** Parts of one text named as not decoded; further ones widen the last. */
  undecoded_parts: 100,
} as const;
