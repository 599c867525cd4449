/**
 * A labelled corpus for secret scanners: every line is a sample, and what each holds is known.
 *
 * @module
 */
import { gzipSync } from "fflate";
import { log, minified, prose, records, sourceCode } from "./clean_text.ts";
import { NEAR_MISSES } from "./near_misses.ts";
import { base64, Random } from "./random.ts";
import { type SecretMaker, SECRETS } from "./secrets.ts";

/** One sample: some lines of text, and the secret in them. */
export interface Sample {
  readonly name: string;
  readonly class: "secret" | "encoded" | "personal" | "near_miss" | "pinned" | "clean";
  readonly text: string;
  /** Where the secret is, in bytes of `text`; absent where there is none. */
  readonly value?: { readonly offset: number; readonly end: number };
}

/** Samples of every kind. */
export const SAMPLES_PER_KIND = 20;

/** The corpus of a seed. */
export function makeCorpus(seed: number): Sample[] {
  const random = new Random(seed);
  const samples: Sample[] = [];
  for (const maker of SECRETS) {
    for (let index = 0; index < SAMPLES_PER_KIND; index++) {
      samples.push(placed(random, maker, maker.make(random), maker.class));
    }
  }
  for (const maker of SECRETS.filter(({ named, bare }) => named === undefined && bare !== true)) {
    if (maker.class !== "secret") continue;
    for (const [encoding, encode] of ENCODINGS) {
      const text = encode(maker.make(random), random);
      samples.push(placed(random, { ...maker, name: `${encoding}` }, text, "encoded"));
    }
  }
  for (const { name, make, pinned } of NEAR_MISSES) {
    for (let index = 0; index < SAMPLES_PER_KIND; index++) {
      samples.push({ name, class: pinned === true ? "pinned" : "near_miss", text: make(random) });
    }
  }
  const clean: readonly [string, (random: Random, bytes: number) => string][] = [
    ...["en", "de", "zh", "ja", "ar", "th"].map((language) =>
      [language, (r: Random, bytes: number) => prose(r, language, bytes)] as const
    ).map(([name, make]): [string, typeof make] => [name, make]),
    ["source code", sourceCode],
    ["minified", minified],
    ["json", records],
    ["log", log],
  ];
  for (const [name, make] of clean) {
    for (let index = 0; index < SAMPLES_PER_KIND; index++) {
      samples.push({ name, class: "clean", text: make(random, 600).replaceAll("\n", " ") });
    }
  }
  return samples;
}

const encoder = new TextEncoder();
const hex = (text: string): string =>
  [...encoder.encode(text)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Ways to write a secret that its reader undoes without thinking. */
const ENCODINGS: readonly [string, (text: string, random: Random) => string][] = [
  ["base64", (text) => btoa(`{"auth":"${text}"}`)],
  ["hex", (text) => hex(text)],
  ["percent", (text) => [...text].map((sign) => `%${hex(sign)}`).join("")],
  ["json escapes", (text) => [...text].map((sign) => `\\u00${hex(sign)}`).join("")],
  ["html entities", (text) => [...text].map((sign) => `&#${sign.charCodeAt(0)};`).join("")],
  ["zero width", (text) => `${text.slice(0, 2)}\u200b${text.slice(2)}`],
  [
    "full width",
    (text) => text.replace(/[a-z]/i, (sign) => String.fromCharCode(sign.charCodeAt(0) + 0xfee0)),
  ],
  [
    "gzip in base64",
    (text) => base64(gzipSync(encoder.encode(`{"auth":"${text}"}`), { mtime: 0 })),
  ],
  ["joined pieces", (text, random) => {
    const cut = 2 + random.below(6);
    return `${text.slice(0, cut)}" + "${text.slice(cut)}`;
  }],
];

/** The value where such values stand. */
function placed(
  random: Random,
  maker: SecretMaker,
  value: string,
  kind: Sample["class"],
): Sample {
  const name = maker.named ? random.text(maker.named) : random.text(["token", "api_key", "value"]);
  const header = maker.named?.[0] === "Authorization";
  const frames: readonly [string, string][] = maker.bare === true
    ? [["", ""]]
    : header
    ? [["Authorization: ", ""], ['"Authorization": "', '",']]
    : [
      [`${name}=`, ""],
      [`  "${name}": "`, '",'],
      [`const ${name} = "`, '";'],
      [`${name}: "`, '" # set by the deploy job'],
      ...(maker.named ? [] : [["please use ", " for the import, thanks"] as [string, string]]),
    ];
  const quoted = frames.filter(([before]) => before.includes('"'));
  const usable = kind === "encoded" && value.includes('"') ? quoted : frames;
  const [before, after] = usable[random.below(usable.length)] ?? ["", ""];
  const offset = encoder.encode(before).length;
  return {
    name: maker.name,
    class: kind,
    text: before + value + after,
    value: { offset, end: offset + encoder.encode(value).length },
  };
}

/** Clean text of every kind, so many bytes together, for the false-alarm test. */
export function cleanCorpus(seed: number, bytes: number): readonly [string, string][] {
  const random = new Random(seed);
  const share = Math.ceil(bytes / 10);
  const repeat = (make: (random: Random, bytes: number) => string): string => {
    // Sentences are drawn for a part; the parts are put in another order each time.
    const parts = Array.from({ length: 16 }, () => make(random, Math.ceil(share / 64)));
    let text = "";
    const encoded = parts.map((part) => encoder.encode(part).length);
    for (let size = 0; size < share;) {
      const part = random.below(parts.length);
      text += parts[part] + "\n";
      size += (encoded[part] ?? 0) + 1;
    }
    return text;
  };
  return [
    ...["en", "de", "zh", "ja", "ar", "th"].map((language): [string, string] => [
      language,
      repeat((r, size) => prose(r, language, size)),
    ]),
    ["source code", repeat(sourceCode)],
    ["minified", repeat(minified)],
    ["json", repeat(records)],
    ["log", repeat(log)],
  ];
}

/** Text of secrets and ordinary lines, so many bytes: what a dirty text costs. */
export function dirtyText(seed: number, bytes: number): string {
  const random = new Random(seed);
  const corpus = makeCorpus(seed).filter(({ value }) => value !== undefined);
  let text = "";
  while (text.length < bytes) {
    text += prose(random, "en", 1_500) + "\n";
    text += corpus[random.below(corpus.length)]?.text + "\n";
  }
  return text.slice(0, bytes);
}
