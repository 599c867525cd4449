import assert from "node:assert/strict";
import { deflateSync, gzipSync, zlibSync } from "fflate";
import fc from "fast-check";
import { SCANNER_LIMITS } from "../limits.ts";
import { DEFAULT_SCANNER } from "../scanner.ts";
import { copyForTest, searchForTest } from "./search_fixture.ts";
import { decodeAndSearch, decodeBytes, type Decoding } from "./mod.ts";

const KEY = "sk-ant-api03-Abcd1234Efgh5678";
const encoder = new TextEncoder();

function decoded(text: string): Decoding {
  return decodeAndSearch(copyForTest(text), { escapes: true, quotes: true }, searchForTest);
}

/** What is found: kind, the original text of its span, and what was undone. */
function seen(text: string): [string, string, string][] {
  const bytes = encoder.encode(text);
  return decoded(text).findings.map(({ kind, offset, end, via }) => [
    kind,
    new TextDecoder().decode(bytes.subarray(offset, end)),
    via.join(" "),
  ]);
}

function hidden(text: string, original: string, via: string): void {
  assert.deepEqual(seen(`x ${text} y`), [["AnthropicKey", original, via]], text);
}

const base64 = (bytes: Uint8Array | string): string =>
  typeof bytes === "string" ? btoa(bytes) : btoa(String.fromCharCode(...bytes));
const hex = (text: string, glue = "", mark = ""): string =>
  [...encoder.encode(text)].map((byte) => mark + byte.toString(16).padStart(2, "0")).join(glue);

Deno.test("a key behind JSON, percent, HTML and shell escapes is found where it is written", () => {
  for (
    const [text, via] of [
      ["\\u0073k-ant-api03-Abcd1234Efgh5678", "json_escape"],
      ["\\x73k\\x2dant-api03-Abcd1234Efgh5678", "json_escape"],
      ["\\u{73}k-ant-api03-Abcd1234Efgh5678", "json_escape"],
      ["\\163k-ant-api03-Abcd1234Efgh5678", "json_escape"],
      ["sk%2Dant%2dapi03%2DAbcd1234Efgh5678", "percent"],
      ["sk%252Dant%25252Dapi03-Abcd1234Efgh5678", "percent"],
      ["s%u006b-ant-api03-Abcd1234Efgh5678", "percent"],
      ["s&#107;&#x2d;ant&hyphen;api03-Abcd1234Efgh5678", "html_entity"],
      ["&#x73;&#x6B;-ant&#00045;api03-Abcd1234Efgh5678", "html_entity"],
    ] as const
  ) hidden(text, text, via);
  hidden("%5Cu0073k-ant-api03-Abcd1234", "%5Cu0073k-ant-api03-Abcd1234", "percent json_escape");
});

Deno.test("a pair of surrogate escapes is one character and hides nothing behind it", () => {
  assert.deepEqual(seen('"\\ud83d\\ude00 \\u0073k-ant-api03-Abcd1234"'), [
    ["AnthropicKey", "\\u0073k-ant-api03-Abcd1234", "json_escape"],
  ]);
  assert.deepEqual(seen("\\ud83d\\udc \\ud83d \\udc00"), []);
});

Deno.test("characters nobody sees do not hide a key", () => {
  for (const mark of ["\u200b", "\u00ad", "\u2060", "\ufeff", "\u200e", "\u034f", "\ufe0f"]) {
    const text = [..."sk-ant-api03-Abcd1234"].join(mark);
    hidden(text, text, "invisible");
  }
  const tags = [...KEY].map((sign) => String.fromCodePoint(0xe0000 + sign.charCodeAt(0))).join("");
  hidden(tags, tags, "invisible");
});

Deno.test("letters of other alphabets that look like those of a key do not hide it", () => {
  for (
    const text of [
      "ѕк-аnt-api03-Abcd1234Efgh5678",
      "sκ-αnt-api03-Abcd1234Efgh5678",
      "ｓｋ－ａｎｔ－api03-Abcd1234Efgh5678",
      "𝐬𝐤-𝒂𝒏𝒕-api03-Abcd1234Efgh5678",
      "ⓢⓚ-ant-api03-Abcd1234Efgh5678",
    ]
  ) hidden(text, text, "look_alike");
  assert.deepEqual(seen("Это обычный русский текст, в нём кто-то пишет о ключах."), []);
});

