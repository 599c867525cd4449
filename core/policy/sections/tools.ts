/**
 * `tools`: one rule per tool name, `*` for the rest (contract `policy-and-gateway` §1.5, §5.1).
 *
 * @module
 */
import type { ToolRule } from "../document.ts";
import { toCondition } from "../expression/mod.ts";
import { lintEntry } from "../expression/lint.ts";
import { parse } from "../expression/parser.ts";
import type { Expression } from "../expression/syntax.ts";
import type { BODY } from "../language.ts";
import type { Problems } from "../problems.ts";
import type { Read, ReadText } from "../read.ts";
import { plain } from "./located.ts";

type Section = Read<typeof BODY.keys.tools>;
type Entry = Section["value"] extends ReadonlyMap<string, infer E> ? E : never;

/** The tool rules of a document. A map: names such as `__proto__` are names like any other. */
export function readTools(
  section: Section | undefined,
  problems: Problems,
): ReadonlyMap<string, ToolRule> {
  const rules = new Map<string, ToolRule>();
  const entries = section?.value ?? new Map<string, Entry>();
  const names = new Set(entries.keys());
  for (const [name, entry] of entries) rules.set(name, readTool(name, entry, names, problems));
  return rules;
}

function readTool(
  name: string,
  entry: Entry,
  names: ReadonlySet<string>,
  problems: Problems,
): ToolRule {
  const { allow, limit_per_hour, requires_approval_if, cost_usd } = entry.value;
  const parsed = requires_approval_if === undefined
    ? undefined
    : readExpression(requires_approval_if, problems);
  const condition = parsed === undefined || requires_approval_if === undefined
    ? undefined
    : toCondition(parsed, requires_approval_if.value, requires_approval_if.locate(0));
  if (parsed !== undefined && requires_approval_if !== undefined) {
    lint(name, parsed, allow?.value, requires_approval_if, names, problems);
  }
  return {
    at: entry.key_at,
    allow: allow?.value ?? false,
    ...(allow === undefined ? {} : { allow_at: allow.key_at }),
    ...(limit_per_hour === undefined ? {} : { limit_per_hour: plain(limit_per_hour) }),
    ...(condition === undefined ? {} : { requires_approval_if: condition }),
    ...(cost_usd === undefined ? {} : { cost_micro_usd: plain(cost_usd) }),
  };
}

function readExpression(text: ReadText, problems: Problems): Expression | undefined {
  const parsed = parse(text.value);
  if (parsed.ok) return parsed.expression;
  for (const { offset, message } of parsed.problems) {
    problems.error(text.path, message, text.locate(offset));
  }
  return undefined;
}

/** Warns of a condition that loads but cannot do what its author wants. */
function lint(
  name: string,
  expression: Expression,
  allow: boolean | undefined,
  text: ReadText,
  names: ReadonlySet<string>,
  problems: Problems,
): void {
  // A denied tool is never asked about; messages are, whatever `allow` says.
  if (allow !== true && name !== "message") {
    problems.warn(
      text.path,
      allow === false
        ? "is never consulted: `allow` is `false`, so the tool is denied"
        : "is never consulted: `allow` is absent, which denies the tool; " +
          "write `allow: true` to have approval decide",
      text.key_at,
    );
  }
  for (const { offset, message } of lintEntry(expression, name, names)) {
    problems.warn(text.path, message, text.locate(offset));
  }
}
