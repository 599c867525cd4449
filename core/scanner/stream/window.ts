/**
 * The part of a stream that is held: appended at its end, dropped from its start.
 *
 * @module
 */

/** A growing and shrinking stretch of a stream; places are bytes of the whole stream. */
export class Window {
  #bytes = new Uint8Array(4_096);
  #from = 0;
  #to = 0;

  /** Place in the stream of the first byte held. */
  get from(): number {
    return this.#from;
  }

  /** Place in the stream behind the last byte held. */
  get to(): number {
    return this.#to;
  }

  /** Takes more of the stream. */
  append(chunk: Uint8Array): void {
    const held = this.#to - this.#from;
    if (held + chunk.length > this.#bytes.length) {
      const wider = new Uint8Array(Math.max(this.#bytes.length * 2, held + chunk.length));
      wider.set(this.#bytes.subarray(0, held));
      this.#bytes.fill(0);
      this.#bytes = wider;
    }
    this.#bytes.set(chunk, held);
    this.#to += chunk.length;
  }

  /** The bytes held, from one place to another; valid until the next change. */
  slice(from: number, to: number): Uint8Array {
    return this.#bytes.subarray(from - this.#from, to - this.#from);
  }

  /** Forgets everything before a place. */
  drop(to: number): void {
    const held = this.#to - to;
    this.#bytes.copyWithin(0, to - this.#from, this.#to - this.#from);
    // Nothing of a stream outlives its use here.
    this.#bytes.fill(0, held, this.#to - this.#from);
    this.#from = to;
  }
}
