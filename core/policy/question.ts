/**
 * A recorded or invented question as people read it: the form of a case in a policy test file, so
 * that it can be pasted into one, or asked with `aasm policy explain`.
 *
 * @module
 */
import type { Action } from "../action.ts";
import type { AgentContext, Principal } from "../principal.ts";

/** JSON of a question. */
export interface Question {
  readonly agent: Readonly<Record<string, unknown>>;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly action: Readonly<Record<string, unknown>>;
}

/** The question that an action of a principal is. */
export function questionOf(principal: Principal, action: Action, at_ms: number): Question {
  return {
    agent: agentOf(principal),
    at: new Date(at_ms).toISOString(),
    action: actionOf(action),
  };
}

function agentOf({ agent_id, org_id, team_id, status, context }: Principal): Question["agent"] {
  return {
    ...(agent_id === "" ? {} : { id: agent_id }),
    ...(org_id === undefined ? {} : { org: org_id }),
    ...(team_id === undefined ? {} : { team: team_id }),
    ...contextOf(context),
    ...(status === "active" ? {} : { status }),
  };
}

function contextOf(context: AgentContext | undefined): Record<string, unknown> {
  const { governance_level, risk_tier, depth } = context ?? {};
  return {
    ...(typeof governance_level === "number" ? { level: governance_level } : {}),
    ...(typeof risk_tier === "string" ? { risk_tier } : {}),
    ...(typeof depth === "number" ? { depth } : {}),
  };
}

function actionOf(action: Action): Question["action"] {
  switch (action.kind) {
    case "tool_call":
      if (action.llm !== undefined) return { llm: action.llm };
      return { tool: { name: action.tool, args: jsonOrText(action.args) } };
    case "tool_result":
      return { tool_result: { name: action.tool, result: jsonOrText(action.result) } };
    case "file_access":
      return { file: { op: action.mode, path: action.path } };
    case "network_request":
      return { network: { url: action.url, method: action.method } };
    case "process_exec":
      return { exec: { command: action.command } };
    case "send_message": {
      const { kind: _kind, ...ids } = action;
      return { message: ids };
    }
  }
}

function jsonOrText(text: string): unknown {
  if (text === "") return {};
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
