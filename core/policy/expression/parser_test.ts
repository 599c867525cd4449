import assert from "node:assert/strict";
import fc from "fast-check";
import { LIMITS } from "../../limits.ts";
import { condition, faults, tree } from "./expression_fixture.ts";
import { EXPRESSION_FIELDS, fieldNamed } from "./fields.ts";
import { compileCondition } from "./mod.ts";
import { parse } from "./parser.ts";
import { type Expression, join, type Literal, OPERATORS, print } from "./syntax.ts";

/** The one problem of a text: its message and the text it points at. */
function fault(text: string): { message: string; at: string } {
  const parsed = parse(text);
  assert.ok(!parsed.ok, `${text} parsed`);
  const [problem, ...others] = parsed.problems;
  assert.deepEqual(others, [], text);
  assert.ok(problem !== undefined);
  return {
    message: problem.message,
    at: text.slice(problem.offset, problem.offset + problem.length),
  };
}

Deno.test("every form of the reference's grammar parses", () => {
  const texts = [
    'tool == "a"',
    '  tool=="a"AND path!="b"\n\tOR url starts_with "c"  ',
    'tool in ["a" "b",, "c",]',
    "tool in []",
    'path contains "quote \\" backslash \\\\ other \\n"',
    "args.n > 1e3",
    "args.n >= -.5",
    "args.n < 5.",
    "args.n == -inf",
    "args.n != NaN",
    "args.Größe > 1",
    "args.a-b_c.0.d == 1",
    "agent.age > 1h30m",
    "agent.risk_tier == Critical",
    "governance_level < L3",
    'tool_result.a.b == "x"',
    'tool not_in ["x"]',
  ];
  for (const text of texts) tree(text);
  for (const { name } of EXPRESSION_FIELDS) tree(`${name} == "x"`);
});

Deno.test("only the two escapes are escapes", () => {
  const expression = tree('path == "a\\"b\\\\c\\nd"');
  assert.ok(expression.type === "clause");
  assert.deepEqual(expression.literal, { type: "text", value: 'a"b\\c\\nd' });
});

Deno.test("NOT binds tighter than AND, AND tighter than OR, parentheses first", () => {
  assert.equal(
    print(tree('NOT tool == "a" AND (tool == "b" OR NOT (tool == "c" AND tool == "d"))')),
    'NOT tool == "a" AND (tool == "b" OR NOT (tool == "c" AND tool == "d"))',
  );
  const expression = tree('tool == "a" OR tool == "b" AND NOT tool == "c"');
  assert.equal(expression.type, "or");
  assert.equal(print(tree('((tool == "a"))')), 'tool == "a"');
});

Deno.test("a mistake is told with what to write, and where", () => {
  const mistakes: readonly (readonly [string, string, RegExp])[] = [
    ['tool = "a"', "=", /write `==`/],
    ['! tool == "a"', "!", /`NOT` to negate/],
    ['tool == "a" && path == "b"', "&&", /write `AND`/],
    ['tool == "a" | path == "b"', "|", /write `OR`/],
    ['tool == "a" and path == "b"', "and", /write `AND`/],
    ['tool == "a" Or path == "b"', "Or", /write `OR`/],
    ['not tool == "a"', "not", /write `NOT`/],
    ["tool == 'a'", "'a'", /double quotes/],
    ['tool == "a', '"a', /closing/],
    ["tool == a", "a", /unknown variable `a`.*double quotes: "a"/],
    ["tool == path", "path", /two fields/],
    ['"a" == tool', '"a"', /starts with a field/],
    ["5 > agent.depth", "5", /starts with a field/],
    ["tool", "tool", /expected an operator after `tool`/],
    ["tool ==", "==", /expected a literal/],
    ['tool == AND path == "b"', "AND", /expected a literal/],
    ['tool startswith "a"', "startswith", /`starts_with`/],
    ['tool == "a" path == "b"', "path", /`AND` or `OR`/],
    ['(tool == "a"', "(", /no closing/],
    ['tool == "a")', ")", /no opening/],
    ["()", ")", /expected a clause/],
    ["tool in [a]", "a", /texts in double quotes/],
    ['tool in ["a"', "[", /no closing/],
    ["agent.risk_tier > high", "high", /did you mean `High`/],
    ["governance_level > L4", "L4", /unknown governance level: L4; valid values: L0, L1, L2, L3/],
    ["governance_level > L10", "L10", /unknown governance level: L10/],
    ["agent.age > 5x", "5x", /neither a number nor a duration/],
    ["args == 1", "args", /did you mean `args.<path>`/],
    ["arg.n == 1", "arg.n", /did you mean `args.n`/],
    ["agent.dept == 1", "agent.dept", /did you mean `agent.depth`/],
    ['tool + == "b"', "+", /unexpected character `\+`/],
  ];
  for (const [text, at, pattern] of mistakes) {
    const found = fault(text);
    assert.match(found.message, pattern, text);
    assert.equal(found.at, at, text);
  }
});

Deno.test("blank text has the reference's message", () => {
  for (const text of ["", "  ", "\n\t"]) {
    assert.deepEqual(faults(text), ["CEL expression must not be empty"]);
  }
});

Deno.test("every mistake is reported, in order", () => {
  const parsed = parse('foo == 1 AND bar = 2 OR (baz > L7 AND tool == "a" && url == x');
  assert.ok(!parsed.ok);
  const offsets = parsed.problems.map((problem) => problem.offset);
  assert.deepEqual(offsets, offsets.toSorted((a, b) => a - b));
  const all = parsed.problems.map((problem) => problem.message).join("\n");
  for (const word of ["`foo`", "`bar`", "`=`", "`baz`", "L7", "`&&`", "`x`", "`(`"]) {
    assert.ok(all.includes(word), `${word} in\n${all}`);
  }
});

