/** Leaving escapes where they are must hide nothing that taking them off shows. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { findBuiltIn, scanThoroughly } from "../scanner.ts";
import { encodeText, forgetText } from "../utf8.ts";

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

Deno.test("escapes that are left on hide nothing: the scan equals the one that takes them all off", () => {
  let behind = 0;
  fc.assert(
    fc.property(hostile, fc.boolean(), (text, strict) => {
      const { fast, thorough } = both(text, strict);
      if (JSON.stringify(thorough).includes('"via"')) behind++;
      assert.deepEqual(fast, thorough);
    }),
    { numRuns: 3_000 },
  );
  assert.ok(behind > 100, "the texts must hide something");
});

/** Quotes, few words and escapes alone, so that most texts hold chains and are calm. */
const calm = fc.array(
  fc.oneof(
    { arbitrary: fc.constantFrom("\\n", "\\t", '\\"', "\\'", "\\\\", "\\\\n"), weight: 3 },
    { arbitrary: fc.constantFrom('"', "'", " ", "+", ",", ".", "\n"), weight: 6 },
    {
      arbitrary: fc.constantFrom("gh", "p_", "abcd1234", "AK", "IA", "IOSFODNN7", "EXAMPLE"),
      weight: 4,
    },
    {
      arbitrary: fc.constantFrom(
        "DE",
        "89370400440532013000",
        "x",
        "41",
        "41 4b 49 41 49 4f 53 46 4f 44 4e 4e 37 45",
      ),
      weight: 1,
    },
  ),
  { minLength: 4, maxLength: 18 },
).map((parts) => parts.join(""));

Deno.test("pieces of a key are put together whether their quotes and spaces are escaped or not", () => {
  fc.assert(
    fc.property(calm, fc.boolean(), (text, strict) => {
      const { fast, thorough } = both(text, strict);
      assert.deepEqual(fast, thorough);
    }),
    { numRuns: 3_000 },
  );
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
    ]
  ) {
    const { fast, thorough } = both(text, false);
    assert.ok(fast.length > 0, text);
    assert.deepEqual(fast, thorough, text);
  }
});
