/**
 * Claude Agent SDK: hooks that ask before a tool runs and before its result reaches the model.
 * Structural types only: the SDK is not imported.
 *
 * ```ts ignore
 * query({ prompt, options: { hooks: guardHooks(guard) } });
 * ```
 *
 * The hooks see every tool of the agent: its own (`Bash`, `Write`), MCP servers', subagents'. An
 * allowed call gets no decision of theirs, so the agent's own permission rules still apply to it.
 *
 * @module
 */
import { type Guard, messageOf } from "./guard.ts";
import { ADAPTER_LIMITS } from "./limits.ts";

const SOURCE = "claude-agent";

/** What the adapter reads of a hook's input. */
export interface HookInput {
  /** One of {@linkcode GuardedEvent}. */
  readonly hook_event_name: string;
  /** e.g. `Bash`, `mcp__<server>__<tool>`. */
  readonly tool_name?: string;
  /** The tool's arguments. */
  readonly tool_input?: unknown;
  /** What it answered. */
  readonly tool_response?: unknown;
  /** What it failed with. */
  readonly error?: unknown;
  /** Names the call. */
  readonly tool_use_id?: string;
  /** The calls of a batch that ended. */
  readonly tool_calls?: readonly { readonly tool_use_id: string }[];
}

/** What the hooks answer. `{}` leaves everything as it was. */
export interface HookOutput {
  /** What becomes of the call or its result. */
  readonly hookSpecificOutput?:
    | {
      readonly hookEventName: "PreToolUse";
      readonly permissionDecision?: "deny" | "ask";
      readonly permissionDecisionReason?: string;
      readonly updatedInput?: Record<string, unknown>;
    }
    | { readonly hookEventName: "PostToolUse"; readonly updatedToolOutput: unknown };
  /** `false` ends the run before the model is called again. */
  readonly continue?: false;
  /** Why it ended. */
  readonly stopReason?: string;
}

/** One hook. It never rejects: what goes wrong is a denial. */
export type Hook = (
  input: HookInput,
  tool_use_id: string | undefined,
  options: { readonly signal: AbortSignal },
) => Promise<HookOutput>;

/** A list entry of the SDK's `hooks` option. */
export interface HookMatcher {
  /** What is called. */
  hooks: Hook[];
  /** Seconds. */
  timeout: number;
  /** What the SDK does when a hook fails where this adapter cannot see it. */
  onFailure: "block";
}

/** Options of {@linkcode guardHooks}. */
export interface GuardHooksOptions {
  /**
   * Time the SDK gives a hook, seconds. It must be longer than an approval may take: the SDK lets the
   * call go ahead when a hook is late, so this adapter answers with a denial before that.
   *
   * @default 3600
   */
  readonly timeout_s?: number;
  /** Waits for a time or until the signal ends it; injected by tests. */
  readonly sleep?: (duration_ms: number, signal: AbortSignal) => Promise<void>;
}

/** What the adapter hooks into. */
export type GuardedEvent = "PreToolUse" | "PostToolUse" | "PostToolUseFailure" | "PostToolBatch";

/**
 * Hooks for the `hooks` option: they deny with the rule and the next step as the reason, hand the tool
 * redacted input, and replace results that hold what the model must not read. The message of a tool that
 * failed cannot be replaced, so a secret in one ends the run instead.
 *
 * @throws {RangeError} when `timeout_s` is not a positive number.
 */
export function guardHooks(
  guard: Guard,
  { timeout_s = 3600, sleep = sleepFor }: GuardHooksOptions = {},
): Record<GuardedEvent, HookMatcher[]> {
  if (!Number.isFinite(timeout_s) || timeout_s <= 0) {
    throw new RangeError(
      `\`timeout_s\` is \`${timeout_s}\`: expected a positive number of seconds`,
    );
  }
  const timeout_ms = timeout_s * 1000;
  const within_ms = timeout_ms - Math.min(ADAPTER_LIMITS.claude_hook_margin_ms, timeout_ms / 10);
  const failures = new Map<string, string>();
  const entry = (hook: (call: Asked) => Promise<HookOutput>, refused: Refused): HookMatcher => ({
    timeout: timeout_s,
    onFailure: "block",
    hooks: [
      (input, _id, { signal }) => answered(input, signal, { within_ms, sleep, hook, refused }),
    ],
  });
  return {
    PreToolUse: [entry((call) => before(guard, call), denied)],
    PostToolUse: [entry((call) => after(guard, call), withheld)],
    PostToolUseFailure: [entry((call) => afterFailure(guard, call, failures), ended)],
    PostToolBatch: [entry((call) => Promise.resolve(endOf(call, failures)), ended)],
  };
}

