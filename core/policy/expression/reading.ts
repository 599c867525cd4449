/**
 * What a field says right now: the values of the action and of the agent's context, as clauses
 * compare them (contract `policy-and-gateway` §2.4).
 *
 * @module
 */
import type { Action } from "../../action.ts";
import { type AgentContext, type Fact, isLookupFailure, RISK_TIERS } from "../../principal.ts";
import type { ConditionInput } from "./condition.ts";
import type { Field } from "./fields.ts";

/** The present value of a field. */
export type Reading =
  /** The field has no value: wrong action kind, no context, no such key. */
  | { readonly type: "missing" }
  /** The backend of a context value failed. */
  | { readonly type: "failed"; readonly cause: string }
  | { readonly type: "text"; readonly value: string }
  /** Context numbers, level numbers, tier ranks, and flags as 1 or 0. */
  | { readonly type: "number"; readonly value: number }
  | { readonly type: "set"; readonly values: readonly string[] }
  /** Any JSON value that stands where a path leads. */
  | { readonly type: "json"; readonly value: unknown };

const MISSING: Reading = { type: "missing" };

/** Reads a field. Never throws. */
export function readField(field: Field, input: ConditionInput): Reading {
  const { action, agent } = input;
  switch (field.kind) {
    case "plain":
      return readPlain(field.name, input);
    case "message":
      return readMessage(field.name, action);
    case "body":
      return action.kind === "tool_result" ? { type: "text", value: action.result } : MISSING;
    case "json":
      return readJson(field, input);
    default:
      return agent === undefined ? MISSING : readContext(field.name, agent);
  }
}

/**
 * `tool`, `path`, `url`, `method`, `command`. An action without the field reads as the empty text
 * (contract §2.5). A tool call shows the argument of the same name (§13.1 #9); an argument that is
 * there but is no text is passed on as JSON, so that wrapping a path in a list hides nothing.
 */
function readPlain(name: string, input: ConditionInput): Reading {
  const { action } = input;
  if (action.kind === "tool_call") {
    if (name === "tool") return { type: "text", value: action.tool };
    const argument = resolvePointer(documentOf(input), [name]);
    if (argument.type === "missing") return { type: "text", value: "" };
    return argument.type === "json" && typeof argument.value === "string"
      ? { type: "text", value: argument.value }
      : argument;
  }
  return { type: "text", value: plainText(name, action) };
}

function plainText(name: string, action: Action): string {
  if (name === "path" && action.kind === "file_access") return action.path;
  if (name === "url" && action.kind === "network_request") return action.url;
  if (name === "method" && action.kind === "network_request") return action.method;
  if (name === "command" && action.kind === "process_exec") return action.command;
  return "";
}

function readMessage(name: string, action: Action): Reading {
  if (action.kind !== "send_message") return MISSING;
  switch (name) {
    case "source.team_id":
      return textFact(action.source_team_id);
    case "target.team_id":
      return textFact(action.target_team_id);
    default:
      return textFact(action.channel_id);
  }
}

function readContext(name: string, agent: AgentContext): Reading {
  switch (name) {
    case "governance_level":
      return numberFact(agent.governance_level);
    case "agent.depth":
      return numberFact(agent.depth);
    case "agent.age":
      return numberFact(agent.age_s);
    case "agent.children_count":
      return numberFact(agent.children_count);
    case "team.active_agents":
    case "team.parallel_agents":
      return numberFact(agent.team_active_agents);
    case "team.budget_remaining":
      return mapNumber(agent.team_budget_remaining_micro_usd, (micro_usd) => micro_usd / 1_000_000);
    case "agent.is_root":
      return mapNumber(agent.depth, (depth) => depth === 0 ? 1 : 0);
    case "agent.is_leaf":
      return mapNumber(agent.children_count, (count) => count === 0 ? 1 : 0);
    case "agent.risk_tier":
      return tierFact(agent.risk_tier);
    case "parent.risk_tier":
      return tierFact(agent.parent_risk_tier);
    case "child.risk_tier":
      return tierFact(agent.child_risk_tier);
    case "agent.parent_agent_id":
      return textFact(agent.parent_agent_id);
    case "agent.team_id":
      return textFact(agent.team_id);
    case "child.tool":
      return setFact(agent.child_tools);
    default:
      return MISSING;
  }
}

function missingOrFailed(fact: Fact<unknown>): Reading | undefined {
  if (fact === undefined) return MISSING;
  return isLookupFailure(fact) ? { type: "failed", cause: fact.lookup_failed } : undefined;
}

function numberFact(fact: Fact<number>): Reading {
  return mapNumber(fact, (value) => value);
}

function mapNumber(fact: Fact<number>, map: (value: number) => number): Reading {
  return typeof fact === "number"
    ? { type: "number", value: map(fact) }
    : missingOrFailed(fact) ?? MISSING;
}

function textFact(fact: Fact<string>): Reading {
  return typeof fact === "string"
    ? { type: "text", value: fact }
    : missingOrFailed(fact) ?? MISSING;
}

function tierFact(fact: AgentContext["risk_tier"]): Reading {
  if (typeof fact !== "string") return missingOrFailed(fact) ?? MISSING;
  const rank = RISK_TIERS.indexOf(fact);
  return rank === -1 ? MISSING : { type: "number", value: rank };
}

function setFact(fact: AgentContext["child_tools"]): Reading {
  return Array.isArray(fact) ? { type: "set", values: fact } : missingOrFailed(fact) ?? MISSING;
}

function readJson(field: Field, input: ConditionInput): Reading {
  const wanted = field.name.startsWith("args.") ? "tool_call" : "tool_result";
  if (input.action.kind !== wanted) return MISSING;
  return resolvePointer(documentOf(input), field.pointer ?? []);
}

/** A parsed body; `undefined` when the text is not JSON. */
interface ParsedBody {
  readonly value: unknown;
}

const PARSED = new WeakMap<ConditionInput, ParsedBody>();

/** The JSON document of a tool call or result: parsed once per decision. */
function documentOf(input: ConditionInput): ParsedBody {
  const known = PARSED.get(input);
  if (known !== undefined) return known;
  const { action } = input;
  const text = action.kind === "tool_call"
    ? action.args
    : action.kind === "tool_result"
    ? action.result
    : "";
  const parsed = { value: parseJson(text) };
  PARSED.set(input, parsed);
  return parsed;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** RFC 6901 evaluation over already split segments; own properties only. */
function resolvePointer(body: ParsedBody, pointer: readonly string[]): Reading {
  let value = body.value;
  for (const segment of pointer) {
    if (Array.isArray(value)) {
      value = /^(0|[1-9]\d{0,9})$/.test(segment) ? value[Number(segment)] : undefined;
    } else if (typeof value === "object" && value !== null && Object.hasOwn(value, segment)) {
      value = (value as Record<string, unknown>)[segment];
    } else return MISSING;
  }
  return value === undefined ? MISSING : { type: "json", value };
}
