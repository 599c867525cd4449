import assert from "node:assert/strict";
import fc from "fast-check";
import { LIMITS } from "../limits.ts";
import {
  compilePattern,
  createScanner,
  DEFAULT_SCANNER,
  isKnownLocalePack,
  redact,
  ScanLimitError,
  UnknownLocalePackError,
} from "./mod.ts";
import { encodeText } from "./utf8.ts";

Deno.test("D1: an OpenAI key in arguments is found without any policy", () => {
  const args = '{"query":"use sk-proj-Abcdefgh12345678 please"}';
  assert.equal(
    redact(args, DEFAULT_SCANNER.scan(args)),
    '{"query":"use [REDACTED:OpenAiKey] please"}',
  );
});

Deno.test("D6: clean arguments hold nothing", () => {
  assert.deepEqual(DEFAULT_SCANNER.scan('{"tool": "search", "query": "weather in Paris"}'), []);
  assert.deepEqual(DEFAULT_SCANNER.scan(""), []);
});

Deno.test("D7: an unknown locale pack is refused by name", () => {
  assert.throws(
    () => createScanner({ patterns: [], locale_packs: ["zh-TW", "xx-YY"] }),
    (error) => error instanceof UnknownLocalePackError && error.tag === "xx-YY",
  );
  assert.ok(isKnownLocalePack("ZH-tw"));
  assert.ok(!isKnownLocalePack("zh"));
});

Deno.test("findings of all sources come by offset, built-in before pattern before locale", () => {
  const pattern = compilePattern("A8\\d+");
  assert.ok(pattern.ok);
  const scanner = createScanner({ patterns: [pattern.pattern], locale_packs: ["zh-tw"] });
  const found = scanner.scan("居留證 A800000005 ghp_AbCdEfGh");
  assert.deepEqual(
    found.map((finding) => [finding.source, finding.offset]),
    [["pattern", 10], ["locale", 10], ["builtin", 21]],
  );
});

Deno.test("more findings than are kept is an error, not a shorter list", () => {
  const secret = "ghp_AbCdEfGh ";
  assert.equal(DEFAULT_SCANNER.scan(secret.repeat(LIMITS.scan_findings)).length, 10_000);
  assert.throws(
    () => DEFAULT_SCANNER.scan(secret.repeat(LIMITS.scan_findings + 1)),
    ScanLimitError,
  );
});

Deno.test("a text leaves nothing behind that the next scan could find", () => {
  DEFAULT_SCANNER.scan("x".repeat(40) + " ghp_AbCdEfGh alice@example.com 4532015112830366");
  assert.deepEqual(DEFAULT_SCANNER.scan("x".repeat(40) + " ghp_"), []);
  assert.deepEqual(DEFAULT_SCANNER.scan("alice@example"), []);
  assert.deepEqual(DEFAULT_SCANNER.scan("453201511283"), []);
});

Deno.test("no text outlives its scan in the shared buffer", () => {
  DEFAULT_SCANNER.scan("ghp_AbCdEfGh and more");
  const { bytes } = encodeText("");
  assert.ok(bytes.subarray(1, 100).every((byte) => byte === 0 || byte === 0x20));
});

Deno.test("any text at all is scanned without an error, with findings in order and in range", () => {
  const scanner = createScanner({ patterns: [], locale_packs: ["zh-TW"] });
  const unit = fc.oneof(
    fc.string({ unit: "binary", maxLength: 4 }),
    fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)),
    fc.constantFrom(
      "sk-ant-Abcd1234",
      "a@b.cd",
      "4532015112830366",
      "A800000005",
      "\ud83d",
      "電話",
    ),
  );
  fc.assert(
    fc.property(fc.array(unit, { maxLength: 30 }), (units) => {
      const text = units.join("");
      const bytes = new TextEncoder().encode(text);
      let previous = 0;
      for (const { offset, end } of scanner.scan(text)) {
        assert.ok(offset >= previous && offset < end && end <= bytes.length);
        for (const at of [offset, end]) assert.notEqual((bytes[at] ?? 0) & 0xc0, 0x80);
        previous = offset;
      }
      redact(text, scanner.scan(text));
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("an unpaired surrogate counts as the three bytes it is sent as", () => {
  assert.deepEqual(
    DEFAULT_SCANNER.scan("\ud800 ghp_AbCdEfGh").map(({ offset, end }) => [offset, end]),
    [[4, 16]],
  );
});

Deno.test("two texts joined by a line break keep the findings of each", () => {
  const part = fc.constantFrom(
    "tok=ghp_AbCdEfGh",
    "mail alice@example.com",
    "card 4532015112830366",
    "nothing here",
    "報表 AKIAIOSFODNN7EXAMPLE",
    "token=aB3dEfGhIjKlMnOpQrStUvWxYz0123456789AB",
  );
  fc.assert(fc.property(part, part, (left, right) => {
    const shift = new TextEncoder().encode(left).length + 1;
    const joined = DEFAULT_SCANNER.scan(`${left}\n${right}`);
    const alone = [
      ...DEFAULT_SCANNER.scan(left),
      ...DEFAULT_SCANNER.scan(right).map((finding) => ({
        ...finding,
        offset: finding.offset + shift,
        end: finding.end + shift,
      })),
    ];
    for (const finding of alone) {
      assert.ok(joined.some(({ offset, end }) => offset <= finding.offset && end >= finding.end));
    }
  }));
});
