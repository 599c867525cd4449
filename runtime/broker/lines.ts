/**
 * Cuts a byte stream into lines of bounded length.
 *
 * @module
 */

const LINE_FEED = 10;

/** One stream's lines. After {@linkcode LineReader.push} returned `too_long` it is of no more use. */
export class LineReader {
  readonly #max_bytes: number;
  readonly #decoder = new TextDecoder();
  #pending = new Uint8Array(0);

  /** @param max_bytes Longest line, without its line feed. */
  constructor(max_bytes: number) {
    this.#max_bytes = max_bytes;
  }

  /** Complete lines in `bytes` and what was left before them, or that a line is too long. */
  push(bytes: Uint8Array): readonly string[] | "too_long" {
    const lines: string[] = [];
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(LINE_FEED, start);
      if (end < 0) break;
      const part = bytes.subarray(start, end);
      if (this.#pending.length + part.length > this.#max_bytes) return "too_long";
      lines.push(this.#decoder.decode(this.#join(part)));
      this.#pending = new Uint8Array(0);
      start = end + 1;
    }
    const rest = bytes.subarray(start);
    if (this.#pending.length + rest.length > this.#max_bytes) return "too_long";
    if (rest.length > 0) this.#pending = this.#join(rest).slice();
    return lines;
  }

  #join(part: Uint8Array): Uint8Array {
    if (this.#pending.length === 0) return part;
    const joined = new Uint8Array(this.#pending.length + part.length);
    joined.set(this.#pending);
    joined.set(part, this.#pending.length);
    return joined;
  }
}
