/**
 * Which locale packs exist.
 *
 * @module
 */

/** True for `zh-TW` in any case: the one pack there is (contract `policy-and-gateway` §1.5). */
export function isKnownLocalePack(tag: string): boolean {
  return tag.toLowerCase() === "zh-tw";
}
