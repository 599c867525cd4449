/** Hostile policy texts: each is a located error or a correct load, never a crash or a hang. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { LIMITS } from "../limits.ts";
import { loadPolicy } from "./load.ts";
import { loaded, place, refused, refusedFor } from "./load_fixture.ts";

/** A syntax problem of the whole text. */
function syntax(text: string | Uint8Array, phrase: string): string {
  const problems = refused(text);
  const problem = problems.find(({ message }) => message.includes(phrase));
  if (problem === undefined) assert.fail(`${phrase}: ${JSON.stringify(problems.slice(0, 3))}`);
  assert.equal(problem.field, "(document)");
  return place(problem);
}

Deno.test("an alias bomb stays small and is told by its first unknown key", () => {
  const levels = "bcdefghi".split("").map((name, index) => {
    const inner = "abcdefghi"[index];
    return `${name}: &${name} [${Array(9).fill(`*${inner}`).join(", ")}]\n`;
  });
  const problems = refused(`a: &a [x, x, x, x, x, x, x, x, x]\n${levels.join("")}`);
  assert.equal(problems[0]?.field, "a");
  const shared = `tools: {a: &r {allow: true}${
    Array.from({ length: LIMITS.policy_aliases }, (_, index) => `, t${index}: *r`).join("")
  }}`;
  assert.equal(loaded(shared).tools.size, LIMITS.policy_aliases + 1);
  syntax(`${shared.slice(0, -1)}, one_more: *r}`, "aliases");
});

Deno.test("an alias cannot stand inside its own anchor, nor before it", () => {
  assert.equal(syntax("tools: &t {a: *t}", "inside its own anchor"), "1:15");
  assert.equal(syntax("tools: &t\n  a: {b: [*t]}", "inside its own anchor"), "2:11");
  assert.equal(syntax("tools: *t\nnetwork: &t {}", "no anchor that stands before it"), "1:8");
});

Deno.test("merge keys are refused, whatever they would merge", () => {
  assert.equal(syntax("x: &x {allow: true}\ntools: {a: {<<: *x}}", "merge keys"), "2:13");
  assert.equal(loaded('tools: {"<<": {allow: true}}').tools.get("<<")?.allow, true);
});

Deno.test("duplicate keys are refused with both places, at every level", () => {
  assert.equal(syntax("tools: {}\nscope: global\ntools: {}", "already on line 1"), "3:1");
  assert.equal(syntax("tools:\n  a: {allow: false}\n  'a': {allow: true}", "line 2"), "3:3");
  assert.equal(syntax("tools: {a: {allow: false, allow: true}}", "duplicate key `allow`"), "1:27");
});

Deno.test("one document per file", () => {
  assert.equal(syntax("scope: global\n---\nscope: org:a\n", "more than one document"), "2:1");
  assert.equal(syntax("{}\n...\n---\n{}\n", "more than one document"), "3:1");
  assert.equal(loaded("---\nscope: org:a\n...\n").scope.tier, "org");
});

Deno.test("tags beyond the core schema and directives are refused", () => {
  assert.equal(syntax("scope: !!binary aGk=", "tag"), "1:17");
  assert.equal(syntax("tools: !!js/function x", "tag"), "1:8");
  assert.equal(syntax("tools: !custom {}", "tag"), "1:8");
  assert.equal(syntax("tools: !!set {a}", "tag"), "1:14");
  assert.equal(syntax("tools: !!omap [a: {}]", "tag"), "1:15");
  assert.equal(syntax("%TAG ! tag:x,2000:\n---\n{}", "directives"), "1:1");
  assert.equal(syntax("%FOO bar\n---\n{}", "directives"), "1:1");
  assert.equal(loaded("version: !!str 5").version, "5");
});

Deno.test("YAML 1.1 does not bring back its booleans", () => {
  refusedFor("%YAML 1.1\n---\ntools: {a: {allow: yes}}", "tools.a.allow", "`true` or `false`");
  refusedFor("tools: {a: {allow: on}}", "tools.a.allow", "`true` or `false`");
});

Deno.test("keys are texts", () => {
  assert.equal(syntax("? [a]\n: b", "a key must be a text"), "1:3");
  assert.equal(syntax("tools: {? {a: b} : {}}", "a key must be a text"), "1:11");
  assert.equal(syntax("tools:\n  ~: {allow: true}", "a key must be a text"), "2:3");
  assert.equal(syntax("tools:\n  : {allow: true}", "a key must be a text"), "2:3");
});

Deno.test("bytes that are not UTF-8 are told with their place", () => {
  const bytes = (...tail: number[]) =>
    new Uint8Array([...new TextEncoder().encode("é: 1\nbé: "), ...tail]);
  const wrong = [
    [0xff],
    [0xc3],
    [0xc0, 0x80],
    [0xe0, 0x80, 0x80],
    [0xed, 0xa0, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xf5, 0x80, 0x80, 0x80],
    [0xe2, 0x82],
    [0x80],
  ];
  for (const tail of wrong) assert.equal(syntax(bytes(...tail), "byte offset 11"), "2:5");
  assert.equal(syntax(new Uint8Array([0xff, 0xfe, 0x61, 0]), "byte offset 0"), "1:1");
  syntax("scope: \ud800", "unpaired surrogate");
});

Deno.test("a byte order mark is skipped and not counted", () => {
  const bytes = new Uint8Array([0xef, 0xbb, 0xbf, ...new TextEncoder().encode("scope: x")]);
  assert.equal(place(refused(bytes)[0]), "1:8");
  assert.equal(place(refused("\ufeffscope: x")[0]), "1:8");
});

