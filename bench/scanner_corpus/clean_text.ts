/**
 * Text as people and programs write it, with nothing to find in it: prose in six languages, source
 * code, minified code, logs, JSON.
 *
 * @module
 */
import { Random } from "./random.ts";

const WORDS: Readonly<
  Record<string, { readonly words: readonly string[]; readonly glue: string; readonly end: string }>
> = {
  en: {
    words:
      "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one you were all her she there would their we him been has when who will no more if out so said what up its about than into them can only other time new some could these two may first then do any like my now over such our man me even most made after also did many off before must well back through years where much your way"
        .split(" "),
    glue: " ",
    end: ". ",
  },
  de: {
    words:
      "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor zur bis mehr durch man sein wurde Straße größer können Geschäftsführung Bundesverfassungsgericht Versicherungsgesellschaft"
        .split(" "),
    glue: " ",
    end: ". ",
  },
  zh: {
    words: [
      ..."我們今天去了市場買很多水果和蔬菜然後回家做飯天氣非常好大家都覺得高興明年還要再來這裡看看朋友說那座山上有一間老房子裡面住著一位老人每天早晨都會出來散步",
    ],
    glue: "",
    end: "，",
  },
  ja: {
    words: [
      "今日は",
      "とても",
      "天気が",
      "良い",
      "ので",
      "公園で",
      "散歩を",
      "しました",
      "カタカナ",
      "データ",
      "ユーザー",
      "設定を",
      "確認して",
      "ください",
      "それから",
      "電車に",
      "乗って",
      "帰りました",
    ],
    glue: "",
    end: "。",
  },
  ar: {
    words:
      "في من على أن إلى كان هذا التي الذي عن مع هو ما لا بعد كل قد بين عند ذلك حتى إذا لم أو كانت يوم العام الأول العمل المدينة الكتاب"
        .split(" "),
    glue: " ",
    end: "، ",
  },
  th: {
    words: [
      "วันนี้",
      "อากาศ",
      "ดี",
      "มาก",
      "เรา",
      "ไป",
      "ตลาด",
      "ซื้อ",
      "ผลไม้",
      "และ",
      "กลับ",
      "บ้าน",
      "ทำ",
      "อาหาร",
      "กับ",
      "เพื่อน",
    ],
    glue: "",
    end: " ",
  },
};

/** Languages of {@linkcode prose}. */
export const LANGUAGES: readonly string[] = Object.keys(WORDS);

/** Sentences of a language, at least so many bytes in UTF-8. */
export function prose(random: Random, language: string, bytes: number): string {
  const { words = [], glue = "", end = "" } = WORDS[language] ?? {};
  const sentences: string[] = [];
  const encoder = new TextEncoder();
  for (let size = 0; size < bytes;) {
    const count = 5 + random.below(14);
    const sentence = Array.from({ length: count }, () => random.text(words)).join(glue) + end +
      (random.below(6) === 0 ? "\n" : "");
    sentences.push(sentence);
    size += encoder.encode(sentence).length;
  }
  return sentences.join("");
}

const NAMES =
  "request response handler config buffer index result value options stream user session cache entry widget parser element total"
    .split(" ");

/** Lines of a program. */
export function sourceCode(random: Random, bytes: number): string {
  const name = (): string => random.text(NAMES);
  const forms: readonly (() => string)[] = [
    () =>
      `export function ${name()}_${name()}(${name()}: string, ${name()} = ${
        random.below(99)
      }): void {\n`,
    () => `  const ${name()} = ${name()}.${name()}(${name()}, "${name()} ${name()}");\n`,
    () =>
      `  if (${name()} !== undefined && ${name()}.length > ${
        random.below(500)
      }) return ${name()};\n`,
    () => `  // The ${name()} of a ${name()} is read once, because the ${name()} may change.\n`,
    () => `  throw new Error(\`cannot read the ${name()}: \${${name()}}\`);\n`,
    () => `import { ${name()} } from "../${name()}/${name()}.ts";\n`,
    () => `}\n\n`,
  ];
  let text = "";
  while (text.length < bytes) text += (forms[random.below(forms.length)] ?? name)();
  return text;
}

/** A bundle on few lines. */
export function minified(random: Random, bytes: number): string {
  const letter = (): string => random.text([..."abcdefghijklmnopqrstuvwxyz"]);
  let text = "";
  while (text.length < bytes) {
    text +=
      `function ${letter()}(${letter()},${letter()}){return ${letter()}.${
        random.text(NAMES)
      }?${letter()}:` +
      `${letter()}[${random.below(64)}]}var ${letter()}={${random.text(NAMES)}:!0,${letter()}:"${
        random.text(NAMES)
      }"};`;
    if (random.below(40) === 0) text += "\n";
  }
  return text;
}

/** Records of an API. */
export function records(random: Random, bytes: number): string {
  let text = "";
  while (text.length < bytes) {
    text += JSON.stringify({
      id: random.below(100_000),
      name: `${random.text(NAMES)} ${random.text(NAMES)}`,
      tags: [random.text(NAMES), random.text(NAMES)],
      active: random.below(2) === 0,
      price: random.below(10_000) / 100,
      note: "first line\nsecond line",
    }) + "\n";
  }
  return text;
}

/** Lines of a server's log. */
export function log(random: Random, bytes: number): string {
  let text = "";
  while (text.length < bytes) {
    text +=
      `2024-05-${10 + random.below(18)}T${10 + random.below(13)}:${
        10 + random.below(49)
      }:07Z INFO ` +
      `${random.text(NAMES)} GET /${random.text(NAMES)}/${random.below(9_999)}?page=${
        random.below(99)
      } ` +
      `${200 + random.below(5)} ${random.below(900)}ms 10.0.${random.below(255)}.${
        random.below(255)
      }\n`;
  }
  return text;
}
