/**
 * HTML's character references that can stand within a key or an address.
 *
 * @module
 */

/** Longest name and number, in bytes without `&` and `;`. */
export const ENTITY_BYTES_MAX = 16;

const NAMED: ReadonlyMap<string, number> = new Map([
  ["amp", 0x26],
  ["AMP", 0x26],
  ["apos", 0x27],
  ["ast", 0x2a],
  ["bsol", 0x5c],
  ["colon", 0x3a],
  ["comma", 0x2c],
  ["commat", 0x40],
  ["dash", 0x2d],
  ["dollar", 0x24],
  ["equals", 0x3d],
  ["excl", 0x21],
  ["gt", 0x3e],
  ["GT", 0x3e],
  ["hyphen", 0x2d],
  ["lowbar", 0x5f],
  ["UnderBar", 0x5f],
  ["lpar", 0x28],
  ["lt", 0x3c],
  ["LT", 0x3c],
  ["nbsp", 0xa0],
  ["NewLine", 0x0a],
  ["num", 0x23],
  ["percnt", 0x25],
  ["period", 0x2e],
  ["plus", 0x2b],
  ["quest", 0x3f],
  ["quot", 0x22],
  ["QUOT", 0x22],
  ["rpar", 0x29],
  ["semi", 0x3b],
  ["shy", 0xad],
  ["sol", 0x2f],
  ["Tab", 0x09],
  ["verbar", 0x7c],
  ["ZeroWidthSpace", 0x200b],
  ["zwj", 0x200d],
  ["zwnj", 0x200c],
]);

/** Code point of a reference, given without its `&` and `;`, or -1. */
export function entityCode(name: string): number {
  if (!name.startsWith("#")) return NAMED.get(name) ?? -1;
  const hex = /^#[xX]0*([0-9a-fA-F]{1,6})$/.exec(name);
  const decimal = /^#0*(\d{1,7})$/.exec(name);
  const code = hex ? parseInt(hex[1] ?? "", 16) : decimal ? Number(decimal[1]) : -1;
  return code > 0x10ffff || code >= 0xd800 && code <= 0xdfff ? -1 : code;
}
