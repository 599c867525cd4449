import assert from "node:assert/strict";
import fc from "fast-check";
import {
  createScanner,
  type CredentialKind,
  DEFAULT_SCANNER,
  type Finding,
  redact,
} from "./mod.ts";

function builtin(kind: CredentialKind, offset: number, end: number): Finding {
  return { source: "builtin", kind, offset, end };
}

function locale(offset: number, end: number): Finding {
  return {
    source: "locale",
    category: "NATIONAL_ID[zh-TW/arc_new]",
    offset,
    end,
    confidence: "high",
  };
}

Deno.test("a text without findings comes back as it is", () => {
  assert.equal(redact("plain \ud800 text", []), "plain \ud800 text");
});

Deno.test("overlapping findings become one label, named by the strongest", () => {
  const mail = builtin("EmailAddress", 0, 6);
  const noise = builtin("GenericHighEntropy", 0, 8);
  const url = builtin("MysqlUrl", 4, 8);
  assert.equal(redact("01234567x", [mail, noise, url]), "[REDACTED:MysqlUrl]x");
  assert.equal(redact("01234567x", [noise, mail]), "[REDACTED:EmailAddress]x");
  const pat = builtin("GitHubPat", 5, 9);
  assert.equal(redact("01234567x", [pat, url]), "0123[REDACTED:MysqlUrl]", "ties keep the first");
});

Deno.test("findings that only touch keep their own labels", () => {
  const findings = [builtin("GitHubPat", 0, 2), builtin("OpenAiKey", 2, 4)];
  assert.equal(redact("abcd", findings), "[REDACTED:GitHubPat][REDACTED:OpenAiKey]");
});

Deno.test("a locale finding has no kind, and neither has a group with one in it", () => {
  assert.equal(redact("ab cd", [locale(0, 2)]), "[REDACTED] cd");
  assert.equal(redact("ab cd", [builtin("OpenAiKey", 0, 2), locale(1, 5)]), "[REDACTED]");
});

Deno.test("offsets are bytes: text around a finding survives whatever its width", () => {
  assert.equal(redact("é😀key中", [builtin("Custom", 6, 9)]), "é😀[REDACTED:Custom]中");
  assert.equal(redact("\ufeffab", [builtin("Custom", 3, 4)]), "\ufeff[REDACTED:Custom]b");
});

Deno.test("a span that is out of range, reversed or cuts a character hides the whole text", () => {
  const spans = [[0, 99], [-1, 1], [3, 2], [0, 1], [1, 2], [NaN, 2], [0, 1.5], [
    0,
    Infinity,
  ]] as const;
  for (const [offset, end] of spans) {
    assert.equal(redact("éab", [builtin("Custom", offset, end)]), "[REDACTED]", `${offset}-${end}`);
  }
});

Deno.test("a match of nothing leaves its label where it stood", () => {
  assert.equal(redact("ab", [builtin("Custom", 1, 1)]), "a[REDACTED:Custom]b");
});

const SECRETS: readonly string[] = [
  "sk-ant-api03-Qw3rTy1234567890",
  "ghp_AbCdEfGh",
  "AKIAIOSFODNN7EXAMPLE",
  "mysql://root:hunter2@db.internal/app",
  "alice@example.com",
  "4532015112830366",
  "123-45-6789",
  "xoxb-AbCdEf123",
  "aB3dEf7hJk9mNp2qRs5tUva8wXy4zC6gLhQ1VjD0",
];
const filler = fc.constantFrom(
  "",
  "hello world",
  "報表",
  "é",
  "😀",
  "\ud800",
  '{"a":1}',
  "x, y",
  "1",
);
const mixture = fc.array(fc.tuple(filler, fc.constantFrom(...SECRETS), filler), { maxLength: 6 });
const ALL = createScanner({ patterns: [], locale_packs: ["zh-TW"] });

Deno.test("no secret is left in a redacted text, and what is left stays in order", () => {
  fc.assert(
    fc.property(mixture, (parts) => {
      const text = parts.map(([left, secret, right]) => `${left} ${secret} ${right}`).join("\n");
      const clean = redact(text, ALL.scan(text));
      for (const [, secret] of parts) assert.ok(!clean.includes(secret), clean);
      const kept = clean.split(/\[REDACTED(?::\w+)?\]/);
      let at = 0;
      for (const part of kept) {
        const found = text.toWellFormed().indexOf(part, at);
        assert.ok(found >= at, `\`${part}\` is not part of the text`);
        at = found + part.length;
      }
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("the scanner's own labels are never findings", () => {
  fc.assert(
    fc.property(mixture, (parts) => {
      const text = parts.map((part) => part.join(" ")).join(" ");
      const once = redact(text, DEFAULT_SCANNER.scan(text));
      assert.deepEqual(DEFAULT_SCANNER.scan(once), [], once);
    }),
    { numRuns: 1_000 },
  );
});
