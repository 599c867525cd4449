/**
 * Bytes that grow at the end, for files of the simulated disk.
 *
 * @module
 */

/** A growing piece of memory. */
export class Bytes {
  #buffer = new Uint8Array(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The bytes themselves, until the next change. */
  view(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(0, this.#length);
  }

  append(bytes: Uint8Array): void {
    this.#reserve(this.#length + bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Shortens, or lengthens with zeros. */
  truncate(length: number): void {
    this.#reserve(length);
    if (length > this.#length) this.#buffer.fill(0, this.#length, length);
    this.#length = length;
  }

  zero(from: number, to: number): void {
    this.#buffer.fill(0, Math.min(from, this.#length), Math.min(to, this.#length));
  }

  set(bytes: Uint8Array): void {
    this.#length = 0;
    this.append(bytes.slice());
  }

  /** Copies out; `null` at the end. */
  read(at: number, into: Uint8Array): number | null {
    if (at >= this.#length) return null;
    const part = this.#buffer.subarray(at, Math.min(this.#length, at + into.length));
    into.set(part);
    return part.length;
  }

  #reserve(length: number): void {
    if (length <= this.#buffer.length) return;
    const larger = new Uint8Array(Math.max(length, 2 * this.#buffer.length));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }
}