Deno.test("control characters are refused, tabs and line ends are not", () => {
  assert.equal(syntax("scope: a\0b", "U+0000"), "1:9");
  assert.equal(syntax("scope: x\n# \u001b[2J\n", "U+001B"), "2:3");
  assert.equal(loaded('scope: "org:a"\t# tab\r\n').scope.tier, "org");
});

Deno.test("a file beyond the size bound is refused unread", () => {
  const bytes = LIMITS.policy_file_bytes;
  for (
    const source of [new Uint8Array(bytes + 1), " ".repeat(bytes + 1), "é".repeat(bytes / 2 + 1)]
  ) {
    syntax(source, "more than the limit");
  }
  assert.ok(loadPolicy("p", new Uint8Array(bytes).fill(0x20)).ok);
});

Deno.test("nesting, tokens, rules and problems are bounded", () => {
  const depth = LIMITS.policy_depth;
  for (const unit of ["[", "{", "- ", "? ", "a: [", "[a, "]) {
    syntax(unit.repeat(100_000), "nested deeper");
  }
  syntax(
    Array.from({ length: depth * 2 }, (_, level) => `${" ".repeat(level)}a:`).join("\n"),
    "nested",
  );
  syntax("\n".repeat(LIMITS.policy_nodes + 1), "tokens");
  const rules = refused(
    `tools:\n${
      Array.from({ length: 100_000 }, (_, index) => `  t${index}: {allow: true}\n`).join("")
    }`,
  );
  assert.equal(rules.length, 1);
  assert.match(rules[0]?.message ?? "", /more than 50000 rules/);
  assert.equal(rules[0]?.line, LIMITS.policy_rules + 2);
  const result = loadPolicy(
    "p",
    Array.from({ length: 5_000 }, (_, index) => `k${index}: 1\n`).join(""),
  );
  assert.ok(!result.ok);
  assert.equal(result.problems.length, LIMITS.policy_problems);
  assert.equal(result.omitted, 4_000);
});

Deno.test("a flood of syntax errors is cut short", () => {
  for (const unit of ['"', "]", "}", "[]", "*a ", "&a ", "!a ", "%a\n", "@", "`"]) {
    const problems = refused(unit.repeat(50_000));
    assert.ok(problems.length <= 20, unit);
    assert.equal(problems[0]?.field, "(document)", unit);
  }
});

Deno.test("ten thousand tools with conditions load", () => {
  const text = `tools:\n${
    Array.from(
      { length: 10_000 },
      (_, index) =>
        `  tool_${index}:\n    allow: true\n    limit_per_hour: ${index}\n` +
        `    requires_approval_if: args.amount > ${index}\n`,
    ).join("")
  }`;
  const { tools } = loaded(text);
  assert.equal(tools.size, 10_000);
  assert.deepEqual(tools.get("tool_9999")?.at, { line: 4 * 9_999 + 2, column: 3 });
});

Deno.test("a path of a million components is refused, not walked", () => {
  refusedFor(
    `filesystem: {read: {allow: ["${"/a".repeat(1_000_000)}"]}}`,
    "filesystem.read.allow[0]",
    "limit",
  );
});

const FRAGMENTS = [
  ...["tools:", "scope: team:a", "network: {allowlist: [", "]}", "spec:", "  ", "\n", "\n  ", "- "],
  ...["x: ", "allow: true", "requires_approval_if: ", 'tool == "a"', "&a ", "*a", "<<: ", "!!str "],
  ...[
    "{",
    "}",
    "[",
    "]",
    ",",
    ": ",
    "? ",
    "|",
    ">-",
    "'",
    '"',
    "#",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
  ],
  ...[
    "budget:",
    "daily_limit_usd: ",
    "1e400",
    "0x",
    ".nan",
    "null",
    "~",
    "\t",
    "\r",
    "\ufeff",
    "\u2028",
  ],
  ...["schedule: {active_hours: {start: '09:00'", "data: {sensitive_patterns: ['a**']}", "é", "😀"],
];

Deno.test("no text and no bytes make the loader throw, and every problem has a place in the text", () => {
  const salad = fc.array(fc.constantFrom(...FRAGMENTS), { maxLength: 40 }).map((parts) =>
    parts.join("")
  );
  const source = fc.oneof(
    salad,
    fc.string({ unit: "binary", maxLength: 200 }),
    fc.uint8Array({ maxLength: 200 }),
  );
  fc.assert(
    fc.property(source, fc.boolean(), (text, reject_blank) => {
      const result = loadPolicy("p", text, { reject_blank });
      if (result.ok) {
        assert.match(result.document.digest, /^sha256:/);
        return;
      }
      assert.notEqual(result.problems.length, 0);
      for (const { line, column, message, field } of result.problems) {
        assert.notEqual(message, "");
        assert.notEqual(field, "");
        assert.equal(line === undefined, column === undefined);
        if (typeof text === "string" && line !== undefined && column !== undefined) {
          const lines = text.replace(/^\ufeff/, "").split("\n");
          assert.ok(line >= 1 && line <= lines.length, `${line} of ${lines.length}: ${message}`);
          assert.ok(
            column >= 1 && column <= (lines[line - 1] ?? "").length + 1,
            `${column}: ${message}`,
          );
        }
      }
    }),
    { numRuns: 3_000 },
  );
});
