/**
 * `rate_limits`: limits per agent, team, organisation or gateway, beyond the contract's
 * `limit_per_hour` (contract `policy-and-gateway` §4.8).
 *
 * @module
 */
import { LIMITS } from "../../limits.ts";
import type { RateLimitRule } from "../document.ts";
import type { BODY } from "../language.ts";
import type { Problems } from "../problems.ts";
import type { Read, ReadText } from "../read.ts";
import { received } from "../suggest.ts";
import { readWindow } from "./budget.ts";
import { plain } from "./located.ts";

type Section = Read<typeof BODY.keys.rate_limits>;
type Entry = Section["value"][number];

const SECOND_MS = 1_000;
const WINDOW_MS_MAX = 31 * 24 * 3_600 * SECOND_MS;

/** The declared limits of a document, in the order in which they are written. */
export function readRateLimits(section: Section, problems: Problems): readonly RateLimitRule[] {
  if (section.value.length > LIMITS.policy_rate_limits) {
    problems.error(
      section.path,
      `more than ${LIMITS.policy_rate_limits} rate limits in one policy: split it by scope`,
      section.key_at,
    );
    return [];
  }
  return section.value.flatMap((entry) => readRule(entry, problems) ?? []);
}

function readRule(entry: Entry, problems: Problems): RateLimitRule | undefined {
  const { per, tool, action, limit, window } = entry.value;
  for (const key of ["per", "limit", "window"] as const) {
    const path = `${entry.path}.${key}`;
    if (entry.value[key] !== undefined || reported(problems, path)) continue;
    problems.error(path, "is required: add it", entry.key_at);
  }
  if (tool !== undefined) checkTool(tool, problems);
  if (tool !== undefined && action !== undefined && action.value !== "tool_call") {
    problems.error(
      action.path,
      `must be 'tool_call' beside \`tool\`, received ${received(action.value)}: ` +
        "remove one of the two",
      action,
    );
  }
  const window_ms = window === undefined ? undefined : boundedWindow(window, problems);
  if (per === undefined || limit === undefined || window_ms === undefined) return undefined;
  return {
    at: entry.key_at,
    per: per.value,
    ...(tool === undefined ? {} : { tool: tool.value }),
    ...(action === undefined ? {} : { action: action.value }),
    limit: plain(limit),
    window_ms,
  };
}

function checkTool(tool: ReadText, problems: Problems): void {
  if (tool.value.trim() === "") {
    problems.error(tool.path, "tool must not be empty: leave the key out to count all", tool);
  } else if (tool.value.split("*").length > 2) {
    problems.error(
      tool.path,
      `a tool may hold at most one \`*\`, received ${received(tool.value)}: write several limits`,
      tool,
    );
  }
}

function boundedWindow(text: ReadText, problems: Problems): number | undefined {
  const window_ms = readWindow(text, problems);
  if (window_ms === undefined) return undefined;
  if (window_ms >= SECOND_MS && window_ms <= WINDOW_MS_MAX) return window_ms;
  problems.error(text.path, `must be from 1s to 31days, received ${received(text.value)}`, text);
  return undefined;
}

/** Whether the reader already said something about this very field. */
function reported(problems: Problems, field: string): boolean {
  return problems.errors.some((problem) => problem.field === field);
}
