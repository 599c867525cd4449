/**
 * The one source of chance of a simulated run: everything that may differ between two seeds is
 * drawn here, and nothing else may differ.
 *
 * @module
 */

/** Seeded numbers (sfc32). Not for secrets. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param seed Any text; equal seeds give equal numbers. */
  constructor(readonly seed: string) {
    [this.#a, this.#b, this.#c] = words(seed);
    for (let i = 0; i < 12; i++) this.next();
  }

  /** A stream of its own, so that one part drawing more does not change what another draws. */
  fork(name: string): Random {
    return new Random(`${this.seed}/${name}`);
  }

  /** 32 bits. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum | 0;
    return sum >>> 0;
  }

  /** An integer from 0 to `bound - 1`. */
  below(bound: number): number {
    return Math.floor(this.next() / 4_294_967_296 * bound);
  }

  /** An integer from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True with a probability. */
  chance(probability: number): boolean {
    return this.next() < probability * 4_294_967_296;
  }

  /** One of a list. */
  pick<T>(list: readonly T[]): T {
    const one = list[this.below(list.length)];
    if (one === undefined) throw new RangeError("cannot pick from an empty list");
    return one;
  }

  /** Mostly short, now and then very long: how real waiting times are spread. */
  wait(short: number, long: number, long_share: number): number {
    return this.chance(long_share)
      ? this.between(short, long)
      : this.between(Math.ceil(short / 10), short);
  }

  /** Fills bytes. */
  fill(into: Uint8Array): void {
    for (let i = 0; i < into.length; i++) into[i] = this.next();
  }
}

/** Three words from a text (FNV-1a with different starts). */
function words(text: string): [number, number, number] {
  const word = (start: number) => {
    let hash = start | 0;
    for (let i = 0; i < text.length; i++) {
      hash = Math.imul(hash ^ text.charCodeAt(i), 16_777_619);
    }
    return Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  };
  return [word(0x811c9dc5), word(0x01234567), word(0x9e3779b9)];
}