interface Asked {
  readonly tool: string;
  readonly input: HookInput;
  readonly signal: AbortSignal;
}

type Refused = (why: string) => HookOutput;

async function before(guard: Guard, { tool, input, signal }: Asked): Promise<HookOutput> {
  const args = input.tool_input ?? {};
  const allowed = await guard.beforeTool({ tool, source: SOURCE, args, signal });
  if (allowed === args) return {};
  if (typeof allowed !== "object" || allowed === null || Array.isArray(allowed)) {
    return denied(`tool \`${tool}\` was not given its redacted input: it is no object`);
  }
  // No decision: the agent's own rules go on to judge the input that is left.
  return {
    hookSpecificOutput: { hookEventName: "PreToolUse", updatedInput: { ...allowed } },
  };
}

async function after(guard: Guard, { tool, input, signal }: Asked): Promise<HookOutput> {
  const result = input.tool_response;
  if (result === undefined) return {};
  const shown = await guard.afterTool({ tool, source: SOURCE, result, signal });
  // An identical rewrite would compete with the rewrite of another hook.
  if (shown === result) return {};
  return { hookSpecificOutput: { hookEventName: "PostToolUse", updatedToolOutput: shown } };
}

/** The program goes on after this hook whatever it says; only the end of the batch can stop it. */
async function afterFailure(
  guard: Guard,
  { tool, input, signal }: Asked,
  failures: Map<string, string>,
): Promise<HookOutput> {
  const { error, tool_use_id } = input;
  if (error === undefined || error === "") return {};
  const why = await whyWithheld(guard, tool, error, signal);
  if (why === undefined) return {};
  if (failures.size >= ADAPTER_LIMITS.claude_failures_unread) {
    throw new Error(`${failures.size} failures were not read`);
  }
  failures.set(tool_use_id ?? "", why);
  return ended(why);
}

async function whyWithheld(
  guard: Guard,
  tool: string,
  error: unknown,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const shown = await guard.afterTool({ tool, source: SOURCE, result: error, signal });
    return shown === error ? undefined : `tool \`${tool}\` failed: ${messageOf(shown)}`;
  } catch (refusal) {
    return messageOf(refusal);
  }
}

function endOf({ input }: Asked, failures: Map<string, string>): HookOutput {
  let why: string | undefined;
  for (const { tool_use_id } of input.tool_calls ?? []) {
    why ??= failures.get(tool_use_id);
    failures.delete(tool_use_id);
  }
  return why === undefined ? {} : ended(why);
}

function denied(why: string): HookOutput {
  return {
    hookSpecificOutput: {
      hookEventName: "PreToolUse",
      permissionDecision: "deny",
      permissionDecisionReason: why,
    },
  };
}

function withheld(why: string): HookOutput {
  return { hookSpecificOutput: { hookEventName: "PostToolUse", updatedToolOutput: why } };
}

function ended(why: string): HookOutput {
  return { continue: false, stopReason: why };
}

interface Terms {
  readonly within_ms: number;
  readonly sleep: (duration_ms: number, signal: AbortSignal) => Promise<void>;
  readonly hook: (call: Asked) => Promise<HookOutput>;
  readonly refused: Refused;
}

/** Runs a hook; an error or a late answer is a refusal. */
async function answered(
  input: HookInput,
  signal: AbortSignal,
  { within_ms, sleep, hook, refused }: Terms,
): Promise<HookOutput> {
  const done = new AbortController();
  const late = new AbortController();
  const tool = input.tool_name ?? "";
  const call = { tool, input, signal: AbortSignal.any([signal, late.signal]) };
  const expired = sleep(within_ms, done.signal).then(() => {
    if (done.signal.aborted) return {};
    late.abort(new Error(`no answer within ${within_ms} ms`));
    return refused(
      `tool \`${tool}\` was refused: no answer within ${within_ms} ms; ` +
        "ask for the approval first, or give the hooks a longer `timeout_s`",
    );
  });
  try {
    return await Promise.race([hook(call), expired]);
  } catch (error) {
    return refused(messageOf(error));
  } finally {
    done.abort();
  }
}

function sleepFor(duration_ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, duration_ms);
    signal.addEventListener("abort", end);
  });
}
