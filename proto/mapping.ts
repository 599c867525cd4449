/**
 * The one place where wire messages become the domain's types and back
 * (contracts `wire` §1.3 and `policy-and-gateway` §4.1, §4.5).
 *
 * @module
 */
import { type Action, type FileMode, llmCall } from "@agent-assembly/core/action";
import { LIMITS } from "@agent-assembly/core/limits";
import type { RiskTier } from "@agent-assembly/core/principal";
import {
  Decision as WireDecision,
  EnforcementMode as WireEnforcementMode,
  RiskTier as WireRiskTier,
} from "./gen/assembly/common/v1/common_pb.ts";
import type {
  ActionContext,
  CheckActionRequest,
  NetworkCallContext,
} from "./gen/assembly/policy/v1/policy_pb.ts";
import { received, type WireProblem } from "./problem.ts";

export { explanationFromWire, explanationToWire } from "./explanation.ts";
export type { WireProblem } from "./problem.ts";

/** Lossy on purpose: what a tool sees as garbage is still scanned. A BOM is text, not a mark. */
const LOSSY = new TextDecoder("utf-8", { ignoreBOM: true });

/** `create` is a write (contract `policy-and-gateway` §4.1). */
const FILE_MODES: ReadonlyMap<string, FileMode> = new Map([
  ["read", "read"],
  ["write", "write"],
  ["create", "write"],
  ["append", "append"],
  ["delete", "delete"],
]);

/**
 * The action that a request speaks of. Hints of the sender (`in_allowlist`, `is_sensitive_path`,
 * `tool_source`, URLs beside a tool) are not read: they would let it shorten a check.
 *
 * @param context Field 6 of a `CheckActionRequest`.
 * @returns The action, or the field that is missing or not understood: `INVALID_ARGUMENT` on the wire.
 */
export function actionFromWire(
  context: ActionContext | undefined,
): { readonly ok: true; readonly action: Action } | WireProblem {
  if (context === undefined) {
    return { ok: false, field: "context", message: "is missing: say what is about to happen" };
  }
  const { action } = context;
  switch (action.case) {
    case "toolCall":
      return allowed({
        kind: "tool_call",
        tool: action.value.toolName,
        args: LOSSY.decode(action.value.argsJson),
      });
    case "llmCall": {
      const { model, promptTokens, containsPii } = action.value;
      return allowed(llmCall(model, promptTokens, containsPii));
    }
    case "toolResult":
      return allowed({
        kind: "tool_result",
        tool: action.value.toolName,
        result: LOSSY.decode(action.value.resultJson),
      });
    case "fileOp": {
      const mode = FILE_MODES.get(action.value.operation);
      if (mode === undefined) {
        return {
          ok: false,
          field: "context.file_op.operation",
          message: "unknown file operation: expected read, write, create, append or delete, " +
            `received ${received(action.value.operation)}`,
        };
      }
      return allowed({ kind: "file_access", path: action.value.path, mode });
    }
    case "networkCall":
      return allowed({
        kind: "network_request",
        url: urlOf(action.value),
        method: "CONNECT",
      });
    case "processExec":
      return allowed({
        kind: "process_exec",
        command: [action.value.command, ...action.value.args].join(" "),
      });
    case undefined:
      return {
        ok: false,
        field: "context.action",
        message: "is not set, or is of a kind this gateway does not know",
      };
  }
}

function allowed(action: Action): { readonly ok: true; readonly action: Action } {
  return { ok: true, action };
}

/** Bare IPv6 literals get the brackets a URL needs; the decision still judges whether it is one. */
const BARE_IPV6 = /^[0-9A-Fa-f.]*:[0-9A-Fa-f.:]*:[0-9A-Fa-f.:]*$/;

/**
 * `<protocol>://<host>:<port>`. What would end a URL's scheme or host early is percent-encoded, so
 * that protocol `https://good.example/` or host `good.example/x` cannot move the place where a
 * reader finds the host; the decision refuses an encoded host or scheme.
 */
