import assert from "node:assert/strict";
import fc from "fast-check";
import type { Action } from "../../action.ts";
import type { AgentContext } from "../../principal.ts";
import { call, condition, tree } from "./expression_fixture.ts";
import { lintEntry, mismatches } from "./lint.ts";
import { compileCondition } from "./mod.ts";

/** Warnings about a condition under an entry of `tools`. */
function lint(text: string, name = "search", exact: readonly string[] = []): string[] {
  const names = new Set([name, ...exact]);
  return lintEntry(tree(text), name, names).map(({ message }) => message);
}

/** The one warning. */
function warning(text: string, name?: string, exact?: readonly string[]): string {
  const [message, ...others] = lint(text, name, exact);
  assert.deepEqual(others, [], text);
  return message ?? "";
}

Deno.test("E13: a comparison that cannot be made warns that it always fires", () => {
  assert.match(warning("tool == true"), /`tool` is a text.*always fires/);
  const compiled = compileCondition("tool == true", { line: 3, column: 5 });
  assert.ok(compiled.ok);
  assert.equal(compiled.warnings.length, 1);
  assert.equal(compiled.warnings[0]?.line, 3);
  assert.equal(compiled.warnings[0]?.column, 5);
});

Deno.test("types that never meet are warned about, at their place", () => {
  const dead = [
    'agent.risk_tier in ["High"]',
    "governance_level == 2",
    'child.tool in ["bash"]',
    'tool_result == "x"',
    "args.n > 24h",
    "args.n == Low",
    "args.n > nan",
    "agent.depth < 0",
    "agent.depth == 1.5",
    "agent.is_root > 0",
    "agent.team_id == 5",
    "tool in []",
  ];
  for (const text of dead) {
    const [first] = mismatches(tree(`args.x == "y" OR ${text}`));
    assert.match(first?.message ?? "", /can never hold/, text);
    assert.equal(first?.offset, 'args.x == "y" OR '.length);
    assert.equal(first?.length, text.length);
  }
  assert.match(mismatches(tree('tool contains ""'))[0]?.message ?? "", /always holds/);
  assert.match(mismatches(tree("path > 5"))[0]?.message ?? "", /every value that is not a number/);
});

Deno.test("trap 9: a condition that can never fire under its entry is warned about", () => {
  const dead: readonly (readonly [string, string, RegExp])[] = [
    ['target.team_id == "x"', "search", /messages only.*can never fire for `search`/],
    ['source.team_id != "x"', "*", /messages only.*can never fire/],
    ['tool_result contains "sk-"', "search", /answer is not known.*can never fire/],
    ['tool == "deploy"', "search", /`tool` is always `search`.*can never fire/],
    ['tool == "bash"', "*", /can never hold under `tools.\*`/],
    ['tool in ["bash", "ls"]', "*", /can never fire/],
    ['tool == "x"', "message", /can never fire/],
    ['args.n > 5 AND target.team_id == "x"', "search", /can never fire/],
    ["NOT agent.depth >= 0", "search", /can never fire.*while the agent's context is known/],
  ];
  for (const [text, name, pattern] of dead) {
    assert.match(lint(text, name, ["bash", "ls"]).join("\n"), pattern, text);
  }
});

Deno.test("a condition that always fires under its entry is warned about", () => {
  for (const text of ['tool == "search"', "agent.depth >= 0", 'tool != "x" OR args.n > 1']) {
    assert.match(lint(text).join("\n"), /always fires: every call of `search`/, text);
  }
  assert.match(warning('NOT target.team_id == "x"'), /always fires/);
});

Deno.test("a text that may be absent keeps a condition from always firing", () => {
  assert.match(warning("agent.team_id not_in []"), /always holds$/);
});

Deno.test("conditions that can go both ways are left alone", () => {
  const fine: readonly (readonly [string, string])[] = [
    ['path starts_with "/etc"', "search"],
    ['url contains "admin" OR command == "x" OR method == "POST"', "*"],
    ['tool == "other"', "*"],
    ['tool in ["bash", "other"]', "*"],
    ['tool starts_with "b"', "*"],
    ['target.team_id != "x"', "message"],
    ['args.force == true AND args.region not_in ["eu"]', "search"],
    ["agent.depth > 3 AND agent.risk_tier >= Medium", "search"],
    ["governance_level < L2", "search"],
    ['agent.age < 24h OR team.budget_remaining < "10"', "search"],
    ["team.budget_remaining < 0", "search"],
    ["agent.is_root == true", "search"],
    ['child.tool != "bash"', "search"],
    ['agent.team_id not_in ["a"]', "search"],
    ["args.n == 0.3", "search"],
  ];
  for (const [text, name] of fine) assert.deepEqual(lint(text, name, ["bash"]), [], text);
});

const FIELDS = ["tool", "path", "args.n", "agent.depth", "agent.risk_tier", "target.team_id"];
const LITERALS = ['"search"', '"5"', "5", "0", "nan", "Low", "L1", "true", '["search", "5"]', "1s"];
const CLAUSE = fc.tuple(
  fc.constantFrom("", "NOT "),
  fc.constantFrom(...FIELDS),
  fc.constantFrom("==", "!=", ">", "<=", "contains", "in", "not_in"),
  fc.constantFrom(...LITERALS),
).map(([not, field, operator, literal]) => `${not}${field} ${operator} ${literal}`);
const TEXT = fc.tuple(CLAUSE, fc.constantFrom("AND", "OR"), CLAUSE).map((parts) => parts.join(" "));
const VALUE = fc.oneof(
  fc.constantFrom<unknown>("search", "5", "", 5, 4, 0, -1, null, true, []),
  fc.string(),
  fc.double({ noNaN: true }),
);
const ARGS = fc.record({ n: VALUE, path: VALUE }, { requiredKeys: [] });
const AGENT: fc.Arbitrary<AgentContext> = fc.record({
  depth: fc.nat({ max: 6 }),
  risk_tier: fc.constantFrom("low" as const, "medium" as const, "critical" as const),
});

Deno.test("no call contradicts a warning that says never or always", () => {
  fc.assert(
    fc.property(TEXT, ARGS, fc.option(AGENT, { nil: undefined }), (text, args, agent) => {
      const said = lint(text).join("\n");
      const action: Action = call("search", args);
      const fires = condition(text).fires({ action, agent });
      if (said.includes("always fires: every call")) assert.equal(fires, true, text);
      if (agent !== undefined && said.includes("can never fire")) assert.equal(fires, false, text);
    }),
    { numRuns: 3_000 },
  );
});
