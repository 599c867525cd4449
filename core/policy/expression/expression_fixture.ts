/**
 * Shared by the tests of this folder: conditions, actions and agents.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Action } from "../../action.ts";
import type { AgentContext } from "../../principal.ts";
import type { Condition, LookupEvidence } from "./condition.ts";
import { compileCondition } from "./mod.ts";
import { parse } from "./parser.ts";
import type { Expression } from "./syntax.ts";

/** A condition that must compile. */
export function condition(text: string): Condition {
  const compiled = compileCondition(text, { line: 1, column: 1 });
  assert.ok(compiled.ok, `${text}: ${JSON.stringify(compiled)}`);
  return compiled.condition;
}

/** Messages of a text that must not compile. */
export function faults(text: string): string[] {
  const compiled = compileCondition(text, { line: 1, column: 1 });
  assert.ok(!compiled.ok, `${text} compiled`);
  return compiled.problems.map((problem) => problem.message);
}

/** The tree of a text that must parse. */
export function tree(text: string): Expression {
  const parsed = parse(text);
  assert.ok(parsed.ok, `${text}: ${JSON.stringify(parsed)}`);
  return parsed.expression;
}

/** A tool call; `args` is JSON text, or a value to write as JSON. */
export function call(tool: string, args: unknown = {}): Action {
  return { kind: "tool_call", tool, args: typeof args === "string" ? args : JSON.stringify(args) };
}

/** An answer of a tool. */
export function answer(result: string): Action {
  return { kind: "tool_result", tool: "t", result };
}

/** A read of a file. */
export function reading(path: string): Action {
  return { kind: "file_access", path, mode: "read" };
}

/** Whether a condition fires. Without `agent` there is no policy context at all. */
export function fires(
  text: string,
  action: Action = call("t"),
  agent?: AgentContext,
  evidence?: LookupEvidence[],
): boolean {
  return condition(text).fires({ action, agent }, evidence);
}
