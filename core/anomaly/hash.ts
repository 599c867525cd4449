/**
 * Hashes of texts for sets and counters of one agent: 52 bits, fast, not cryptographic. Keyed by the
 * agent, so that one agent cannot prepare texts that another would take for its own.
 *
 * @module
 */

/**
 * Hash of a text, 0 to 2^52 - 1.
 *
 * @param seed 32 bits.
 */
export function hashText(text: string, seed: number): number {
  let low = 0xdeadbeef ^ seed;
  let high = 0x41c6ce57 ^ seed;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    low = Math.imul(low ^ unit, 2_654_435_761);
    high = Math.imul(high ^ unit, 1_597_334_677);
  }
  return mixed(low, high);
}

/** Hash of two hashes or numbers, in that order. */
export function hashPair(left: number, right: number): number {
  const low = Math.imul(left ^ Math.imul(right, 0x9e3779b1), 2_654_435_761);
  const high = Math.imul(
    (left / 2 ** 32) ^ Math.imul(right / 2 ** 32, 0x85ebca77) ^ low,
    1_597_334_677,
  );
  return mixed(low, high);
}

function mixed(low: number, high: number): number {
  low = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^
    Math.imul(high ^ (high >>> 13), 3_266_489_909);
  high = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^
    Math.imul(low ^ (low >>> 13), 3_266_489_909);
  return 2 ** 32 * (0xfffff & high) + (low >>> 0);
}
