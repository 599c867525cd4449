/**
 * Mastra: tools that ask before they run, and hooks for the tools that the framework makes itself
 * (other agents, workflows, memory, workspace). Structural types only: the framework is not imported.
 * Models are guarded by the middleware of the Vercel AI SDK's adapter, which Mastra's models share.
 *
 * ```ts ignore
 * const tools = guardTools(guard, { search, sendMail });
 * const agent = new Agent({ id, name, instructions, model, tools, hooks: guardHooks(guard, { tools }) });
 * ```
 *
 * @module
 */
import {
  type Guard,
  messageOf,
  shownFailure,
  UnguardableToolError,
  type UnguardedTools,
  withOverrides,
} from "./guard.ts";

const SOURCE = "mastra";

/** What the adapter reads of a tool of the framework, or of one of the Vercel AI SDK. */
export interface MastraTool {
  /** The tool's own name; the model goes by the key it is given under. */
  readonly id?: string;
  /** Runs it. Parameter types vary with each tool; `never` accepts them all. */
  readonly execute?: ((input: never, context: never) => unknown) | undefined;
}

/** What the adapter reads of the context a tool is run with. */
interface ExecuteContext {
  readonly abortSignal?: unknown;
}

/** The wrapped tools, by identity: the hooks need not ask for them again. */
const GUARDED = new WeakSet<object>();

/**
 * Wraps each tool: the policy is asked with the name the model calls it by (its key) and its arguments
 * before it runs, and with its result before the model reads it. A denial is thrown by the tool, which
 * the framework turns into the tool error that the model reads.
 *
 * @returns A record of the same names and types. The originals stay unguarded: hand out only these.
 * @throws {UnguardableToolError} for a tool without `execute`.
 */
export function guardTools<Tools extends Readonly<Record<string, MastraTool>>>(
  guard: Guard,
  tools: Tools,
  { unguarded = [] }: UnguardedTools = {},
): Tools {
  const guarded = Object.entries(tools).map(([name, tool]) => {
    if (typeof tool.execute === "function") return [name, guardedTool(guard, name, tool)] as const;
    if (unguarded.includes(name)) return [name, tool] as const;
    const why = "it has no `execute` and runs at the model's provider or in another program";
    throw new UnguardableToolError(name, why);
  });
  // Names and types are those of `tools`; only `execute` differs, with the same signature.
  return Object.fromEntries(guarded) as unknown as Tools;
}

function guardedTool<Tool extends MastraTool>(guard: Guard, name: string, tool: Tool): Tool {
  const original = tool.execute as (input: unknown, ...more: unknown[]) => unknown;
  const execute = async (input: unknown, context?: ExecuteContext, ...more: unknown[]) => {
    const about = { tool: name, source: SOURCE, ...signalOf(context) };
    const args = await guard.beforeTool({ ...about, args: input });
    let result: unknown;
    try {
      result = await Reflect.apply(original, tool, [args, context, ...more]);
    } catch (error) {
      throw await shownFailure(guard, about, error);
    }
    // A tool that suspended has answered nothing yet.
    return result === undefined ? result : await guard.afterTool({ ...about, result });
  };
  const wrapped = withOverrides(tool, { execute });
  GUARDED.add(wrapped);
  return wrapped;
}

/** A tool call as the framework's hooks are told of it. */
export interface HookCall {
  /** Name by which the model called it. */
  readonly toolName: string;
  /** Its arguments. */
  readonly input: unknown;
  /** What the framework tells a tool of its run. */
  readonly context?: unknown;
}

/** The framework's tool hooks, as far as this adapter uses them. */
export interface MastraHooks {
  /** Asks; a refusal becomes the tool's answer. */
  readonly beforeToolCall: (
    call: HookCall,
  ) => Promise<void | { readonly proceed: false; readonly output: unknown }>;
  /** Asks; rejects when the model must not read the result as it is. */
  readonly afterToolCall: (
    call: HookCall & { readonly output?: unknown; readonly error?: unknown },
  ) => Promise<void>;
}

/** Options of {@linkcode guardHooks}. */
export interface GuardHooksOptions {
  /** What {@linkcode guardTools} returned: these ask by themselves. */
  readonly tools?: Readonly<Record<string, MastraTool>>;
}

/**
 * Hooks for an agent: every tool that was not wrapped asks here, also those the framework makes itself.
 * A hook can refuse but replace nothing, so a call or a result that something would have to be cut out
 * of is refused whole.
 */
export function guardHooks(guard: Guard, { tools = {} }: GuardHooksOptions = {}): MastraHooks {
  const asksItself = (name: string): boolean => {
    const own = Object.hasOwn(tools, name) ? tools[name] : undefined;
    return own !== undefined && GUARDED.has(own);
  };
  return {
    async beforeToolCall({ toolName, input, context }) {
      if (asksItself(toolName)) return;
      try {
        const about = { tool: toolName, source: SOURCE, ...signalOf(context) };
        const allowed = await guard.beforeTool({ ...about, args: input });
        if (allowed === input) return;
        throw new Error(cannotCut("arguments", toolName, "remove the secret from them"));
      } catch (error) {
        return { proceed: false, output: messageOf(error) };
      }
    },
    async afterToolCall({ toolName, output, error, context }) {
      if (asksItself(toolName)) return;
      const about = { tool: toolName, source: SOURCE, ...signalOf(context) };
      if (error !== undefined) {
        const shown = await shownFailure(guard, about, error);
        if (shown !== error) throw shown;
        return;
      }
      if (output === undefined) return;
      const shown = await guard.afterTool({ ...about, result: output });
      if (shown === output) return;
      throw new Error(cannotCut("result", toolName, "wrap the tool with `guardTools`"));
    },
  };
}

function cannotCut(what: string, tool: string, next: string): string {
  return `the ${what} of tool \`${tool}\` hold a secret, which a hook cannot cut out: ${next}`;
}

function signalOf(context: unknown): { readonly signal?: AbortSignal } {
  if (typeof context !== "object" || context === null || !("abortSignal" in context)) return {};
  return context.abortSignal instanceof AbortSignal ? { signal: context.abortSignal } : {};
}