Deno.test("length and nesting are bounded, however they are reached", () => {
  const chars = LIMITS.expression_chars;
  assert.match(fault(`tool == "${"a".repeat(chars)}"`).message, /more than the limit/);
  const deep = LIMITS.expression_depth;
  tree(`${"(".repeat(deep)}tool == "a"${")".repeat(deep)}`);
  tree(`${"NOT ".repeat(deep)}tool == "a"`);
  assert.match(
    fault(`${"(".repeat(deep + 1)}tool == "a"${")".repeat(deep + 1)}`).message,
    /deeper/,
  );
  assert.match(fault(`${"NOT ".repeat(deep + 1)}tool == "a"`).message, /deeper/);
  assert.match(fault("(".repeat(chars)).message, /deeper/);
  assert.match(fault("NOT (".repeat(3_000)).message, /deeper/);
  condition(Array(1_000).fill('tool == "a"').join(" OR "));
});

const TEXT = fc.string({ unit: "binary", maxLength: 8 });
const PLAIN_NUMBER = fc.oneof(fc.double(), fc.integer()).map(String).filter((text) =>
  !/\+/.test(text)
);
const LITERAL: fc.Arbitrary<Literal> = fc.oneof(
  TEXT.map((value): Literal => ({ type: "text", value })),
  PLAIN_NUMBER.map((text): Literal => ({ type: "number", value: Number(text), text })),
  fc.array(TEXT, { maxLength: 3 }).map((values): Literal => ({ type: "list", values })),
  fc.constantFrom(0 as const, 1 as const, 2 as const, 3 as const).map((value): Literal => ({
    type: "level",
    value,
  })),
  fc.nat({ max: 3 }).map((rank): Literal => ({ type: "tier", rank })),
  fc.boolean().map((value): Literal => ({ type: "boolean", value })),
  fc.nat({ max: 1_000 }).map((hours): Literal => ({
    type: "duration",
    secs: hours * 3_600,
    text: `${hours}h`,
  })),
);
const NAMES = [
  ...EXPRESSION_FIELDS.map(({ name }) => name),
  "args.a.b",
  "tool_result.x-1",
  "args.中",
];

const { expression: EXPRESSION } = fc.letrec<{ expression: Expression; clause: Expression }>((
  tie,
) => ({
  clause: fc.record({
    name: fc.constantFrom(...NAMES),
    operator: fc.constantFrom(...OPERATORS),
    literal: LITERAL,
  }).map(({ name, operator, literal }): Expression => {
    const field = fieldNamed(name);
    assert.ok(field !== undefined);
    return { type: "clause", field, operator, literal, offset: 0, end: 0 };
  }),
  expression: fc.oneof(
    { maxDepth: 5 },
    tie("clause"),
    tie("expression").map((operand): Expression => ({ type: "not", operand })),
    fc.tuple(
      fc.constantFrom("and" as const, "or" as const),
      fc.array(tie("expression"), { minLength: 2, maxLength: 4 }),
    ).map(([type, operands]) => join(type, operands)),
  ),
}));

/** The tree without its places in the text. */
function bare(expression: Expression): unknown {
  switch (expression.type) {
    case "clause":
      return { ...expression, offset: 0, end: 0 };
    case "not":
      return { type: "not", operand: bare(expression.operand) };
    default:
      return { type: expression.type, operands: expression.operands.map(bare) };
  }
}

Deno.test("a printed tree parses to the same tree", () => {
  fc.assert(fc.property(EXPRESSION, (expression) => {
    const text = print(expression);
    assert.deepEqual(bare(tree(text)), bare(expression), text);
    assert.equal(print(tree(text)), text);
  }));
});

Deno.test("different trees print differently", () => {
  fc.assert(fc.property(EXPRESSION, EXPRESSION, (left, right) => {
    const same = JSON.stringify(bare(left)) === JSON.stringify(bare(right));
    if (!same) assert.notEqual(print(left), print(right));
  }));
});

const WORDS = [
  ...NAMES,
  ...OPERATORS,
  ...["AND", "OR", "NOT", "(", ")", "[", "]", ",", '"a"', '"', "'", "L1", "L9", "Low", "true"],
  ...["1", "24h", "nan", "\\", "=", "!", "&&", "and", "foo", "\ud800", "\u202e", "\0"],
];

Deno.test("no text makes the parser throw, and what parses evaluates", () => {
  const salad = fc.array(fc.constantFrom(...WORDS), { maxLength: 30 }).map((words) =>
    words.join(" ")
  );
  fc.assert(
    fc.property(fc.oneof(salad, fc.string({ unit: "binary" })), (text) => {
      const compiled = compileCondition(text, { line: 1, column: 1 });
      if (!compiled.ok) {
        for (const { offset, length } of compiled.problems) {
          assert.ok(offset >= 0 && length >= 0 && offset + length <= text.length);
        }
        assert.notEqual(compiled.problems.length, 0);
        return;
      }
      const input = {
        action: { kind: "tool_call", tool: "t", args: "{" },
        agent: undefined,
      } as const;
      assert.equal(typeof compiled.condition.fires(input), "boolean");
      compiled.condition.explain(input);
    }),
    { numRuns: 2_000 },
  );
});