Deno.test("base64 of a key is found in every form it is written in", () => {
  const plain = base64(KEY);
  const unpadded = plain.replaceAll("=", "");
  hidden(plain, unpadded, "base64");
  hidden(unpadded, unpadded, "base64");
  const padded = base64(`??>>${KEY}`);
  assert.deepEqual(seen(padded.replaceAll("+", "-").replaceAll("/", "_"))[0]?.[2], "base64");
  for (const before of ["a", "ab", "abc", "path/to/", "key_"]) {
    assert.equal(seen(`${before}${plain}`)[0]?.[2], "base64", before);
  }
});

Deno.test("a script in UTF-16, as PowerShell takes it, hides no key", () => {
  const wide = [...`$k = "${KEY}"`].flatMap((sign) => [sign.charCodeAt(0), 0]);
  assert.deepEqual(
    decoded(`powershell -enc ${base64(new Uint8Array(wide))}`).findings.map(({ via }) => via),
    [["base64", "utf16"]],
  );
});

Deno.test("base64 wrapped in lines is one text", () => {
  const long = base64(`${"some configuration text, ".repeat(4)}${KEY} and more of it`.repeat(2));
  for (const glue of ["\n", "\r\n", "\n    "]) {
    for (const width of [64, 76]) {
      const wrapped = (long.match(new RegExp(`.{1,${width}}`, "g")) ?? []).join(glue);
      const found = seen(`data: |\n  ${wrapped}\nnext: 1`);
      assert.equal(found.length, 2, JSON.stringify([glue, width]));
      assert.deepEqual(found.map(([kind, , via]) => [kind, via]), [
        ["AnthropicKey", "base64"],
        ["AnthropicKey", "base64"],
      ]);
    }
  }
});

Deno.test("the span of a base64 finding covers every character that holds a bit of it", () => {
  for (let before = 0; before < 6; before++) {
    const text = base64(`${" ".repeat(before + 12)}${KEY} tail of text`);
    const [finding] = decoded(text).findings;
    assert.ok(finding !== undefined);
    const rest = text.slice(0, finding.offset) + "A".repeat(finding.end - finding.offset) +
      text.slice(finding.end);
    assert.ok(!atob(rest).includes(KEY.slice(0, 1)), "no bit of the key is left");
    assert.ok(!atob(rest).includes(KEY.slice(-1)));
    assert.ok(finding.end - finding.offset <= Math.ceil(KEY.length * 4 / 3) + 2);
  }
});

Deno.test("hex of a key is found plain, escaped, prefixed and spaced", () => {
  hidden(hex(KEY), hex(KEY), "hex");
  hidden(hex(KEY).toUpperCase(), hex(KEY).toUpperCase(), "hex");
  hidden(`0x${hex(KEY)}`, hex(KEY), "hex");
  hidden(`f${hex(KEY)}`, hex(KEY), "hex");
  for (const glue of [" ", ":", "-", ", ", "\n"]) hidden(hex(KEY, glue), hex(KEY, glue), "hex");
  assert.equal(seen(hex(KEY, ", ", "0x")).length, 1);
  hidden(hex(KEY, "", "\\x"), hex(KEY, "", "\\x"), "json_escape");
});

Deno.test("compressed bytes are looked into, whatever they are wrapped in", () => {
  const body = encoder.encode(JSON.stringify({ note: "hello", key: KEY, list: [1, 2, 3] }));
  for (
    const [bytes, name] of [[gzipSync(body), "gzip"], [zlibSync(body), "zlib"], [
      deflateSync(body),
      "deflate",
    ]] as const
  ) {
    const text = base64(bytes);
    assert.deepEqual(decoded(`x ${text} y`).findings.map(({ kind, via }) => [kind, via]), [
      ["AnthropicKey", ["base64", name]],
    ]);
    assert.deepEqual(decoded(`x ${text} y`).undecoded, []);
    assert.deepEqual(decodeBytes(bytes, searchForTest).findings.map(({ via }) => via), [[name]]);
  }
  const nested = base64(
    encoder.encode(base64(gzipSync(encoder.encode(JSON.stringify({ key: base64(KEY) }))))),
  );
  assert.deepEqual(decoded(nested).findings.map(({ via }) => via), [["base64", "gzip"]]);
});

