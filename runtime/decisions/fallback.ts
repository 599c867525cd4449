/**
 * The operator's local rules (contract `wire` §3.8, `interception` §1.7): what holds without a
 * gateway, or while it is away and the operator chose to fail open.
 *
 * @module
 */
import { parse } from "smol-toml";
import { common, type policy } from "../../proto/mod.ts";
import { DECISION_LIMITS } from "./limits.ts";

/** One rule. */
export interface LocalRule {
  readonly name: string;
  /** Names of the wire's `ActionType`, e.g. `TOOL_CALL`. */
  readonly blocked_actions: readonly string[];
  readonly requires_approval_actions: readonly string[];
  readonly approval_timeout_secs: number;
}

/** The local rules, or the name of their absence. */
export type LocalPolicy =
  | { readonly state: "disabled" }
  | { readonly state: "missing"; readonly path: string }
  | { readonly state: "loaded"; readonly path: string; readonly rules: readonly LocalRule[] };

/** A file that is there and no policy: the runtime does not start. */
export class LocalPolicyError extends Error {
  override readonly name = "LocalPolicyError";
}

/** What local rules say. */
export type LocalVerdict =
  | { readonly verdict: "allow" }
  | { readonly verdict: "deny"; readonly reason: string; readonly rule: string }
  | { readonly verdict: "pending"; readonly rule: string; readonly timeout_ms: number };

/**
 * Loads the rules.
 *
 * @param path As configured; empty disables.
 * @throws {LocalPolicyError} when the file is too large, unreadable or no policy.
 */
export async function loadLocalPolicy(
  path: string,
  readFile: (path: string) => Promise<Uint8Array> = readBounded,
): Promise<LocalPolicy> {
  if (path === "") return { state: "disabled" };
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { state: "missing", path };
    const text = error instanceof Error ? error.message : String(error);
    throw new LocalPolicyError(`local policy \`${path}\`: cannot be read: ${text}`);
  }
  if (bytes.length > DECISION_LIMITS.local_policy_bytes) {
    throw new LocalPolicyError(
      `local policy \`${path}\`: is longer than ${DECISION_LIMITS.local_policy_bytes} bytes`,
    );
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new LocalPolicyError(`local policy \`${path}\`: is not UTF-8 text`);
  }
  return { state: "loaded", path, rules: readLocalRules(text, path) };
}

/** Reads no more than one byte past the bound, whatever the file is. */
async function readBounded(path: string): Promise<Uint8Array> {
  using file = await Deno.open(path);
  const bytes = new Uint8Array(DECISION_LIMITS.local_policy_bytes + 1);
  let length = 0;
  while (length < bytes.length) {
    const read = await file.read(bytes.subarray(length));
    if (read === null) break;
    length += read;
  }
  return bytes.subarray(0, length);
}

/**
 * Reads the text of a local policy.
 *
 * @throws {LocalPolicyError} naming the rule and the field.
 */
export function readLocalRules(text: string, path: string): readonly LocalRule[] {
  let raw: Record<string, unknown>;
  try {
    raw = parse(text);
  } catch (error) {
    const first = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new LocalPolicyError(`local policy \`${path}\`: ${first}`);
  }
  const rules = raw["rules"] ?? [];
  if (!Array.isArray(rules)) throw problem(path, "rules", "must be written `[[rules]]`");
  if (rules.length > DECISION_LIMITS.local_rules) {
    throw problem(path, "rules", `${rules.length} of them, at most ${DECISION_LIMITS.local_rules}`);
  }
  return rules.map((rule: unknown, at) => ruleFrom(rule, path, `rules[${at}]`));
}

function ruleFrom(raw: unknown, path: string, at: string): LocalRule {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) {
    throw problem(path, at, "must be a table");
  }
  const { name, blocked_actions, requires_approval_actions, approval_timeout_secs } = raw as Record<
    string,
    unknown
  >;
  if (typeof name !== "string" || name === "") {
    throw problem(path, `${at}.name`, "must be a text that is not empty");
  }
  const timeout = approval_timeout_secs ?? 300;
  if (
    typeof timeout !== "number" || !Number.isInteger(timeout) || timeout < 1 || timeout > 86_400
  ) {
    throw problem(path, `${at}.approval_timeout_secs`, "must be a whole number from 1 to 86400");
  }
  return {
    name,
    blocked_actions: actionsFrom(blocked_actions, path, `${at}.blocked_actions`),
    requires_approval_actions: actionsFrom(
      requires_approval_actions,
      path,
      `${at}.requires_approval_actions`,
    ),
    approval_timeout_secs: timeout,
  };
}

const ACTION_NAMES: readonly string[] = Object.values(common.ActionType)
  .filter((name) => typeof name === "string" && name !== "ACTION_UNSPECIFIED") as string[];

/** A name that never matches would block nothing, silently: it is an error. */
function actionsFrom(raw: unknown, path: string, at: string): readonly string[] {
  if (raw === undefined) return [];
  if (!Array.isArray(raw)) throw problem(path, at, "must be a list");
  return raw.map((name: unknown) => {
    if (typeof name === "string" && ACTION_NAMES.includes(name)) return name;
    const shown = typeof name === "string" ? `\`${name.slice(0, 64)}\`` : typeof name;
    throw problem(path, at, `expected any of ${ACTION_NAMES.join(", ")}, received ${shown}`);
  });
}

function problem(path: string, at: string, message: string): LocalPolicyError {
  return new LocalPolicyError(`local policy \`${path}\`: ${at}: ${message}`);
}

/** What an action is, whatever the caller labels it. */
const TYPE_OF_CONTEXT = {
  llmCall: "LLM_CALL",
  toolCall: "TOOL_CALL",
  fileOp: "FILE_OPERATION",
  networkCall: "NETWORK_CALL",
  processExec: "PROCESS_EXEC",
  toolResult: "TOOL_RESULT",
} as const;

/**
 * Decides by local rules: blocked, then held for approval, else allowed. Both what the action is and
 * what it is labelled count, so that a label evades nothing.
 */
export function decideByRules(
  rules: readonly LocalRule[],
  query: policy.CheckActionRequest,
): LocalVerdict {
  const said = query.context?.action.case;
  if (said === undefined) {
    return { verdict: "deny", reason: "action is not understood", rule: "local_rules" };
  }
  const names = new Set([TYPE_OF_CONTEXT[said], common.ActionType[query.actionType]]);
  const any = (actions: readonly string[]) => actions.some((name) => names.has(name));
  const blocked = rules.find((rule) => any(rule.blocked_actions));
  if (blocked !== undefined) {
    return {
      verdict: "deny",
      reason: `blocked by rule: ${blocked.name}`,
      rule: blocked.name,
    };
  }
  const held = rules.find((rule) => any(rule.requires_approval_actions));
  if (held === undefined) return { verdict: "allow" };
  return {
    verdict: "pending",
    rule: held.name,
    timeout_ms: held.approval_timeout_secs * 1_000,
  };
}
