/**
 * Shared by the tests of this folder: policies as YAML text, an agent, and facts.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Action, FileMode, ToolCall } from "../action.ts";
import type { Principal } from "../principal.ts";
import type { Decision } from "../verdict.ts";
import { type CompileOptions, compilePolicySet, type PolicySet } from "./compile.ts";
import { decide, type Facts } from "./decide.ts";
import type { PolicyDocument } from "./document.ts";
import { loadPolicy } from "./load.ts";

/** Loads policy texts as `p0.yaml`, `p1.yaml`, …; each must be valid. */
export function load(...texts: string[]): PolicyDocument[] {
  return texts.map((text, at) => {
    const loaded = loadPolicy(`p${at}.yaml`, text, { reject_blank: false });
    assert.ok(loaded.ok, JSON.stringify(loaded));
    return loaded.document;
  });
}

/** A directory of policies. */
export function directory(...texts: string[]): PolicySet {
  return compilePolicySet(load(...texts));
}

/** One policy file, or a directory when options say so. */
export function compiled(options: CompileOptions, ...texts: string[]): PolicySet {
  return compilePolicySet(load(...texts), options);
}

/** Agent a1 of team t1 in organisation o1, registered and active, with any difference. */
export function agent(difference: Partial<Principal> = {}): Principal {
  return {
    assurance: "bound",
    agent_id: "a1",
    engine_key: "0a1".padStart(32, "0"),
    registry_key: "f".repeat(32),
    org_id: "o1",
    team_id: "t1",
    status: "active",
    context: {},
    ...difference,
  };
}

/** An agent nobody registered: no tenancy, no context. */
export const STRANGER: Principal = {
  assurance: "asserted",
  agent_id: "stranger",
  engine_key: "e".repeat(32),
  status: "active",
};

/** 2026-03-04 is a Wednesday; noon UTC. */
export const NOON_MS = Date.UTC(2026, 2, 4, 12);

/** Facts in which nothing was spent and every bucket is full. */
export function facts(difference: Partial<Facts> = {}): Facts {
  return {
    now_ms: NOON_MS,
    principal: agent(),
    rateTokens: (charge) => charge.limit,
    spend: { state: "known", agent_daily_micro_usd: 0, agent_monthly_micro_usd: 0 },
    ...difference,
  };
}

/** A call of a tool; arguments are given as a value or as text. */
export function call(tool: string, args: unknown = {}): ToolCall {
  return { kind: "tool_call", tool, args: typeof args === "string" ? args : JSON.stringify(args) };
}

/** An outbound request. */
export function request(url: string, method = "CONNECT"): Action {
  return { kind: "network_request", url, method };
}

/** A file access. */
export function file(mode: FileMode, path: string): Action {
  return { kind: "file_access", mode, path };
}

/** A program start. */
export function exec(command: string): Action {
  return { kind: "process_exec", command };
}

/** The outcome in one line: `allow`, `redact`, `deny: <reason>`, `approval <seconds>`. */
export function lineOf(decision: Decision): string {
  switch (decision.outcome) {
    case "allow":
      return decision.redacted === undefined ? "allow" : "redact";
    case "deny":
      return `deny: ${decision.reason}`;
    case "require_approval":
      return `approval ${decision.approval_timeout_secs}`;
  }
}

/** Decides and gives the outcome in one line. */
export function ask(policy: PolicySet, action: Action, difference: Partial<Facts> = {}): string {
  return lineOf(decide(policy, action, facts(difference)));
}