Deno.test("a second member of a gzip stream hides nothing, bytes behind the stream neither harm", () => {
  const first = gzipSync(encoder.encode("nothing here but a sentence"));
  const second = gzipSync(encoder.encode(`and the key ${KEY}`));
  const both = new Uint8Array([...first, ...second]);
  assert.equal(decodeBytes(both, searchForTest).findings.length, 1);
  const trailing = new Uint8Array([...second, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  assert.equal(decodeBytes(trailing, searchForTest).findings.length, 1);
  assert.deepEqual(decodeBytes(trailing, searchForTest).undecoded, []);
});

Deno.test("a bomb ends in a name, not in memory", () => {
  const bomb = gzipSync(new Uint8Array(64 * 1024 * 1024).fill(0x61));
  const { findings, undecoded } = decodeBytes(bomb, searchForTest);
  assert.deepEqual(findings, []);
  assert.deepEqual(undecoded.map(({ reason, via, offset, end }) => [reason, via, offset, end]), [
    ["expansion", ["gzip"], 0, bomb.length],
  ]);
  const inside = decoded(`x ${base64(bomb.subarray(0, 60_000))} y`);
  assert.deepEqual(inside.undecoded.map(({ reason }) => reason), ["expansion"]);
});

Deno.test("a damaged stream is named, and what came out before the damage is searched", () => {
  const noise = Uint8Array.from({ length: 4_000 }, (_, at) => (at * 7919) % 251);
  const body = new Uint8Array([...encoder.encode(`${KEY} `), ...noise]);
  const bytes = gzipSync(body);
  bytes.fill(0xff, bytes.length >> 1);
  const { findings, undecoded } = decodeBytes(bytes, searchForTest);
  assert.equal(findings.length, 1);
  assert.ok(undecoded.every(({ reason }) => reason === "corrupt"));
});

Deno.test("encodings deeper than the bound are named", () => {
  let text = KEY;
  for (let depth = 0; depth < SCANNER_LIMITS.decode_depth + 2; depth++) text = base64(text);
  const { findings, undecoded } = decoded(text);
  assert.deepEqual(findings, []);
  assert.deepEqual(undecoded.map(({ reason, offset }) => [reason, offset]), [["depth", 0]]);
  assert.ok((undecoded[0]?.end ?? 0) > text.length * 0.9, "the part is named in the original text");
  let escaped = "%73k-ant-api03-Abcd1234";
  for (let layer = 0; layer < SCANNER_LIMITS.escape_layers + 1; layer++) {
    escaped = escaped.replaceAll("%", "%25");
  }
  assert.deepEqual(decoded(escaped).undecoded.map(({ reason }) => reason), ["depth"]);
  assert.deepEqual(decoded("\\\\\\\\\\\\\\\\server\\\\share \\\\\\\\d+").undecoded, []);
});

Deno.test("a key written in pieces is put together", () => {
  for (
    const text of [
      '"sk-" + "ant-api03-Abcd1234Efgh5678"',
      "'sk-an' . 't-api03-Abcd1234Efgh5678'",
      '"sk-ant" "-api03-Abcd1234Efgh5678"',
      '"sk-ant-api03-Ab" +\n    "cd1234Efgh5678"',
      '["sk-","ant-api03-Abcd1234Efgh5678"].join("")',
      '"s"+"k"+"-"+"ant-api03-Abcd1234Efgh5678"',
      '"sk-ant-api03-Ab" \\\n  "cd1234Efgh5678"',
      '"sk-" & "ant-api03-Abcd1234Efgh5678"',
    ]
  ) {
    assert.deepEqual(
      decoded(`const k = ${text};`).findings.map(({ kind, via }) => [kind, via.at(-1)]),
      [["AnthropicKey", "joined"]],
      text,
    );
  }
  assert.deepEqual(seen("sk-ant-api03-Abcd\\\n1234Efgh5678").map(([, , via]) => via), [
    "line_continuation",
  ]);
  const quoted = JSON.stringify({ code: 'k = "sk-" + "ant-api03-Abcd1234Efgh5678"' });
  assert.equal(decoded(quoted).findings.length, 1);
});

Deno.test("lists of prefixes, and what follows a secret in a list, are not put together", () => {
  for (
    const text of [
      '["ghp_", "gho_", "ghs_", "github_pat_"]',
      '["xoxb-","xoxp-","xoxa-","xapp-"]',
      '{"a":"sk-","b":"ant-"}',
      '["ghp_AbCdEfGh12345678","release","2024"]',
    ]
  ) assert.deepEqual(decoded(text).findings, [], text);
});

Deno.test("ordinary text of many kinds has nothing behind it", () => {
  for (
    const text of [
      "sha512-tbZNuJrLwGUp3zshBtdy4W+ORxZuIh8a5ilyIEQDC5rY1f3U20JMry0Ll3WBzU58EZKsEuJFXhb5gwv8CsPvgA==",
      "https://example.com/a/b/c?x=%20y&z=%E4%BD%A0%E5%A5%BD",
      "C:\\\\Users\\\\name\\\\file.txt and /usr/local/lib/node_modules/package/index.js",
      '{"a":"line\\nline\\t\\"quoted\\"","b":["one","two","three"]}',
      "<p>Tom &amp; Jerry &lt;3 &#8217;</p>",
      "d41d8cd98f00b204e9800998ecf8427e 550e8400-e29b-41d4-a716-446655440000",
      "AA:BB:CC:DD:EE:FF 12, 34, 56, 78, 90, 12, 34, 56, 78, 90, 12, 34, 56, 78",
      "面倒な処理，全角Ａ１の文字。\u200bกขค",
    ]
  ) assert.deepEqual(decoded(text), { findings: [], undecoded: [] }, text);
});

Deno.test("whatever a key is encoded by, and how often, it is found within the bounds", () => {
  const layers: readonly ((text: string) => string)[] = [
    (text) => base64(text),
    (text) => base64(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", ""),
    (text) => hex(text),
    (text) => hex(text, " "),
    (text) => base64(gzipSync(encoder.encode(text))),
    (text) => base64(zlibSync(encoder.encode(text))),
    (text) => JSON.stringify({ v: text }),
    (text) => [...text].map((sign) => `&#${sign.charCodeAt(0)};`).join(""),
    (text) => [...text].map((sign) => `%${hex(sign)}`).join(""),
    (text) => [...text].map((sign) => `\\u00${hex(sign)}`).join(""),
  ];
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...layers), { minLength: 1, maxLength: 2 }),
      fc.nat({ max: 40 }),
      (chosen, before) => {
        let text = `${"note ".repeat(before)}${KEY} end`;
        for (const layer of chosen) text = layer(text);
        const { findings, undecoded } = decoded(text);
        // JSON alone is no disguise: the key stands in it as it is.
        if (chosen.every((layer) => layer === layers[6])) return;
        assert.ok(findings.some(({ kind }) => kind === "AnthropicKey"), text.slice(0, 200));
        assert.deepEqual(undecoded, []);
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("trap S10: twice the text is twice the decoding, whatever it is made of", () => {
  const units = [
    "QUFB",
    "c2st",
    "%25",
    "\\\\",
    "\\u005c",
    "73 6b ",
    '"a"+',
    '"a",',
    "&amp;",
    "aк",
    "\u200b",
  ];
  for (const unit of units) {
    const spans = [20_000, 40_000].map((size) => {
      const text = unit.repeat(size / unit.length);
      let searched = 0;
      decodeAndSearch(
        copyForTest(text),
        { escapes: true, quotes: true },
        (view) => searched += view.length,
      );
      return searched;
    });
    assert.ok((spans[1] ?? 0) <= (spans[0] ?? 0) * 2.2 + 100, `${unit}: ${spans}`);
    assert.ok((spans[1] ?? 0) <= 40_000 * 40, `${unit}: ${spans}`);
  }
});

Deno.test("a token right behind an escape is parted from the letter the escape is written with", () => {
  // As a tool call carries the lines of a file: `n` and `t` are no part of what follows them.
  for (const escape of ["\\n", "\\t", "\\r", "\\\\n", "\\u0020", "%0A", "&nbsp;", "&#10;"]) {
    const text = `{"file":"line${escape}ghp_abcd1234\\nline"}`;
    const [found] = DEFAULT_SCANNER.scan(text);
    assert.equal(found?.source === "builtin" && found.kind, "GitHubPat", text);
    assert.equal(found?.offset, text.indexOf("ghp_"), text);
  }
  const npm = `npm_${"a1B2c3D4".repeat(4)}a1B2`;
  const found = DEFAULT_SCANNER.scan(`{"file":"line\\n${npm}\\nline"}`);
  assert.ok(found.some((finding) => "detector" in finding && finding.detector === "npm_token"));
  const iban = DEFAULT_SCANNER.scan(JSON.stringify("pay to\nDE89370400440532013000\nnow"));
  assert.ok(iban.some((finding) => "detector" in finding && finding.detector === "iban"));
});
