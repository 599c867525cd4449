/** Leaving escapes where they are must hide nothing that taking them off shows. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { findBuiltIn, scanThoroughly } from "../scanner.ts";
import { encodeText, forgetText } from "../utf8.ts";

/** Base64 in which a key lies across the 36th character. */
const WRAPPED = btoa(`${"-".repeat(20)}AKIAIOSFODNN7EXAMPLE!!`);

/** A key in pairs of hex over three lines, whose ends are escaped. */
const hexLines = [..."AKIAIOSFODNN7EXAMPLE"]
  .map((sign, index) => sign.charCodeAt(0).toString(16) + (index % 8 === 7 ? "\\n" : " ")).join("");

/** The scan, and the scan with every pass run over all of the text and of the text behind it. */
function both(text: string, strict: boolean): { fast: unknown[]; thorough: unknown[] } {
  const utf8 = encodeText(text);
  const fast = findBuiltIn(utf8, strict).findings;
  forgetText(utf8);
  const again = encodeText(text);
  const thorough = scanThoroughly(again, strict);
  forgetText(again);
  return { fast, thorough };
}

const escape = fc.constantFrom(
  ...[
    "\\n",
    "\\n",
    "\\t",
    "\\r",
    '\\"',
    '\\"',
    "\\'",
    "\\`",
    "\\\\",
    "\\\\n",
    '\\\\"',
    "\\d",
    "\\(",
  ],
  ...[
    "\\\\\n",
    "\\\\\\n",
    "\\\n",
    "\\/",
    "\\u0041",
    "%41",
    "% 4",
    "&amp;",
    "&&",
    "& b;",
    "\\\\x41",
  ],
);
const sign = fc.constantFrom(
  ...['"', '"', "'", "`", " ", " ", "\n", "+", ",", ".", ":", ";", "{", ")", "  ", "\r\n", "="],
);
const number = fc.constantFrom(
  ...["4111 1111 1111 1111", "DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "9", "12"],
  ...["123-45-6789", "social 123.45.6789", "1. "],
);
const BASE64_KEY = btoa("-- AKIAIOSFODNN7EXAMPLE and sk-ant-api03-Abcd1234Efgh5678 --");
const encoded = fc.constantFrom(
  ...[BASE64_KEY, BASE64_KEY.slice(0, 40), BASE64_KEY.slice(40), BASE64_KEY.slice(7)],
  ...["414b4941494f53464f444e4e374558414d504c45", "41", "4b", "49", "0x41", "41 4b 49 41 49 4f 53"],
  ...["46 4f 44 4e 4e 37 45 58 41 4d 50 4c 45", "41,4b,49,41,49,4f,53,46,4f,44,4e,4e,37,45,58"],
);
const piece = fc.constantFrom(
  ...[
    "AKIA",
    "IOSFODNN7",
    "EXAMPLE",
    "sk-ant-",
    "api03-Abcd1234",
    "ghp_",
    "ghp_abcd1234",
    "n",
    "t",
  ],
  ...[
    "npm_",
    "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "xai-",
    "Zz9Yy8Xx7Ww6".repeat(6),
    "word",
    "b",
  ],
  ...[
    "https://ab.example/",
    "https://ada:pw1@ab.example",
    "postgres://u:p@h/d",
    "Bearer ",
    "Basic ",
  ],
  ...[
    "cookie",
    "Cookie: ",
    "a1B2c3D4e5F6g7H8i9J0k",
    "service_account",
    "type",
    "password",
    "FlyV1",
  ],
  ...["-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "AccountKey=", "fm2_"],
);
const weighted = fc.oneof(
  { arbitrary: escape, weight: 6 },
  { arbitrary: sign, weight: 6 },
  { arbitrary: number, weight: 1 },
  { arbitrary: encoded, weight: 2 },
  { arbitrary: piece, weight: 4 },
);
const hostile = fc.array(weighted, { minLength: 3, maxLength: 16 }).map((parts) => parts.join(""));

/** Without whole prefixes, which alone have all escapes taken off. */
const quiet = fc.array(
  fc.oneof(
    {
      arbitrary: fc.constantFrom("\\n", "\\t", "\\r", '\\"', "\\\\", "\\\\n", "\n", "%41"),
      weight: 6,
    },
    { arbitrary: fc.constantFrom('"', " ", " ", ",", ":", "="), weight: 3 },
    { arbitrary: fc.oneof(number, encoded), weight: 4 },
    {
      arbitrary: fc.constantFrom("Bearer ", "a1B2c3D4e5F6g7H8i9J0k", "word", "cookie", "n"),
      weight: 2,
    },
    {
      arbitrary: fc.constantFrom('"type', "service_account", `xai-${"Zz9Yy8Xx7Ww6".repeat(6)}`),
      weight: 1,
    },
    { arbitrary: fc.constantFrom("KIAIOSFODNN7EXAMPLE"), weight: 1 },
  ),
  { minLength: 2, maxLength: 8 },
).map((parts) => parts.join(""));

Deno.test("escapes that are left on hide nothing: the scan equals the one that takes them all off", () => {
  let behind = 0;
  fc.assert(
    fc.property(fc.oneof(hostile, quiet, quiet), fc.boolean(), (text, strict) => {
      const { fast, thorough } = both(text, strict);
      if (JSON.stringify(thorough).includes('"via"')) behind++;
      assert.deepEqual(fast, thorough);
    }),
    { numRuns: 4_000 },
  );
  assert.ok(behind > 100, "the texts must hide something");
});

const quote = fc.constantFrom('"', "'", "`", '\\"', "\\'", '\\\\"');
const glue = fc.array(
  fc.constantFrom(" ", "+", ",", ".", "\n", "\\n", "\\t", "\\\\n", "\\", "n", "    "),
  { maxLength: 4 },
).map((parts) => parts.join(""));
const key = fc.constantFrom("ghp_abcd1234efgh5678", "AKIAIOSFODNN7EXAMPLE", "npm", BASE64_KEY);
/** A key in three quoted pieces. */
const pieces = fc.tuple(key, fc.nat({ max: 20 }), fc.nat({ max: 20 }), quote, quote, glue, glue)
  .map(([text, one, two, first, second, left, right]) => {
    const [from, to] = one < two ? [one, two] : [two, one];
    return `x ${first}${text.slice(0, from)}${first}${left}${second}${text.slice(from, to)}` +
      `${second}${right}${first}${text.slice(to)}${first} y`;
  });

Deno.test("pieces of a key are put together whether their quotes and spaces are escaped or not", () => {
  let joined = 0;
  fc.assert(
    fc.property(pieces, fc.boolean(), (text, strict) => {
      const { fast, thorough } = both(text, strict);
      if (JSON.stringify(thorough).includes('"joined"')) joined++;
      assert.deepEqual(fast, thorough);
    }),
    { numRuns: 3_000 },
  );
  assert.ok(joined > 50, "the pieces must make keys");
  for (
    const text of [
      `{"code":"a = \\"ghp_abcd\\" + \\"1234efgh5678\\""}`,
      `{"code":"a = 'ghp_abcd' +\\n  '1234efgh5678'"}`,
      `{"code":"a = 'ghp_ab\\\\' + 'cd'\\n 'ghp_abcd' '1234efgh5678'"}`,
      `{"key":"-----BEGIN PRIVATE KEY-----\\n${
        "MIIEvQIBADANBgkq".repeat(8)
      }\\n-----END PRIVATE KEY-----"}`,
      `{"a":"{\\"type\\": \\"service_account\\", \\"x\\": 1}"}`,
      `{"a":"x\\nBearer a1B2c3D4e5F6g7H8i9J0k1L2m3N4"}`,
      `{"a":"${BASE64_KEY.slice(0, 40)}\\n${BASE64_KEY.slice(40)}"}`,
      `{"a":"x\\n${BASE64_KEY}"}`,
      `{"a":"x\\nxai-${"Zz9Yy8Xx7Ww6".repeat(6)}\\n"}`,
      `{"a":"x\\nDE89370400440532013000"}`,
      `{"a":"\\"Cookie\\": \\"s=a1B2c3D4e5F6g7H8i9J0k1L2m3\\""}`,
      `{"a":"${hexLines}"}`,
      `{"a":"{\\"type\\":\\"service_account\\"}"}`,
      `{"a":"gh\\\\\\np_abcd1234"}`,
      `{"a":"${WRAPPED.slice(0, 36)}\\n${WRAPPED.slice(36)}"}`,
      `{"a":"${WRAPPED.slice(0, 36)}\n${WRAPPED.slice(36)}\\"}`,
      `{"a":"k = 'AK' +\\n 'IAIOSFODNN7EXAMPLE'"}`,
      `{"a":"k = \\"AK\\" \\"IAIOSFODNN7EXAMPLE\\""}`,
    ]
  ) {
    const { fast, thorough } = both(text, false);
    assert.ok(fast.length > 0, text);
    assert.deepEqual(fast, thorough, text);
  }
});
