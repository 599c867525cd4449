import assert from "node:assert/strict";
import fc from "fast-check";
import { LIMITS } from "../limits.ts";
import { CompiledPattern, compilePattern, createScanner, redact, ScanLimitError } from "./mod.ts";

function compiled(source: string): CompiledPattern {
  const result = compilePattern(source);
  assert.ok(result.ok, source);
  return result.pattern;
}

function scan(source: string, text: string): [offset: number, end: number][] {
  const scanner = createScanner({ patterns: [compiled(source)], locale_packs: [] });
  return scanner.scan(text)
    .filter((finding) => finding.source === "pattern")
    .map(({ offset, end }) => [offset, end]);
}

Deno.test("D2: a match of a policy pattern is redacted as Custom", () => {
  const scanner = createScanner({ patterns: [compiled("password=\\w+")], locale_packs: [] });
  const text = "user=a password=secret end";
  assert.deepEqual(scanner.scan(text), [
    { source: "pattern", kind: "Custom", offset: 7, end: 22 },
  ]);
  assert.equal(redact(text, scanner.scan(text)), "user=a [REDACTED:Custom] end");
});

Deno.test("offsets of matches are bytes, also behind wide and broken characters", () => {
  assert.deepEqual(scan("key\\d", "é中😀key1 \ud800key2"), [[9, 13], [17, 21]]);
});

Deno.test("a match of nothing counts as a finding", () => {
  assert.deepEqual(scan("x*", "ab"), [[0, 0], [1, 1], [2, 2]]);
});

Deno.test("a pattern that is not RE2 is refused, and the message says what was expected", () => {
  for (const source of ["[unclosed", "(?=a)b", "(?<!a)b", "(a)\\1", "a{1001}", "(a{1000}){1000}"]) {
    const result = compilePattern(source);
    assert.ok(!result.ok, source);
    assert.match(result.message, /^expected a regular expression in RE2 syntax/);
  }
  const empty = compilePattern("");
  assert.ok(!empty.ok);
  assert.match(empty.message, /^expected a regular expression, received an empty one/);
});

Deno.test("a pattern that is too long or compiles too large is refused", () => {
  const long = compilePattern("a".repeat(LIMITS.pattern_chars + 1));
  assert.ok(!long.ok);
  assert.match(long.message, /at most 4096 characters/);
  const large = compilePattern("\\w{900}".repeat(50));
  assert.ok(!large.ok);
  assert.match(large.message, /at most 20000 instructions|RE2 syntax/);
  assert.ok(!compilePattern("(".repeat(2_000) + ")".repeat(2_000)).ok);
});

Deno.test("no source makes the compiler throw", () => {
  const piece = fc.constantFrom(
    ..."()[]{}*+?|\\^$.-,:<>=!Pp1a",
    "\\Q",
    "\\E",
    "[[:",
    ":]]",
    "\ud800",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const result = compilePattern(pieces.join(""));
      assert.equal(typeof result.ok, "boolean");
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("a pattern made to explode on a back-tracking engine ends", () => {
  assert.deepEqual(scan("(a+)+$", "a".repeat(100_000) + "!"), []);
  assert.deepEqual(scan("(a|aa)+b", "a".repeat(100_000)), []);
});

Deno.test("a pattern that reads to the end for every match is stopped, not waited for", () => {
  const text = ("a" + " ".repeat(19)).repeat(5_000);
  for (const source of ["a.*b|a", "a.{0,}b|a", "a.+b|a", "a[^+*]{2,}b|a"]) {
    assert.throws(() => scan(source, text), /the work of pattern `a/, source);
  }
  assert.equal(scan("a.*b|a", text.slice(0, 20_000)).length, 1_000);
});

Deno.test("a pattern with a longest match is not stopped, whatever signs its literals hold", () => {
  const text = "x1 ".repeat(9_000);
  for (const source of ["x\\d", "x[+*1]", "x(?:1|\\+|\\*)", "x(?:1|\\Q+*\\E)", "x[]*+1]"]) {
    assert.equal(scan(source, text).length, 9_000, source);
  }
});

Deno.test("more matches than are kept is an error, so that the caller redacts everything", () => {
  assert.throws(
    () => scan("z", "z".repeat(LIMITS.scan_findings + 1)),
    (error) => error instanceof ScanLimitError && error.limit === LIMITS.scan_findings,
  );
  assert.equal(scan("z", "z".repeat(LIMITS.scan_findings)).length, LIMITS.scan_findings);
});
