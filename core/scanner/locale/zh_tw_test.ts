/** Contract `interception` §2.9 and its cases 30 to 36. */
import assert from "node:assert/strict";
import { createScanner, redact } from "../mod.ts";

const SCANNER = createScanner({ patterns: [], locale_packs: ["zh-TW"] });

/** Locale findings as `variant@offset-end:confidence`. */
function found(text: string): string {
  return SCANNER.scan(text)
    .flatMap((finding) =>
      finding.source === "locale"
        ? [
          `${
            /\/(\w+)/.exec(finding.category)?.[1]
          }@${finding.offset}-${finding.end}:${finding.confidence}`,
        ]
        : []
    )
    .join(" ");
}

/** Case of §10.1, text, and the findings that hold. */
const CASES: readonly (readonly [id: number, text: string, expected: string])[] = [
  [30, "統編12345675", "business_id@6-14:medium"],
  [31, "身分證 A200000003", "national_id@10-20:high"],
  [32, "居留證 A800000005", "arc_new@10-20:high"],
  [32, "統一證號：AB00000001", "arc_legacy@15-25:high"],
  [33, "身分證 A200000008", ""],
  [33, "居留證 AB00000005", ""],
  [33, '{"order_id":12345675}', ""],
  [33, "/orders/12345675/items", ""],
  [33, "https://example.test/?id=12345675", ""],
  [33, "SELECT * FROM t WHERE id = 12345675", ""],
  [34, '{"統一編號":"12345675"}', "business_id@17-25:medium"],
  [34, "The tax id is 12345675.", "business_id@14-22:medium"],
  [35, "電話 0912345678 order_id=12345675", "mobile@7-17:high"],
  [36, "電話 02-23456789", "landline@7-18:medium"],
  [36, "電話 037-456789", "landline@7-17:medium"],
  [36, "電話 01-23456789", ""],
  [36, "電話 02-2345678", ""],
  [36, "電話 0223456789", ""],
];

for (const [id, text, expected] of CASES) {
  Deno.test(`interception 10.1 #${id}: zh-TW finds ${expected || "nothing"} in \`${text}\``, () => {
    assert.equal(found(text), expected);
    const clean = redact(text, SCANNER.scan(text));
    const offset = Number(/@(\d+)/.exec(expected)?.[1] ?? -1);
    assert.equal(clean.indexOf("[REDACTED]") >= 0, expected !== "");
    if (offset >= 0) {
      const before = new TextDecoder().decode(new TextEncoder().encode(text).slice(0, offset));
      assert.ok(clean.startsWith(`${before}[REDACTED]`), clean);
    }
  });
}

const FOUND: readonly (readonly [text: string, expected: string])[] = [
  ["身分證 A200000003", "national_id@10-20:high"],
  ["A123456789", "national_id@0-10:medium"],
  ["B100000002", "national_id@0-10:medium"],
  ["Z100000002", "national_id@0-10:medium"],
  ["I100000003", "national_id@0-10:medium"],
  ["O100000004", "national_id@0-10:medium"],
  ["W100000001", "national_id@0-10:medium"],
  ["居留證 A800000005", "arc_new@10-20:high"],
  ["統一證號：AB00000001", "arc_legacy@15-25:high"],
  ["身分證Ａ２０００００００３。", "national_id@9-39:high"],
  ["身份證 a200000003", "national_id@10-20:high"],
  ["A200000003.", "national_id@0-10:medium"],
  ["A200000003, A123456789", "national_id@0-10:medium national_id@12-22:medium"],
  ["統編12345675", "business_id@6-14:medium"],
  ["統編：１２３４５６７５", "business_id@9-33:medium"],
  ['{"統一編號":"12345675"}', "business_id@17-25:medium"],
  ["The tax id is 12345675.", "business_id@14-22:medium"],
  ['{"tax_id":12345675}', "business_id@10-18:medium"],
  ["VAT: 12345675", "business_id@5-13:medium"],
  ["本公司 12345675 於今日", "business_id@10-18:low"],
  ["本公司12345675", "business_id@9-17:low"],
  ["電話 0912345678 order_id=12345675", "mobile@7-17:high"],
  ["0912-345-678", "mobile@0-12:medium"],
  ["+886 912 345 678", "mobile@0-16:medium"],
  ["+886912345678", "mobile@0-13:medium"],
  ["手機０９１２３４５６７８", "mobile@6-36:high"],
  ["電話 02-23456789", "landline@7-18:medium"],
  ["電話：037-456789", "landline@9-19:medium"],
  ["02-2345-6789", "landline@0-12:low"],
  ["(02) 2345-6789", "landline@0-14:low"],
  ["（０２）２３４５６７８９", "landline@0-36:low"],
  ["+886-2-23456789", "landline@0-15:low"],
  ["04-2345678 04-23456789", "landline@0-10:low landline@11-22:low"],
  ["0826-12345 082-345678 089-345678", "landline@0-10:low landline@11-21:low landline@22-32:low"],
];

for (const [text, expected] of FOUND) {
  Deno.test(`zh-TW finds ${expected} in \`${text}\``, () => {
    assert.equal(found(text), expected);
  });
}

const CLEAN: readonly string[] = [
  "A200000008",
  "AB00000005",
  "AE00000001",
  "A300000001",
  "xA200000003",
  "A2000000031",
  "A200000003.5",
  "1.A200000003",
  "a200000003",
  '{"order_id":12345675}',
  "/orders/12345675/items",
  "https://example.test/?id=12345675",
  "SELECT * FROM t WHERE id = 12345675",
  "12345675",
  "本公司 12345678 於今日",
  "統編10000003",
  "本公司 123456751 於今日",
  "private 12345675",
  "tax identity of 12345675",
  "tax id is given far above, in another part: 12345675",
  "01-23456789",
  "02-2345678",
  "02-234567890",
  "0223456789",
  "09123456789",
  "091234567",
  "+887912345678",
  "報表期間　２０２４－０１－０１　至　２０２４－１２－３１，共 365 天。",
];

for (const text of CLEAN) {
  Deno.test(`zh-TW finds nothing in \`${text}\``, () => {
    assert.equal(found(text), "");
  });
}

Deno.test("D8: an ARC number is replaced by a label without a kind", () => {
  const text = "號碼 A800000005 結束";
  assert.equal(redact(text, SCANNER.scan(text)), "號碼 [REDACTED] 結束");
});

Deno.test("D10: one digit changed makes an identity number none", () => {
  const valid = "A800000005";
  for (let place = 2; place < valid.length; place++) {
    const weight = place === 9 ? 1 : 9 - place;
    for (let digit = 0; digit < 10; digit++) {
      // Even weights and 5 share a factor with 10, so some changes leave the sum valid.
      const change = weight * (digit - Number(valid[place])) % 10;
      const text = valid.slice(0, place) + digit + valid.slice(place + 1);
      assert.equal(found(text) === "", change !== 0, text);
    }
  }
});

Deno.test("any business number with a seven in seventh place may count it as ten or as one", () => {
  assert.equal(found("統編10000070"), "");
  assert.equal(found("統編10000077"), "");
  assert.equal(found("統編10000074"), "business_id@6-14:medium");
  assert.equal(found("統編10000073"), "business_id@6-14:medium");
});
