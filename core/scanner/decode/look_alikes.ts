/**
 * Characters that look like those keys are written with, and characters that are not seen at all.
 * Folded for matching only: no text is ever rewritten by this table.
 *
 * @module
 */

/**
 * Cyrillic, Greek and Armenian letters by the ASCII letter they are mistaken for (the single-letter
 * confusables of Unicode TS 39, where the prototype is an ASCII letter).
 */
const LETTERS: Readonly<Record<string, string>> = {
  a: "аα",
  b: "ЬƄ",
  c: "сϲ",
  d: "ԁ",
  e: "еє",
  g: "ց",
  h: "һհ",
  i: "іιɩ",
  j: "јϳ",
  k: "кκ",
  l: "ӏ",
  n: "пոη",
  o: "оοօσ",
  p: "рρ",
  q: "ԛգ",
  r: "г",
  s: "ѕ",
  t: "тτ",
  u: "υս",
  v: "ѵν",
  w: "ԝա",
  x: "хχ",
  y: "уγү",
  A: "АΑ",
  B: "ВΒ",
  C: "СϹ",
  E: "ЕΕ",
  F: "Ϝ",
  G: "Ԍ",
  H: "НΗ",
  I: "ІΙӀ",
  J: "ЈͿ",
  K: "КΚ",
  M: "МΜ",
  N: "Ν",
  O: "ОΟՕ",
  P: "РΡ",
  S: "ЅՏ",
  T: "ТΤ",
  U: "Ս",
  V: "Ѵ",
  W: "Ԝ",
  X: "ХΧ",
  Y: "УΥҮ",
  Z: "Ζ",
};

/** Letters of other alphabets: ordinary in their own words, a disguise inside an ASCII one. */
export const FOREIGN_LETTERS: ReadonlyMap<number, number> = new Map(
  Object.entries(LETTERS).flatMap(([ascii, letters]) =>
    [...letters].map((letter) => [letter.codePointAt(0) ?? 0, ascii.charCodeAt(0)] as const)
  ),
);

/** Mathematical, letter-like and enclosed letters and digits, which no language writes words with. */
export const STYLED: ReadonlyMap<number, number> = styledCharacters();

function styledCharacters(): ReadonlyMap<number, number> {
  const table = new Map<number, number>();
  const ranges = [[0x1d400, 0x1d7ff], [0x2100, 0x214f], [0x24b6, 0x24e9], [0xff10, 0xff5a]];
  for (const [from = 0, to = 0] of ranges) {
    for (let code = from; code <= to; code++) {
      const plain = String.fromCodePoint(code).normalize("NFKC");
      if (/^[A-Za-z0-9]$/.test(plain)) table.set(code, plain.charCodeAt(0));
    }
  }
  // Full-width and other signs that occur within keys. Dashes of CJK and typography that the contract
  // names as no separators of numbers (§2.4) are not among them.
  const signs = [[0xff0d, "-"], [0xff0e, "."], [0xff0f, "/"], [0xff1d, "="], [
    0xff3f,
    "_",
  ]] as const;
  for (const [code, sign] of signs) table.set(code, sign.charCodeAt(0));
  table.set(0xfe63, 0x2d);
  table.set(0x2212, 0x2d);
  return table;
}

/** True for characters of no width: soft hyphen, joiners, marks of direction, byte order mark. */
export function isInvisible(code: number): boolean {
  return code === 0xad || code === 0x34f || code === 0x61c || code === 0x180e ||
    code >= 0x200b && code <= 0x200f || code >= 0x202a && code <= 0x202e ||
    code >= 0x2060 && code <= 0x2064 || code >= 0x2066 && code <= 0x2069 ||
    code >= 0xfe00 && code <= 0xfe0f || code === 0xfeff;
}

/** ASCII that a tag character (U+E0020 to U+E007E), seen by machines alone, stands for; or -1. */
export function tagCharacter(code: number): number {
  return code >= 0xe0020 && code <= 0xe007e ? code - 0xe0000 : -1;
}

/** Every character that one of these tables or functions knows. */
export const DISGUISES: readonly number[] = [
  ...FOREIGN_LETTERS.keys(),
  ...STYLED.keys(),
  // The mark of Arabic shares its first byte with half of all Arabic text: it is dropped where
  // something else wakes the decoder, and wakes nothing itself.
  ...Array.from({ length: 0x10000 }, (_, code) => code).filter((code) =>
    isInvisible(code) && code !== 0x61c
  ),
  ...Array.from({ length: 0x5f }, (_, index) => 0xe0020 + index),
];
