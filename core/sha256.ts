/**
 * SHA-256 (FIPS 180-4) in plain TypeScript, for the parts of the domain that also run where no
 * `node:crypto` is: browsers and edge. Meant for short inputs, such as policies.
 *
 * @module
 */

/** Fractional parts of the cube roots of the first 64 primes (FIPS 180-4 §4.2.2). */
const K = Uint32Array.from(primes(64), (prime) => fraction(Math.cbrt(prime)));
/** Fractional parts of the square roots of the first 8 primes (FIPS 180-4 §5.3.3). */
const START = Uint32Array.from(primes(8), (prime) => fraction(Math.sqrt(prime)));

const BLOCK_BYTES = 64;

/** A hash that takes its input in parts. */
export class Sha256 {
  readonly #state = START.slice();
  readonly #block = new Uint8Array(BLOCK_BYTES);
  readonly #words = new Uint32Array(64);
  #filled = 0;
  #bytes = 0;

  /** Takes the next part; texts as UTF-8. */
  update(part: Uint8Array | string): this {
    const bytes = typeof part === "string" ? new TextEncoder().encode(part) : part;
    this.#bytes += bytes.length;
    for (let at = 0; at < bytes.length;) {
      const taken = Math.min(BLOCK_BYTES - this.#filled, bytes.length - at);
      this.#block.set(bytes.subarray(at, at + taken), this.#filled);
      this.#filled += taken;
      at += taken;
      if (this.#filled === BLOCK_BYTES) this.#compress();
    }
    return this;
  }

  /** The digest in lower-case hexadecimal. Ends the hash. */
  hex(): string {
    const bits = this.#bytes * 8;
    this.#block[this.#filled++] = 0x80;
    this.#block.fill(0, this.#filled);
    if (this.#filled > BLOCK_BYTES - 8) {
      this.#compress();
      this.#block.fill(0);
    }
    const view = new DataView(this.#block.buffer);
    view.setUint32(56, Math.floor(bits / 2 ** 32));
    view.setUint32(60, bits >>> 0);
    this.#compress();
    let text = "";
    for (const word of this.#state) text += word.toString(16).padStart(8, "0");
    return text;
  }

  #compress(): void {
    const words = this.#words;
    const view = new DataView(this.#block.buffer);
    for (let i = 0; i < 16; i++) words[i] = view.getUint32(i * 4);
    for (let i = 16; i < 64; i++) {
      const [w2, w7, w15, w16] = [
        at(words, i - 2),
        at(words, i - 7),
        at(words, i - 15),
        at(words, i - 16),
      ];
      const small0 = turn(w15, 7) ^ turn(w15, 18) ^ (w15 >>> 3);
      const small1 = turn(w2, 17) ^ turn(w2, 19) ^ (w2 >>> 10);
      words[i] = (w16 + small0 + w7 + small1) >>> 0;
    }
    let [a, b, c, d, e, f, g, h] = this.#state as unknown as Eight;
    for (let i = 0; i < 64; i++) {
      const big1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
      const choice = (e & f) ^ (~e & g);
      const first = (h + big1 + choice + at(K, i) + at(words, i)) >>> 0;
      const big0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
      const majority = (a & b) ^ (a & c) ^ (b & c);
      [h, g, f, e] = [g, f, e, (d + first) >>> 0];
      [d, c, b, a] = [c, b, a, (first + big0 + majority) >>> 0];
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => this.#state[i] = at(this.#state, i) + word);
    this.#filled = 0;
  }
}

type Eight = [number, number, number, number, number, number, number, number];

function at(words: Uint32Array, index: number): number {
  return words[index] ?? 0;
}

function turn(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}

function fraction(root: number): number {
  return Math.floor((root - Math.floor(root)) * 2 ** 32);
}

function primes(count: number): number[] {
  const found: number[] = [];
  for (let n = 2; found.length < count; n++) if (found.every((p) => n % p !== 0)) found.push(n);
  return found;
}