function urlOf({ protocol, host, port }: NetworkCallContext): string {
  const scheme = protocol.replace(/[:/?#\\@]/g, percentEncode);
  const authority = BARE_IPV6.test(host) ? `[${host}]` : host.replace(/[/?#\\@]/g, percentEncode);
  return `${scheme}://${authority}:${port}`;
}

function percentEncode(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

/**
 * Checks the identifiers of a request against `LIMITS.identifier_bytes`.
 *
 * @returns The first identifier over the bound, or `undefined` when all fit.
 */
export function identifierProblem(request: CheckActionRequest): WireProblem | undefined {
  const { agentId, callerAgentId } = request;
  const identifiers: readonly (readonly [field: string, value: string | undefined])[] = [
    ["agent_id.org_id", agentId?.orgId],
    ["agent_id.team_id", agentId?.teamId],
    ["agent_id.agent_id", agentId?.agentId],
    ["trace_id", request.traceId],
    ["span_id", request.spanId],
    ["caller_agent_id.org_id", callerAgentId?.orgId],
    ["caller_agent_id.team_id", callerAgentId?.teamId],
    ["caller_agent_id.agent_id", callerAgentId?.agentId],
  ];
  for (const [field, value] of identifiers) {
    if (value === undefined || fitsIdentifier(value)) continue;
    return {
      ok: false,
      field,
      message: `is longer than ${LIMITS.identifier_bytes} bytes, received ${received(value)}`,
    };
  }
  return undefined;
}

/** One UTF-16 unit is one to three bytes of UTF-8, so most texts are judged by length alone. */
function fitsIdentifier(text: string): boolean {
  if (text.length > LIMITS.identifier_bytes) return false;
  if (text.length * 3 <= LIMITS.identifier_bytes) return true;
  return new TextEncoder().encode(text).byteLength <= LIMITS.identifier_bytes;
}

/** The words of a wire decision, as filters and tables spell them. */
export type DecisionWord = "unspecified" | "allow" | "deny" | "pending" | "redact";

/** The five-way verdict (contract `policy-and-gateway` §4.5). */
export type Verdict = "allow" | "narrow" | "scrub" | "pending" | "deny";

/** The word of a wire decision; `undefined` for a number this version does not know. */
export function decisionWord(decision: number): DecisionWord | undefined {
  switch (decision) {
    case WireDecision.DECISION_UNSPECIFIED:
      return "unspecified";
    case WireDecision.ALLOW:
      return "allow";
    case WireDecision.DENY:
      return "deny";
    case WireDecision.PENDING:
      return "pending";
    case WireDecision.REDACT:
      return "redact";
    default:
      return undefined;
  }
}

/**
 * The five-way verdict of a wire decision; unspecified and unknown numbers are `deny`.
 *
 * @param narrowed An allow list was in force for the action.
 */
export function verdictOf(decision: number, narrowed: boolean): Verdict {
  switch (decision) {
    case WireDecision.ALLOW:
      return narrowed ? "narrow" : "allow";
    case WireDecision.REDACT:
      return "scrub";
    case WireDecision.PENDING:
      return "pending";
    default:
      return "deny";
  }
}

const RISK_TIER_NUMBERS: Readonly<Record<RiskTier, WireRiskTier>> = {
  low: WireRiskTier.LOW,
  medium: WireRiskTier.MEDIUM,
  high: WireRiskTier.HIGH,
  critical: WireRiskTier.CRITICAL,
};

/** The wire number of a tier; an absent tier is unspecified. */
export function riskTierToWire(tier: RiskTier | undefined): WireRiskTier {
  return tier === undefined ? WireRiskTier.RISK_UNSPECIFIED : RISK_TIER_NUMBERS[tier];
}

/** The tier of a wire number; `undefined` when unspecified or not known to this version. */
export function riskTierFromWire(tier: number): RiskTier | undefined {
  return keyOf(RISK_TIER_NUMBERS, tier);
}

/** How an agent's refusals are treated (contract `policy-and-gateway` §3.6). */
export type EnforcementMode = "enforce" | "observe" | "disabled";

const ENFORCEMENT_MODE_NUMBERS: Readonly<Record<EnforcementMode, WireEnforcementMode>> = {
  enforce: WireEnforcementMode.ENFORCE,
  observe: WireEnforcementMode.OBSERVE,
  disabled: WireEnforcementMode.DISABLED,
};

/** The wire number of a mode; an absent mode is unspecified. */
export function enforcementModeToWire(mode: EnforcementMode | undefined): WireEnforcementMode {
  return mode === undefined
    ? WireEnforcementMode.ENFORCEMENT_MODE_UNSPECIFIED
    : ENFORCEMENT_MODE_NUMBERS[mode];
}

/** The mode of a wire number; `undefined` (no override, so enforce) when unspecified or unknown. */
export function enforcementModeFromWire(mode: number): EnforcementMode | undefined {
  return keyOf(ENFORCEMENT_MODE_NUMBERS, mode);
}

function keyOf<K extends string>(numbers: Readonly<Record<K, number>>, wanted: number) {
  for (const key in numbers) if (numbers[key] === wanted) return key;
  return undefined;
}
