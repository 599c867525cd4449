/**
 * Writes fields from the last to the first, so that a message is complete when its length is
 * written before it: one pass, no sizes to add up. Whatever is not in the usual form (texts beyond
 * ASCII, numbers that are large, negative or no numbers) is given up on: the caller then asks the
 * generated encoder.
 *
 * @module
 */

/**
 * Bytes of a message written here, and the memory this module keeps. Longer ones go to the
 * generated encoder, which spends most of its time copying then.
 */
const MESSAGE_BYTES_MAX = 4_096;
/** Integers below this have up to four bytes. */
const INTEGER_END = 2 ** 28;

/** Fields of one message and of those inside it. Empty and zero ones are not written. */
export class FieldWriter {
  readonly #bytes = new Uint8Array(MESSAGE_BYTES_MAX);
  #position = MESSAGE_BYTES_MAX;
  /** A value is not in the usual form: what was written means nothing. */
  gave_up = false;

  /** Begins a message. */
  begin(): void {
    this.#position = MESSAGE_BYTES_MAX;
    this.gave_up = false;
  }

  /** The message, or `undefined` when it was given up on. */
  finish(): Uint8Array<ArrayBuffer> | undefined {
    return this.gave_up ? undefined : this.#bytes.slice(this.#position);
  }

  giveUp(): void {
    this.gave_up = true;
  }

  /** An integer field. */
  integer(tag: number, value: number): void {
    if (value === 0) return;
    if (
      typeof value !== "number" || !Number.isInteger(value) || value < 0 || value >= INTEGER_END
    ) {
      return this.giveUp();
    }
    this.#varint(value);
    this.#byte(tag);
  }

  /** A boolean field. */
  flag(tag: number, value: boolean): void {
    if (value === false) return;
    if (value !== true) return this.giveUp();
    this.#byte(1);
    this.#byte(tag);
  }

  /** A string field. */
  text(tag: number, text: string): void {
    if (text !== "") this.item(tag, text);
  }

  /** A string of a repeated field, which is written even when empty. */
  item(tag: number, text: string | undefined): void {
    if (typeof text !== "string" || text.length > this.#position) return this.giveUp();
    const start = this.#position - text.length;
    const bytes = this.#bytes;
    let seen = 0;
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      seen |= code;
      bytes[start + index] = code;
    }
    if (seen > 0x7f) return this.giveUp();
    this.#position = start;
    this.#head(tag, text.length);
  }

  /** A field of bytes. */
  content(tag: number, content: Uint8Array): void {
    if (!(content instanceof Uint8Array) || content.length > this.#position) return this.giveUp();
    if (content.length === 0) return;
    this.#position -= content.length;
    this.#bytes.set(content, this.#position);
    this.#head(tag, content.length);
  }

  /** Where the fields of a nested message end, to be given to {@linkcode close}. */
  mark(): number {
    return this.#position;
  }

  /** Ends a nested message, all of whose fields were written since its mark. */
  close(tag: number, mark: number): void {
    this.#head(tag, mark - this.#position);
  }

  #head(tag: number, length: number): void {
    this.#varint(length);
    this.#byte(tag);
  }

  #varint(value: number): void {
    if (value < 0x80) return this.#byte(value);
    if (value >= 0x20_0000) this.#byte(value >>> 21);
    if (value >= 0x4000) this.#byte((value >>> 14) & 0x7f | (value >= 0x20_0000 ? 0x80 : 0));
    this.#byte((value >>> 7) & 0x7f | (value >= 0x4000 ? 0x80 : 0));
    this.#byte(value & 0x7f | 0x80);
  }

  #byte(value: number): void {
    if (this.#position === 0) return this.giveUp();
    this.#bytes[--this.#position] = value;
  }
}
